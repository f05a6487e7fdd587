"""Clocks and calendars: how moments are read, where days, weeks and months begin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from nexus_cli.model.calendar import (
    EARLIEST,
    LATEST,
    instant,
    microseconds,
    moment_of,
    parse_every,
    parse_moment,
    zone_named,
)

BERLIN, CAIRO, HAVANA, APIA = (
    ZoneInfo(name) for name in ("Europe/Berlin", "Africa/Cairo", "America/Havana", "Pacific/Apia")
)
NOW = datetime(2026, 3, 29, 12, tzinfo=UTC)
"""The day on which Berlin's clocks are set forward: 14:00 there."""


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1h", NOW - timedelta(hours=1)),
        ("1h30m", NOW - timedelta(minutes=90)),
        ("now", NOW),
        ("today", datetime(2026, 3, 28, 23, tzinfo=UTC)),
        ("yesterday", datetime(2026, 3, 27, 23, tzinfo=UTC)),
        ("06:00", datetime(2026, 3, 29, 4, tzinfo=UTC)),
        ("01:30", datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),
        ("02:30", datetime(2026, 3, 29, 1, tzinfo=UTC)),
        ("2026-01-30", datetime(2026, 1, 29, 23, tzinfo=UTC)),
        ("2026-01-30T06:00", datetime(2026, 1, 30, 5, tzinfo=UTC)),
        ("2026-07-30 06:00", datetime(2026, 7, 30, 4, tzinfo=UTC)),
        ("2026-01-30T06:00Z", datetime(2026, 1, 30, 6, tzinfo=UTC)),
        ("2026-01-30T06:00-05:00", datetime(2026, 1, 30, 11, tzinfo=UTC)),
        ("2026-W05", datetime(2026, 1, 25, 23, tzinfo=UTC)),
        ("0001-01-01T00:00+14:00", EARLIEST),
        ("9999-12-31T23:59-12:00", LATEST),
    ],
)
def test_moments_are_read_on_the_clock_of_the_zone(text: str, moment: datetime) -> None:
    assert parse_moment(text, now=NOW, zone=BERLIN) == moment


@pytest.mark.parametrize("text", ["soon", "", "1x", "1hour", "-1h", "24:00", "6", "2026-13-01", "tomorrow"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_moment(text, now=NOW, zone=BERLIN)


@pytest.mark.parametrize(
    ("text", "fixed_us", "unit"), [("90s", 90_000_000, ""), ("1d", 0, "d"), ("2w", 0, "w"), ("3mo", 0, "mo")]
)
def test_widths(text: str, fixed_us: int, unit: str) -> None:
    width = parse_every(text)
    assert (width.fixed_us, width.unit) == (fixed_us, unit)


@pytest.mark.parametrize("text", ["0s", "0d", "0mo", "mo", "1.5mo", "1month", "", "-1h"])
def test_what_is_no_width_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        parse_every(text)


@pytest.mark.parametrize(
    ("every", "zone", "inside", "start", "end"),
    [
        ("1d", BERLIN, "2026-03-29T12:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),  # 23 hours
        ("1d", BERLIN, "2026-10-25T12:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),  # 25 hours
        ("1w", UTC, "2026-11-26T12:00Z", "2026-11-23T00:00Z", "2026-11-30T00:00Z"),  # Thursday: from Monday on
        ("1w", BERLIN, "2026-03-29T21:59Z", "2026-03-22T23:00Z", "2026-03-29T22:00Z"),
        ("1mo", BERLIN, "2026-03-01T00:00Z", "2026-02-28T23:00Z", "2026-03-31T22:00Z"),
        ("3mo", UTC, "2026-05-05T00:00Z", "2026-04-01T00:00Z", "2026-07-01T00:00Z"),
        ("12mo", UTC, "2026-05-05T00:00Z", "2026-01-01T00:00Z", "2027-01-01T00:00Z"),
        ("1d", CAIRO, "2026-04-24T12:00Z", "2026-04-23T22:00Z", "2026-04-24T21:00Z"),  # midnight is skipped
        ("1d", HAVANA, "2026-11-01T12:00Z", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),  # midnight comes twice
        ("2d", APIA, "2011-12-31T05:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z"),  # the 30th did not happen
        ("6h", BERLIN, "2026-03-29T12:00Z", "2026-03-29T12:00Z", "2026-03-29T18:00Z"),  # below a day: exact
    ],
)
def test_buckets_begin_where_the_clocks_of_the_zone_say(
    every: str, zone: ZoneInfo, inside: str, start: str, end: str
) -> None:
    width = parse_every(every)
    start_us = width.floor(microseconds(datetime.fromisoformat(inside)), zone)
    assert moment_of(start_us) == datetime.fromisoformat(start)
    assert moment_of(width.after(start_us, zone)) == datetime.fromisoformat(end)


def test_zones_have_names() -> None:
    assert zone_named("UTC") is UTC
    assert zone_named("Europe/Berlin").utcoffset(NOW.replace(tzinfo=None)) is not None
    for name in ("Europe/Berlinn", "", "../etc/passwd", "/etc/localtime", "Europe"):
        with pytest.raises(ValueError, match="is not a time zone"):
            zone_named(name)


def test_what_a_clock_shows_twice_is_the_first() -> None:
    assert instant(datetime(2026, 10, 25, 2, 30), BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
