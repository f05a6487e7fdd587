"""`alerts:` of the site language: conditions on tags, and which of them a person must answer.

alerts:
  oven-hot:
    tag: packaging/line-1/oven/temperature
    above: 240
    clear_below: 230
    for: 5s
    priority: high
    group: ovens
    response: Stop the burner, open the damper.

An alert with a `priority` is an alarm in the sense of ISA-18.2: it stays until a person acknowledged it. One without says what is,
and needs no answer.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nexus_cli.model.spelling import Duration, Strict, Wait, within

Code = Annotated[int, Field(ge=-(2**63), le=2**64 - 1)]
Priority = Literal["low", "medium", "high", "critical"]
PRIORITIES: tuple[Priority, ...] = ("low", "medium", "high", "critical")
"""The least urgent first."""
SEVERITY_OF = {"": "warning", "low": "info", "medium": "warning", "high": "critical", "critical": "critical"}
"""What an alarm of a priority is to who reads `severity`; the first is the default of an alert without one."""
DEFAULT_RATE_MS = 60_000
CONDITIONS = ("above", "below", "equals", "outside", "rate", "unchanged_for", "no_data_for", "expr")
"""What an alert can watch for: exactly one of them."""


class Rate(Strict):
    """How fast a value moves, between the oldest and the newest value of the last `per`."""

    above: float | None = Field(default=None, description="Active when it rises by more, in the published unit.")
    below: float | None = Field(
        default=None, description="Active when it moves by less; -5 is a fall by more than 5, in the published unit."
    )
    per: Annotated[Duration, within("0s", "1d")] = Field(
        default=DEFAULT_RATE_MS, description="Over this time, at most 1d (default 1m)."
    )


class Alert(Strict):
    """A condition on one tag, in its published unit, or on several (`expr`)."""

    tag: str | None = Field(default=None, description="area/line/device/tag; with `expr` where it belongs, or nothing.")
    above: float | None = Field(default=None, description="Active above this value.")
    below: float | None = Field(default=None, description="Active below this value.")
    equals: bool | Code | float | str | None = Field(
        default=None, description="Active at this value, or at this name of an enumeration."
    )
    outside: tuple[float, float] | None = Field(
        default=None, strict=False, description="[low, high]: active below the one and above the other."
    )
    rate: Rate | None = Field(default=None, description="Active when the value moves faster, e.g. {above: 5, per: 1m}.")
    unchanged_for: Annotated[Duration, within("0s", "400d")] | None = Field(
        default=None, description="Active when the value did not change for so long, at most 400d."
    )
    no_data_for: Annotated[Duration, within("0s", "400d")] | None = Field(
        default=None, description="Active when no usable (GOOD or UNCERTAIN) value came for so long, at most 400d."
    )
    expr: str | None = Field(
        default=None, description="Active while this holds: an expression on tags, by full paths in braces."
    )
    clear_below: float | None = Field(default=None, description="Hysteresis for `above`.")
    clear_above: float | None = Field(default=None, description="Hysteresis for `below`.")
    for_: Annotated[Wait, within("0s", "30d")] | None = Field(
        default=None, alias="for", description="On-delay: how long the condition must hold, at most 30d."
    )
    clear_after: Annotated[Wait, within("0s", "30d")] | None = Field(
        default=None, description="Off-delay: how long it must be over, at most 30d."
    )
    on_bad: Literal["hold", "clear", "raise"] = Field(default="hold", description="What a BAD value does.")
    severity: Literal["info", "warning", "critical"] | None = Field(
        default=None, description="How much it matters, of an alert without `priority` (default warning)."
    )
    priority: Priority | None = Field(
        default=None, description="Makes it an alarm: it must be answered, the more urgent the higher."
    )
    group: str | None = Field(default=None, description="Alarms that one person answers, e.g. ovens.")
    suppressed_by: list[str] = Field(
        default_factory=list, description="Alerts: while one of them is active, this one is suppressed by design."
    )
    response: str | None = Field(default=None, description="What the operator does about it.")
    consequence: str | None = Field(default=None, description="What happens if nobody does.")
    description: str | None = Field(default=None, description="For people.")
