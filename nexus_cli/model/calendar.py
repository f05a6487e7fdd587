"""The clock and the calendar of people: moments as they are written, and buckets of hours, days, weeks and months. Pure.

A zone of None is the one of this machine. Buckets below a day have exactly their length and are counted from 1970-01-01
UTC. Days, weeks (ISO 8601: from Monday) and months follow the clocks of a zone, so a day has 23 or 25 hours where they
are set forward or back; it begins with the first midnight that they show, or where they skip midnight with the first
moment after it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, WithJsonSchema

from nexus_cli.model.spelling import SpellingError, parse_duration

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""No sample is older or newer than these; a moment beyond them means them."""
_MONDAY = date(1969, 12, 29).toordinal()
_FIRST = EPOCH.date().toordinal()
_EVERY = re.compile(r"(\d{1,4})\s*(d|w|mo)\Z", re.ASCII)
_PART = re.compile(r"\d{1,12}(?:\.\d{1,9})?\s*(?:ms|s|m|h|d|w)", re.ASCII)
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?\Z", re.ASCII)
EVERY_HINT = "write 1m, 15m, 1h, 1d, 1w or 1mo"
MOMENT_HINT = "write 1h, 1h30m, 7d, today, yesterday, 06:00 or 2026-01-31T06:00"


def zone_named(name: str) -> tzinfo:
    """A time zone of the IANA database, such as `Europe/Berlin`; `UTC` is one too.

    Raises:
        SpellingError: There is no such zone (a ValueError).
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of the database, or a path out of it
        raise SpellingError(
            f"'{name}' is not a time zone",
            code="NX1014",
            hint="write a name of the IANA time zone database, such as Europe/Berlin or America/Chicago",
        ) from None


def _zone_name(value: object) -> object:
    if isinstance(value, str):
        zone_named(value)
    return value


ZoneName = Annotated[
    str, BeforeValidator(_zone_name), WithJsonSchema({"type": "string", "examples": ["Europe/Berlin", "UTC"]})
]
"""A time zone by its name, as the site file has it."""


def microseconds(moment: datetime) -> int:
    """µs since 1970 UTC."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment_of(time_us: int) -> datetime:
    """The moment so many µs after 1970 UTC."""
    return EPOCH + timedelta(microseconds=time_us)


def on_clock(moment: datetime, zone: tzinfo | None) -> datetime:
    """A moment as the clocks of a zone show it."""
    return moment.astimezone(zone)


def instant(clock: datetime, zone: tzinfo | None) -> datetime:
    """The moment at which the clocks of a zone show this (no zone in it), UTC.

    What they show twice is the first of the two; what they skip is the moment at which they were set forward.
    """
    placed = clock.astimezone(UTC) if zone is None else clock.replace(tzinfo=zone).astimezone(UTC)
    if on_clock(placed, zone).replace(tzinfo=None, fold=0) == clock:
        return placed
    # Skipped: by the clocks' later setting the moment is before the jump, by the earlier one it is after it.
    late = clock.replace(fold=1)
    before = late.astimezone(UTC) if zone is None else late.replace(tzinfo=zone).astimezone(UTC)
    low, high = microseconds(before), microseconds(placed)
    was = on_clock(before, zone).utcoffset()
    while low < high - 1:
        middle = (low + high) // 2
        if on_clock(moment_of(middle), zone).utcoffset() == was:
            low = middle
        else:
            high = middle
    return moment_of(high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """The width of buckets.

    Attributes:
        text: As it was written, e.g. `15m`, `1d`, `1mo`.
        fixed_us: Exact width, µs; 0 where the calendar decides.
        unit: `d`, `w` or `mo` where the calendar decides, else "".
        count: So many of the unit.
    """

    text: str
    fixed_us: int = 0
    unit: str = ""
    count: int = 1

    @property
    def about_us(self) -> int:
        """Its usual width, µs."""
        return self.fixed_us or self.count * {"d": 1, "w": 7, "mo": 30}[self.unit] * DAY_US

    def floor(self, time_us: int, zone: tzinfo | None) -> int:
        """Where the bucket that holds a moment begins, µs since 1970 UTC."""
        if self.fixed_us:
            return time_us - time_us % self.fixed_us
        first = self._first_day(on_clock(moment_of(time_us), zone).date())
        while _start(first, zone) > time_us:  # clocks that were set back over midnight show yesterday once more
            first = self._first_day(first - DAY)
        return _start(first, zone)

    def after(self, start_us: int, zone: tzinfo | None) -> int:
        """Where the bucket after the one that begins at `start_us` begins."""
        if self.fixed_us:
            return start_us + self.fixed_us
        first = self._first_day(on_clock(moment_of(start_us), zone).date())  # its first day may have been skipped
        if self.unit == "mo":
            month = first.year * 12 + first.month - 1 + self.count
            following = date(month // 12, month % 12 + 1, 1)
        else:
            following = first + self.count * (7 if self.unit == "w" else 1) * DAY
        return _start(following, zone)

    def _first_day(self, day: date) -> date:
        if self.unit == "mo":
            month = day.year * 12 + day.month - 1
            month -= month % self.count
            return date(month // 12, month % 12 + 1, 1)
        origin, length = (_MONDAY, 7 * self.count) if self.unit == "w" else (_FIRST, self.count)
        return day - (day.toordinal() - origin) % length * DAY


def _start(day: date, zone: tzinfo | None) -> int:
    return microseconds(instant(datetime(day.year, day.month, day.day), zone))


def parse_every(text: str) -> Every:
    """The width of buckets: an exact time (`90s`, `15m`, `1h`), or days, weeks or months (`1d`, `2w`, `3mo`).

    Raises:
        SpellingError: Not a width (a ValueError).
    """
    written = text.strip()
    calendar = _EVERY.match(written)
    if calendar is not None and int(calendar[1]):
        return Every(text=written, unit=calendar[2], count=int(calendar[1]))
    if written.endswith("mo") or (calendar is not None and not int(calendar[1])):
        raise SpellingError(f"'{text}' is not a width of buckets", code="NX1005", hint=EVERY_HINT)
    width_ms = parse_duration(written)
    if width_ms <= 0:
        raise SpellingError(f"'{text}' is not a width of buckets", code="NX1005", hint=EVERY_HINT)
    return Every(text=written, fixed_us=width_ms * 1000)


def parse_moment(text: str, *, now: datetime, zone: tzinfo | None) -> datetime:
    """A moment, UTC: how long ago (`90s`, `1h30m`, `7d`), `now`, `today`, `yesterday`, a time of today (`06:00`), or
    ISO 8601. What names no offset is read on the clocks of `zone`.

    Raises:
        SpellingError: Not a moment (a ValueError).
    """
    written = text.strip()
    try:
        found = _moment(written, now=now, zone=zone)
    except OverflowError:
        found = EARLIEST if written.startswith("0") else LATEST
    if found is None:
        raise SpellingError(f"'{text}' is not a time", code="NX1005", hint=MOMENT_HINT)
    return min(max(found, EARLIEST), LATEST)


def _moment(text: str, *, now: datetime, zone: tzinfo | None) -> datetime | None:
    if text == "now":
        return now
    midnight = on_clock(now, zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None, fold=0)
    if text in ("today", "yesterday"):
        return instant(midnight - (DAY if text == "yesterday" else timedelta()), zone)
    clock = _CLOCK.match(text)
    if clock is not None:
        hour, minute, second = (int(part or 0) for part in clock.groups())
        return instant(midnight.replace(hour=hour, minute=minute, second=second), zone)
    parts = _PART.findall(text)
    if parts and "".join(parts) == text:
        ago_ms = sum(parse_duration(part) for part in parts)
        return now - timedelta(milliseconds=ago_ms)
    try:
        written = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant(written, zone) if written.tzinfo is None else written.astimezone(UTC)


def iso(moment: datetime, zone: tzinfo | None) -> str:
    """ISO 8601 on the clocks of a zone, with its offset."""
    return on_clock(moment, zone).isoformat()
