"""Rollouts as a person writes them: waves of devices, how long each soaks, and what must hold before the next."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from nexus_cli.model.spelling import SpellingError, Strict, Wait, within

REST = "rest"
"""The last wave, of what no other one names."""
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*%\Z", re.ASCII)


def _percent(value: object) -> object:
    """A share between 0 and 1 of `99%`; a share as JSON has it passes, so that a model can be validated twice."""
    match = _PERCENT.match(value) if isinstance(value, str) else None
    if match is None or float(match[1]) > 100:
        hint = "write a percentage from 0% to 100%, such as 99%"
        raise SpellingError(f"'{value}' is not a percentage", code="NX1070", hint=hint)
    return float(match[1]) / 100


def _alarms(value: object) -> object:
    if value == "none":
        return 0
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100_000:
        return value
    raise SpellingError(f"'{value}' is not a number of alarms", code="NX1071", hint="write none, or how many may come")


Percent = Annotated[
    float,
    BeforeValidator(_percent),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,3}(\.\d{1,6})?\s*%$", "examples": ["99%"]}),
]
"""A share between 0 and 1."""
Alarms = Annotated[
    int,
    BeforeValidator(_alarms),
    WithJsonSchema({"anyOf": [{"const": "none"}, {"type": "integer", "minimum": 0}], "examples": ["none", 2]}),
]


class Wave(Strict):
    """Devices that change together."""

    name: str = Field(description="Of the wave, such as canary.")
    devices: list[str] = Field(
        min_length=1, description="Paths of devices, lines or areas, with * and **: packaging/line-1/*."
    )
    soak: Annotated[Wait, within("0s", "30d")] = Field(
        default=0, description="How long it runs before its gates are measured and the next wave begins, at most 30d."
    )


class Gates(Strict):
    """What must hold of a wave's devices when it has soaked."""

    good: Percent | None = Field(default=None, description="Least share of its tags whose newest value is GOOD: 99%.")
    missed_polls: Percent | None = Field(
        default=None, description="Largest share of its polls that were skipped since the wave began: 1%."
    )
    alarms: Alarms | None = Field(default=None, description="How many alarms on its tags may come: none, or a number.")


class Rollout(Strict):
    """Changes of devices go out in waves."""

    waves: list[Wave] = Field(min_length=1, max_length=50, description="In order; what none of them names is the last.")
    gates: Gates = Field(default_factory=Gates, description="What must hold before the next wave.")
    on_failure: Literal["stop", "rollback"] = Field(
        default="stop", description="What a wave that fails does: stop, or put back what earlier waves changed, too."
    )
