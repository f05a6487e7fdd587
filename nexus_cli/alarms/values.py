"""A value of a tag as an alert reads it."""

from __future__ import annotations

from typing import NamedTuple

from nexus_cli.wire.reading import is_integer
from nexus_cli.wire.sample import Quality, Value

LONGEST_TEXT = 1_000
"""Limit of a text value in an alert, in characters."""
UNUSABLE = {"raise": True, "clear": False}
"""The verdict on a BAD value by `on_bad`; `hold` has none."""


class Reading(NamedTuple):
    """The newest value of a tag; `label`: the name of its code; `out`: its device is out of service; `unit`: as the
    message names it, "" where it names none."""

    value: Value
    quality: Quality
    label: object = None
    out: bool = False
    unit: str = ""

    @property
    def usable(self) -> bool:
        """Whether there is a value, GOOD or UNCERTAIN."""
        return self.quality is not Quality.BAD and self.value is not None


def number_of(value: Value) -> float | None:
    """The value as a number; None of what is none.

    A 64-bit integer beyond 2^53 is text; other text is not a number, and the historian would not store it as one.
    """
    if isinstance(value, (bool, int, float)):
        return float(value)
    return float(value) if isinstance(value, str) and is_integer(value) else None


def shown(value: Value) -> Value:
    """The value in the form in which an alert publishes and stores it; works for any external value.

    Structures are omitted (they may be nested too deeply for JSON), long text is truncated.
    """
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return value[: LONGEST_TEXT - 1] + "…"
    return value if value is None or isinstance(value, (bool, int, float, str)) else None
