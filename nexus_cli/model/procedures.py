"""Sequences and messages of the site language: what a person may write under `sequences:` and `messages:`.

sequences:
  warm-up:
    parameters: {goal: {type: number, range: [10, 90], default: 40}}
    requires: ["{packaging/line-1/filler/state} == 'stopped'"]
    timeout: 10m
    steps:
      - {write: packaging/line-1/filler/setpoint, value: "${param:goal}"}
      - {until: "{packaging/line-1/filler/temperature} > 38", timeout: 5m}
      - {wait: 10s}
      - {publish: start-order, set: {order: "17"}}
    on_abort:
      - {write: packaging/line-1/filler/setpoint, value: 0}
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nexus_cli.json_value import JsonObject
from nexus_cli.model.spelling import Strict, Wait, within

Code = Annotated[int, Field(ge=-(2**63), le=2**64 - 1)]
Scalar = bool | Code | float | str
Written = Scalar | list[Scalar]
Signed = Literal["int8", "int16", "int32", "int64"]
Unsigned = Literal["uint8", "uint16", "uint32", "uint64"]
Kind = Literal["integer", "number", "string", "boolean", "bool", Signed, Unsigned, "float32", "float64"]
"""Types of a parameter: as templates name them, or as tags do."""
WORDS = ("write", "wait", "until", "publish")
"""What a step can be."""


class Step(Strict):
    """One step: exactly one of write, wait, until and publish."""

    write: str | None = Field(default=None, description="area/line/device/tag to write; `value` goes with it.")
    value: Written | None = Field(default=None, description="In the published unit, or the name of a code.")
    expect: Written | None = Field(default=None, description="What the tag must hold right before the write.")
    wait: Wait | None = Field(default=None, description="Rest, e.g. 10s.")
    until: str | None = Field(
        default=None, description="Wait until this holds: an expression on tags, by full paths in braces."
    )
    publish: str | None = Field(default=None, description="Name of a message to publish; `set` goes with it.")
    set_: JsonObject = Field(default_factory=dict, alias="set", description="Values of the message's fields.")
    timeout: Wait | None = Field(
        default=None, description="Longest wait of `until` (default 60s), or for the answer to a write (default 10s)."
    )
    description: str | None = Field(default=None, description="For people.")

    def words(self) -> tuple[str, ...]:
        """The one of `WORDS` that it has."""
        return tuple(word for word in WORDS if getattr(self, word) is not None)


class Parameter(Strict):
    """What may be given when a sequence is run. Declared as in templates; `range` is for numbers."""

    type: Kind = Field(
        default="string", description="integer, number, string or boolean, or a tag's type such as float32."
    )
    default: Scalar | None = Field(default=None, description="Without one the value has to be given.")
    range: tuple[float | None, float | None] | None = Field(
        default=None, description="[low, high] of a number; null is open.", strict=False
    )
    values: list[Scalar] = Field(default_factory=list, description="The values it may have.")
    description: str | None = Field(default=None, description="For people.")


class Sequence(Strict):
    """Ordered writes and publishes with waits, carried out by control."""

    parameters: dict[str, Parameter] = Field(
        default_factory=dict,
        description='Values that a run is given: "${param:NAME}" in value, expect, set, requires and until.',
    )
    requires: list[str] = Field(
        default_factory=list, description="Conditions that must hold before the first step, or nothing is written."
    )
    steps: list[Step] = Field(default_factory=list, description="One after the other; the first failure ends them.")
    on_abort: list[Step] = Field(
        default_factory=list, description="Carried out when a step failed, time ran out or a person aborted it."
    )
    timeout: Annotated[Wait, within("0s", "30d")] | None = Field(
        default=None, description="Longest time of all steps together, at most 30d (default 1h)."
    )
    max_age: Annotated[Wait, within("0s", "1d")] | None = Field(
        default=None,
        description="How old a value may be that `requires` and `until` go by, at most 1d (default 15s; 60s of external tags).",
    )
    on_change: Literal["refuse", "wait", "abort"] = Field(
        default="refuse",
        description="A deployment that changes what a run uses is refused, waits for its end, or aborts it first.",
    )
    uncertain: bool = Field(
        default=False, description="true lets `requires` and `until` go by UNCERTAIN values; GOOD is what counts else."
    )
    description: str | None = Field(default=None, description="For people.")


class Message(Strict):
    """A message that may be published by name, checked against its schema before it goes out."""

    topic: str = Field(description="Where to; {name} is replaced by a field. Not a tag topic.")
    schema_: JsonObject = Field(
        default_factory=dict, alias="schema", description="JSON Schema of the payload (an object)."
    )
    payload: JsonObject = Field(default_factory=dict, description="Fixed fields: a publisher can't set them.")
    qos: Literal[0, 1, 2] = Field(default=1, description="Quality of service.")
    retain: bool = Field(default=False, description="true lets the broker keep the last one.")
    description: str | None = Field(default=None, description="For people.")
