"""Laws of maintenance windows: when they are open, on any clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.model.access import parse_hours
from nexus_cli.model.window_config import WindowConfig, Windows, closing, is_open, opening, openings

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
times = st.builds(lambda hour, minute: f"{hour:02}:{minute:02}", st.integers(0, 23), st.integers(0, 59))
spans = st.builds(
    lambda first, last, begin, end: f"{first}-{last} {begin}-{end}", *[st.sampled_from(DAYS)] * 2, times, times
)
windows = st.builds(
    lambda hours, zone: WindowConfig(hours=hours, zone=zone),
    st.lists(spans, min_size=1, max_size=3),
    st.sampled_from(ZONES),
)
moments = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))


@given(windows, moments)
def test_the_next_opening_is_open_and_nothing_before_it_is(window: WindowConfig, moment: datetime) -> None:
    found = opening(window, moment)
    assert found is not None
    assert found >= moment
    assert is_open(window, found)
    assert (found == moment) == is_open(window, moment)
    between = (found - moment) / 7
    assert not any(is_open(window, moment + number * between) for number in range(7) if found > moment)


@given(windows, moments)
def test_it_closes_where_it_is_open_until_then(window: WindowConfig, moment: datetime) -> None:
    found = closing(window, moment)
    if not is_open(window, moment):
        assert found is None
    elif found is not None:
        assert is_open(window, found - timedelta(microseconds=1))
        assert not is_open(window, found)


@given(windows, moments)
def test_openings_have_a_length_and_begin_on_their_day(window: WindowConfig, moment: datetime) -> None:
    day = moment.date()
    for each in openings(window, day, day + timedelta(days=8)):
        assert each.start < each.end
        assert each.end - each.start <= timedelta(hours=25)
        # A begin that the clocks skip may be shown as the next hour, never as an earlier one.
        assert each.start.astimezone(ZoneInfo(window.zone)).date() >= day


@given(windows, moments)
def test_away_from_changes_of_the_clocks_it_is_open_when_they_show_so(window: WindowConfig, moment: datetime) -> None:
    zone = ZoneInfo(window.zone)
    around = {(moment + timedelta(hours=hours)).astimezone(zone).utcoffset() for hours in range(-49, 50)}
    if len(around) > 1:
        return
    shown = moment.astimezone(zone)
    minute = shown.hour * 60 + shown.minute
    wanted = False
    for text in window.hours:
        days, begin, end = parse_hours(text)
        if begin < end:
            wanted |= shown.weekday() in days and begin <= minute < end
        else:
            wanted |= (shown.weekday() in days and minute >= begin) or (
                (shown.weekday() - 1) % 7 in days and minute < end
            )
    assert is_open(window, moment) == wanted


@given(windows, windows, moments)
def test_together_they_are_open_when_each_of_them_is(one: WindowConfig, other: WindowConfig, moment: datetime) -> None:
    both = Windows(windows={"one": one, "other": other})
    found = both.next_open(["one", "other"], moment)
    if found is not None:
        assert found >= moment
        assert is_open(one, found)
        assert is_open(other, found)
    assert both.open(["one", "other"], moment) == (found == moment)
