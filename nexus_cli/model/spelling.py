"""How values are spelt in the site language: durations, and models that take nothing they don't know."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from nexus_cli.diagnostics.wording import duration

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*(ms|s|m|h|d|w)\Z", re.ASCII)
_WORDED = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*([a-z]+)\.?\Z", re.ASCII | re.IGNORECASE)
_WORDS = {
    "ms": "msec msecs millisecond milliseconds",
    "s": "sec secs second seconds",
    "m": "min mins minute minutes",
    "h": "hr hrs hour hours",
    "d": "day days",
    "w": "week weeks",
}
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_LONGEST_MS = 200 * 365 * 86_400_000


class SpellingError(ValueError):
    """A value that is written wrongly, with the finding it becomes.

    Attributes:
        code: A catalogue code of band 1.
        hint: What to write instead.
    """

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@lru_cache(maxsize=1024)
def _duration_of(text: str) -> int:
    match = _DURATION.match(text)
    if match is None:
        raise SpellingError(f"'{text}' is not a duration", code="NX1005", hint=_in_our_units(text))
    duration_ms = round(float(match[1]) * _UNITS_MS[match[2]])
    if duration_ms > _LONGEST_MS:
        raise SpellingError(f"'{text}' is longer than 200 years", code="NX1005", hint="write a shorter duration")
    return duration_ms


def _in_our_units(text: str) -> str:
    worded = _WORDED.match(text.strip())
    if worded is not None:
        for unit, words in _WORDS.items():
            if worded[2].lower() in words.split():
                return f"write {worded[1]}{unit}"
    return "write a number with ms, s, m, h, d or w, such as 500ms or 10s"


def parse_duration(value: object, *, usual: Sequence[str] = ("s", "ms")) -> int:
    """A duration such as `500ms`, `1s`, `1.5h`, `400d` in whole milliseconds, at most 200 years.

    Args:
        value: What was written.
        usual: Units that a hint offers for a bare number: those that make sense for the key, the likeliest first.

    Raises:
        SpellingError: Not a duration (a ValueError).
    """
    if isinstance(value, str) and not value[-1:].isdigit():
        return _duration_of(value)
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        hint = f"write the unit: {' or '.join(f'{value}{unit}' for unit in usual)}"
        if isinstance(value, str) and not re.fullmatch(r"[\d.]+", value):
            hint = _in_our_units(value)
    else:
        hint = "write a number with ms, s, m, h, d or w, such as 500ms or 10s"
    raise SpellingError(f"'{value}' is not a duration", code="NX1005", hint=hint)


_SCHEMA = WithJsonSchema(
    {
        "type": "string",
        "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d|w)$",
        "examples": ["500ms", "1s", "10m", "400d"],
    }
)
Duration = Annotated[int, BeforeValidator(parse_duration), _SCHEMA]
"""Milliseconds; written with a unit. The times of requests: a bare number is answered with s and ms."""
Wait = Annotated[int, BeforeValidator(partial(parse_duration, usual=("s", "m"))), _SCHEMA]
"""As `Duration`, for what takes seconds to minutes."""
Age = Annotated[int, BeforeValidator(partial(parse_duration, usual=("d", "h"))), _SCHEMA]
"""As `Duration`, for what takes hours to years."""


def within(lowest: str, highest: str) -> AfterValidator:
    """Bounds of a duration, both included: beyond them it is NX1078. Write them in the field's description, too."""
    low_ms, high_ms = parse_duration(lowest), parse_duration(highest)

    def bounded(duration_ms: int) -> int:
        if low_ms <= duration_ms <= high_ms:
            return duration_ms
        side = f"shorter than {lowest}" if duration_ms < low_ms else f"longer than {highest}"
        hint = f"write a duration from {lowest} to {highest}"
        raise SpellingError(f"'{duration(duration_ms)}' is {side}", code="NX1078", hint=hint)

    return AfterValidator(bounded)


class Strict(BaseModel):
    """Unknown keys are errors, and numbers are not taken from strings."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True)
