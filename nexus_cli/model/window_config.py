"""Maintenance windows in normal form, and when they are open. Pure.

A window belongs to the day on which it begins, on the clocks of its zone. Where the clocks skip its begin or end, that is
the moment at which they are set forward, so a window inside the skipped hour does not open on that day; a time that they
show twice is the first of the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

import msgspec

from nexus_cli.model.access import LAST_MINUTE, parse_hours
from nexus_cli.model.calendar import instant, on_clock, zone_named

AHEAD = timedelta(days=60)
"""How far ahead an opening is looked for: beyond two changes of the clocks no weekly window stays shut."""
_DAY = timedelta(days=1)


class WindowConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One window.

    Attributes:
        hours: Times of the week, as `model.access.parse_hours` reads them; any of them opens it.
        zone: IANA name of the zone of its clocks.
        description: For people.
    """

    hours: list[str]
    zone: str = "UTC"
    description: str = ""


class Windows(msgspec.Struct, frozen=True, kw_only=True):
    """The windows of a site, and what is held to which.

    Attributes:
        windows: By name.
        at: Name of the window of a path (`area`, `area/line`, `area/line/device`; "" is the site); "" takes an outer one away.
    """

    windows: dict[str, WindowConfig] = {}
    at: dict[str, str] = {}

    @classmethod
    def recorded(cls, site: Mapping[str, object]) -> Windows:
        """Of the recorded attributes of the resource `site`; none where they can't be read."""
        try:
            return msgspec.convert({"windows": site.get("windows") or {}, "at": site.get("window_at") or {}}, Windows)
        except msgspec.ValidationError:
            return cls()

    def of(self, path: str) -> str:
        """The window of a path, the nearest: of the device, its line, its area, or the site; "" is none."""
        while True:
            if path in self.at:
                name = self.at[path]
                return name if name in self.windows else ""
            if not path:
                return ""
            path = path.rpartition("/")[0]

    def held(self, paths: Iterable[str]) -> dict[str, list[str]]:
        """The paths by the name of their window, both sorted; without those that have none."""
        found: dict[str, list[str]] = {}
        for path in sorted(set(paths)):
            if name := self.of(path):
                found.setdefault(name, []).append(path)
        return dict(sorted(found.items()))

    def open(self, names: Iterable[str], moment: datetime) -> bool:
        """Whether all of these windows are open at a moment."""
        return all(is_open(self.windows[name], moment) for name in names)

    def next_open(self, names: Iterable[str], moment: datetime) -> datetime | None:
        """The first moment, from this one on, at which all of these windows are open; None within `AHEAD`."""
        wanted = [self.windows[name] for name in names]
        found, last = moment, moment + AHEAD
        while found <= last:
            opens = [opening(one, found) for one in wanted]
            if any(each is None for each in opens):
                return None
            latest = max((each for each in opens if each is not None), default=found)
            if latest == found:
                return found
            found = latest
        return None


class Opening(NamedTuple):
    """One time that a window is open: from the first moment until before the other, UTC."""

    start: datetime
    end: datetime


def openings(window: WindowConfig, first: date, last: date) -> Iterator[Opening]:
    """The openings that begin on these days of its clocks, by day; none that has no length."""
    zone = zone_named(window.zone)
    parsed = [parse_hours(text) for text in window.hours]
    day = first
    while day <= last:
        for days, begin, end in parsed:
            if day.weekday() in days:
                start = instant(_at(day, begin), zone)
                close = instant(_at(day + _DAY if end <= begin else day, end), zone)
                if start < close:
                    yield Opening(start, close)
        day += _DAY


def is_open(window: WindowConfig, moment: datetime) -> bool:
    """Whether it is open at a moment."""
    return any(each.start <= moment < each.end for each in _around(window, moment, days=1))


def opening(window: WindowConfig, moment: datetime) -> datetime | None:
    """The moment itself while it is open, else when it opens next; None within `AHEAD`."""
    if is_open(window, moment):
        return moment
    return min((each.start for each in _around(window, moment, days=AHEAD.days) if each.start > moment), default=None)


def closing(window: WindowConfig, moment: datetime) -> datetime | None:
    """When it closes while it is open; openings that touch are one. None while it is shut, or when it never closes."""
    end: datetime | None = None
    for each in sorted(_around(window, moment, days=8)):
        if each.start <= (end or moment) < each.end:
            end = each.end
    return end if end is not None and end < moment + timedelta(days=8) else None


def window_text(window: WindowConfig) -> str:
    """When it is open, for people: `mon-fri 22:00-05:00 Europe/Berlin`."""
    return f"{', '.join(window.hours)} {window.zone}"


def local_text(moment: datetime, zone: str) -> str:
    """A moment on the clocks of a zone, with its offset and the zone's name: `Fri 2026-12-04 22:00 +01:00 (Europe/Berlin)`."""
    shown = on_clock(moment, zone_named(zone))
    offset = shown.strftime("%z")
    return f"{shown:%a %Y-%m-%d %H:%M} {offset[:3]}:{offset[3:5]} ({zone})"


def _around(window: WindowConfig, moment: datetime, *, days: int) -> Iterator[Opening]:
    here = on_clock(moment, zone_named(window.zone)).date()
    return openings(window, here - 2 * _DAY, here + days * _DAY)


def _at(day: date, minute: int) -> datetime:
    return datetime.combine(day, time()) + timedelta(minutes=min(minute, LAST_MINUTE))
