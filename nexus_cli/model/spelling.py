"""How values are spelt in the site language: durations, and models that take nothing they don't know."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*(ms|s|m|h|d|w)\Z", re.ASCII)
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
        raise SpellingError(
            f"'{text}' is not a duration",
            code="NX1005",
            hint="write a number with ms, s, m, h, d or w, such as 500ms or 10s",
        )
    duration_ms = round(float(match[1]) * _UNITS_MS[match[2]])
    if duration_ms > _LONGEST_MS:
        raise SpellingError(f"'{text}' is longer than 200 years", code="NX1005", hint="write a shorter duration")
    return duration_ms


def parse_duration(value: object) -> int:
    """A duration such as `500ms`, `1s`, `1.5h`, `400d` in whole milliseconds, at most 200 years.

    Raises:
        SpellingError: Not a duration (a ValueError).
    """
    if isinstance(value, str):
        return _duration_of(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        hint = f"write the unit: '{value}s', or '{value}ms'"
    else:
        hint = "write a number with ms, s, m, h, d or w, such as 500ms or 10s"
    raise SpellingError(f"'{value}' is not a duration", code="NX1005", hint=hint)


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d|w)$",
            "examples": ["500ms", "1s", "10m", "400d"],
        }
    ),
]
"""Milliseconds; written with a unit."""


class Strict(BaseModel):
    """Unknown keys are errors, and numbers are not taken from strings."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
