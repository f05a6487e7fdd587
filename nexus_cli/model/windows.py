"""Maintenance windows as a person writes them: on which days, from when to when, on whose clocks."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from nexus_cli.model.access import parse_hours
from nexus_cli.model.calendar import ZoneName
from nexus_cli.model.spelling import SpellingError, Strict

NO_WINDOW = "none"
"""Takes an outer window away."""
EVERY_DAY = ("mon-sun",)
_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d\Z|24:00\Z", re.ASCII)


def _days(text: str) -> str:
    try:
        parse_hours(f"{text} 00:00-24:00")
    except SpellingError:
        hint = "write a day or days in a row: sat, mon-fri"
        raise SpellingError(f"'{text}' is not a day of the week", code="NX1018", hint=hint) from None
    return text


def _time(text: str) -> str:
    if not _TIME.match(text):
        hint = 'write hours and minutes in quotes: "22:00"'
        raise SpellingError(f"'{text}' is not a time of day", code="NX1018", hint=hint)
    return text


Days = Annotated[str, AfterValidator(_days), WithJsonSchema({"type": "string", "examples": ["mon-fri", "sat"]})]
TimeOfDay = Annotated[
    str, AfterValidator(_time), WithJsonSchema({"type": "string", "pattern": r"^\d\d:\d\d$", "examples": ["22:00"]})
]


class Window(Strict):
    """When a plant may be changed. One that ends before it begins runs past midnight, and is of the day on which it begins."""

    days: list[Days] = Field(
        default_factory=lambda: list(EVERY_DAY), min_length=1, description="Days on which it begins: mon-fri, sat."
    )
    from_: TimeOfDay = Field(alias="from", description='When it opens: "22:00".')
    to: TimeOfDay = Field(description='When it closes: "05:00"; the same as `from` is a whole day.')
    zone: ZoneName | None = Field(default=None, description="Its time zone (default: that of the site).")
    description: str | None = Field(default=None, description="For people.")

    def hours(self) -> list[str]:
        """As `parse_hours` reads them."""
        return [f"{days} {self.from_}-{self.to}" for days in self.days]
