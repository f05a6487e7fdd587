"""Times as people read them: on the clock of one zone, always with its offset. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo


def clock_text(time_us: int, *, zone: tzinfo | None, date: bool = True, digits: int = 0) -> str:
    """`2026-01-31 06:00:00+01:00`.

    Args:
        time_us: µs since 1970 UTC.
        zone: None is this machine's.
        date: False leaves the day out.
        digits: Of the second's fraction, 0 to 6.
    """
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC).replace(microsecond=time_us % 1_000_000)
    return short(moment.astimezone(zone), date=date, digits=digits)


def short(moment: datetime, *, date: bool = True, digits: int | None = None) -> str:
    """A moment as its own clock has it; `digits` None writes a fraction where there is one. UTC is `Z`."""
    offset = moment.isoformat()[-6:]
    day = f"{moment:%Y-%m-%d} " if date else ""
    fraction = f"{moment.microsecond:06d}"[: 6 if digits is None else digits]
    second = f"{moment:%H:%M:%S}" + (f".{fraction}" if fraction and (digits or moment.microsecond) else "")
    return f"{day}{second}{'Z' if offset == '+00:00' else offset}"
