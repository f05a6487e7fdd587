"""Key figures beside counts by hand."""

from __future__ import annotations

import pytest

from nexus_cli.alarms.kpi import DAY_US, HOUR_US, MINUTE_US, TEN_MINUTES_US, key_figures
from nexus_cli.wire.control_alarms import Cascade, FloodSpan, JournalLine, KeyFigures, Stale

SECOND = 1_000_000
BEGIN = 1_790_000_000 * SECOND


def line(name: str, at_us: int, kind: str = "active", priority: str = "low", **more) -> JournalLine:
    state = more.pop("state", kind)
    return JournalLine(name=name, at=BEGIN + at_us, kind=kind, state=state, priority=priority, **more)


def figures(lines, days: float = 30, **more) -> KeyFigures:
    ordered = sorted(lines, key=lambda one: one.at)
    return key_figures(ordered, since_us=BEGIN, until_us=BEGIN + round(days * DAY_US), **more)


def of(found: KeyFigures, name: str):
    return next(one for one in found.figures if one.name == name)


def month() -> list[JournalLine]:
    """A recorded month, counted by hand below.

    Every day at 01:00, 02:00, … 20:00 one low alarm of `pump` (20 a day), which is over after 5 min; each day at 12:30 a medium
    one of `valve`; on day 10 at 03:05 a power loss: `power` (high, first out) and within a minute 29 others, all over after an hour;
    on day 20 `door` comes 4 times within 30 s, and again 3 times within 40 s an hour later; `fan` is active from day 5 for 3 days;
    `probe` from day 29, 00:00 minus a second on; `lamp` comes 50 times while it is shelved.
    """
    found: list[JournalLine] = []
    for day in range(30):
        for hour in range(1, 21):
            at_us = day * DAY_US + hour * HOUR_US
            found += [line("pump", at_us, group="p"), line("pump", at_us + 5 * MINUTE_US, "returned", group="p")]
        at_us = day * DAY_US + 12 * HOUR_US + 30 * MINUTE_US
        found += [
            line("valve", at_us, priority="medium", group="v", first_out=True),
            line("valve", at_us + MINUTE_US, "acknowledged", priority="medium", group="v", who="ann"),
            line("valve", at_us + 2 * MINUTE_US, "cleared", priority="medium", group="v"),
        ]
    loss_us = 10 * DAY_US + 3 * HOUR_US + 5 * MINUTE_US
    for number in range(30):
        name, at_us = ("power", loss_us) if not number else (f"unit-{number:02}", loss_us + 2 * number * SECOND)
        found.append(line(name, at_us, priority="low" if number else "high", group="mains", first_out=not number))
        found.append(line(name, at_us + HOUR_US, "cleared", priority="low" if number else "high", group="mains"))
    for at_s in (0, 10, 20, 30, 3600, 3620, 3640):
        found.append(line("door", 20 * DAY_US + 5 * MINUTE_US + at_s * SECOND, group="d"))
        found.append(line("door", 20 * DAY_US + 5 * MINUTE_US + (at_s + 5) * SECOND, "returned", group="d"))
    found += [line("fan", 5 * DAY_US, group="f"), line("fan", 8 * DAY_US, "returned", group="f")]
    found.append(line("probe", 29 * DAY_US - SECOND, group="f2"))
    for number in range(50):
        found.append(line("lamp", 2 * DAY_US + number * SECOND, held=True))
    found.append(JournalLine(name="", at=BEGIN + 1, kind="flood-begins"))
    return found


def test_a_recorded_month_beside_a_hand_count() -> None:
    found = figures(month())
    # 30 x 20 of pump, 30 of valve, 30 of the power loss, 7 of door, fan, probe; those of the shelf don't count.
    assert found.alarms == 600 + 30 + 30 + 7 + 2 == 669
    assert of(found, "per-day").value == pytest.approx(669 / 30) and of(found, "per-day").ok
    assert of(found, "per-day").worst == 51, "day 10: 20 + 1 + 30"
    assert of(found, "per-hour").value == pytest.approx(669 / 720) and of(found, "per-hour").worst == 31
    assert of(found, "per-10-minutes").value == pytest.approx(669 / 4320)
    assert of(found, "per-10-minutes").worst == 31, "03:00 to 03:10 of day 10: pump and the loss"
    assert of(found, "flood-share").value == pytest.approx(1 / 4320) and of(found, "flood-share").ok
    # The flood begins with the eleventh alarm of 10 minutes: pump at 03:00 and ten of the loss, the tenth after 18 s.
    loss_us = BEGIN + 10 * DAY_US + 3 * HOUR_US + 5 * MINUTE_US
    # It ends when less than five are left: when the fifth from the end (unit-25, after 50 s) leaves the 10 minutes.
    assert found.floods == [
        FloodSpan(begin=loss_us + 18 * SECOND, end=loss_us + 50 * SECOND + TEN_MINUTES_US, peak=31, alarms=31)
    ]
    assert found.priorities == {"low": 600 + 29 + 7 + 2, "medium": 30, "high": 1, "critical": 0}
    assert of(found, "share-low").value == pytest.approx(638 / 669) and of(found, "share-low").ok
    assert [(one.name, one.alarms) for one in found.bad_actors[:3]] == [("pump", 600), ("valve", 30), ("door", 7)]
    assert found.bad_actors[0].share == pytest.approx(600 / 669) and len(found.bad_actors) == 10
    assert [(one.name, one.times) for one in found.chattering] == [("door", 2)]
    assert found.stale == [
        Stale(name="fan", since=BEGIN + 5 * DAY_US, until=BEGIN + 8 * DAY_US),
        Stale(name="probe", since=BEGIN + 29 * DAY_US - SECOND),
    ]
    assert found.first_out == [Cascade(name="power", group="mains", times=1, followers=29)]


def test_operators_share_the_alarms() -> None:
    found = figures(month(), operators=3)
    assert of(found, "per-day").value == pytest.approx(669 / 90) and of(found, "per-day").worst == 17
    assert found.flood_count == 1, "31 in 10 minutes are above 10 for each of three"
    assert figures(month(), operators=4).flood_count == 0


def test_too_much_is_said() -> None:
    found = figures([line(f"n{number}", number * MINUTE_US, priority="critical") for number in range(24 * 60)], days=1)
    assert [one.ok for one in found.figures] == [False, False, False, True, False, True, True, False]
    assert of(found, "flood-share").value == 0.0, "ten in 10 minutes are no flood"


def test_minutes_are_not_stretched_to_a_day() -> None:
    found = figures([line("a", 0), line("b", MINUTE_US), line("c", 70 * MINUTE_US)], days=2 / 24)
    assert (of(found, "per-day").value, of(found, "per-hour").value) == (3, 1.5)
    assert of(found, "per-10-minutes").value == pytest.approx(3 / 12)


def test_what_stood_when_the_span_began_is_stale() -> None:
    stood = line("old", -3 * DAY_US)
    found = figures([line("old", HOUR_US, "cleared")], standing=[stood])
    assert found.stale == [Stale(name="old", since=stood.at, until=BEGIN + HOUR_US)]


def test_nothing_happened() -> None:
    found = figures([])
    assert found.alarms == 0 and all(one.ok for one in found.figures) and found.floods == []


def test_bars_show_the_fullest_ten_minutes_of_each_piece_of_the_span() -> None:
    day = figures([line("pump", 3 * MINUTE_US), line("pump", 9 * MINUTE_US), line("pump", DAY_US - 1)], days=1)
    assert (day.bar_us, len(day.bars)) == (TEN_MINUTES_US, 144)
    assert (day.bars[0], day.bars[-1], sum(day.bars)) == (2, 1, 3)
    found = figures(month())
    assert (found.bar_us, len(found.bars)) == (5 * TEN_MINUTES_US, 864), "a month has 4,320 windows: five in a bar"
    assert max(found.bars) == 31, "the power loss, and the pump"
    assert found.bars[(20 * DAY_US) // found.bar_us] == 4, "of two windows in a bar the fuller one"
