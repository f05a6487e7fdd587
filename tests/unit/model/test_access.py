"""Times of the week, as they are written."""

from __future__ import annotations

import pytest

from nexus_cli.model.access import LAST_MINUTE, parse_hours
from nexus_cli.model.spelling import SpellingError

EVERY_DAY, WORKDAYS = frozenset(range(7)), frozenset(range(5))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mon-fri 06:00-22:00", (WORKDAYS, 360, 1320)),
        ("sat 22:00-06:00", (frozenset({5}), 1320, 360)),
        ("sat-mon", (frozenset({5, 6, 0}), 0, LAST_MINUTE)),
        ("sun", (frozenset({6}), 0, LAST_MINUTE)),
        ("22:00-06:00", (EVERY_DAY, 1320, 360)),
        ("00:00-24:00", (EVERY_DAY, 0, LAST_MINUTE)),
        ("07:00-07:00", (EVERY_DAY, 0, LAST_MINUTE)),
    ],
)
def test_a_time_of_the_week(text: str, expected: tuple[frozenset[int], int, int]) -> None:
    assert parse_hours(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "mon ",
        "mon-fri06:00-22:00",
        " 06:00-07:00",
        "mo 06:00-07:00",
        "mon 6:00-7:00",
        "25:00-26:00",
        "06:00-07:60",
        "06:00",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(SpellingError):
        parse_hours(text)
