"""Maintenance windows at a change of the clocks, and where they are attached."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from nexus_cli.model.window_config import WindowConfig, Windows, closing, is_open, local_text, opening, openings

BERLIN = "Europe/Berlin"


def window(text: str, zone: str = BERLIN) -> WindowConfig:
    return WindowConfig(hours=[text], zone=zone)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "day", "begin", "end"),
    [
        # 2026-03-29: 02:00 becomes 03:00. 2026-10-25: 03:00 becomes 02:00.
        ("sun 02:30-04:00", date(2026, 3, 29), "2026-03-29T01:00", "2026-03-29T02:00"),
        ("sat 22:00-02:30", date(2026, 3, 28), "2026-03-28T21:00", "2026-03-29T01:00"),
        ("sun 02:30-04:00", date(2026, 10, 25), "2026-10-25T00:30", "2026-10-25T03:00"),
        ("sat 22:00-02:30", date(2026, 10, 24), "2026-10-24T20:00", "2026-10-25T00:30"),
        ("sat 22:00-05:00", date(2026, 10, 24), "2026-10-24T20:00", "2026-10-25T04:00"),
    ],
)
def test_a_change_of_the_clocks(text: str, day: date, begin: str, end: str) -> None:
    assert list(openings(window(text), day, day)) == [(utc(begin), utc(end))]


def test_a_window_inside_the_skipped_hour_does_not_open_on_that_day() -> None:
    day = date(2026, 3, 29)
    assert list(openings(window("sun 02:10-02:50"), day, day)) == []
    assert opening(window("sun 02:10-02:50"), utc("2026-03-29T00:00")) == utc("2026-04-05T00:10")


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    nights = window("fri 22:00-05:00")
    assert is_open(nights, utc("2026-12-05T03:59"))  # Saturday, 04:59 in Berlin
    assert not is_open(nights, utc("2026-12-05T04:00"))
    assert not is_open(nights, utc("2026-12-04T03:00"))  # the night from Thursday
    assert closing(nights, utc("2026-12-04T23:00")) == utc("2026-12-05T04:00")


def test_the_whole_week_never_closes() -> None:
    assert closing(window("mon-sun 00:00-24:00"), utc("2026-12-04T12:00")) is None


def test_the_nearest_window_counts() -> None:
    found = Windows(
        windows={"nights": window("mon-fri 22:00-05:00"), "sunday": window("sun 00:00-24:00")},
        at={"": "nights", "packaging/line-1": "sunday", "packaging/line-1/filler": ""},
    )
    assert found.of("mixing/line-1/tank") == "nights"
    assert found.of("packaging/line-1/capper") == "sunday"
    assert found.of("packaging/line-1/filler") == ""
    assert found.held(["packaging/line-1/filler", "", "packaging/line-1/capper"]) == {
        "nights": [""],
        "sunday": ["packaging/line-1/capper"],
    }


def test_windows_that_never_meet_have_no_opening() -> None:
    found = Windows(windows={"one": window("mon 08:00-09:00"), "other": window("tue 08:00-09:00")})
    assert found.next_open(["one", "other"], utc("2026-12-04T12:00")) is None
    assert found.next_open([], utc("2026-12-04T12:00")) == utc("2026-12-04T12:00")


def test_a_record_that_can_not_be_read_has_no_windows() -> None:
    assert Windows.recorded({"windows": {"nights": 3}}) == Windows()


def test_a_moment_is_said_on_the_clocks_of_its_zone() -> None:
    assert local_text(utc("2026-12-04T21:00"), BERLIN) == "Fri 2026-12-04 22:00 +01:00 (Europe/Berlin)"
