"""Moments as ISO 8601 texts, which devices, people and servers spell in many ways.

Source: ISO 8601-1:2019 §5.2 to §5.4 (calendar date, time of day, zone); the extended format only.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_FORM = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?P<time>\d\d:\d\d(?::\d\d)?)(?:[.,](?P<fraction>\d{1,9})\d*)?\s?(?P<zone>[Zz]|[+-]\d\d(?::?\d\d)?)?)?\Z",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def same_instant(wanted: str, held: str) -> bool:
    """True when two texts are the same moment, or the same text.

    Servers whose clock has finer ticks than microseconds are read in microseconds: what is held may be cut to them.
    """
    if wanted == held:
        return True
    try:
        one, other = instant_ns(wanted), instant_ns(held)
    except ValueError:
        return False
    return one == other or (other % 1000 == 0 and one - one % 1000 == other)


def is_instant(text: str) -> bool:
    """True when a text is a moment."""
    try:
        instant_ns(text)
    except ValueError:
        return False
    return True


def instant_ns(text: str) -> int:
    """Nanoseconds since 1970 UTC; a text without a zone is UTC, one without a time of day is midnight.

    Raises:
        ValueError: It is no moment.
    """
    match = _FORM.match(text.strip())
    if match is None:
        raise ValueError(f"'{text[:60]}' is not an ISO 8601 time")
    zone = (match["zone"] or "Z").upper().replace("Z", "+00:00")
    try:
        local = datetime.fromisoformat(f"{match['day']}T{match['time'] or '00:00:00'}+00:00")
        offset = datetime.fromisoformat(f"2000-01-01T00:00:00{zone}").utcoffset() or timedelta(0)
    except ValueError as error:
        raise ValueError(f"'{text[:60]}' is not an ISO 8601 time: {error}") from None
    since = local - _EPOCH - offset
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + int((match["fraction"] or "0").ljust(9, "0"))
