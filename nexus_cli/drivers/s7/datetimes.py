"""S7 dates and times to ISO 8601 and milliseconds, and back: pure.

The CPU's clock has no time zone: what it holds is given as UTC, so a CPU should run on UTC (LDT does by definition).
Source: SIMATIC STEP 7 (TIA) "Date and time data types": DATE, TOD, LTOD, DT, LDT, DTL; S5TIME: "Format of S5TIME".
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

NS_PER_MS = 1_000_000
DAY_MS = 86_400_000
_DATE_ZERO = date(1990, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DTL = struct.Struct(">HBBBBBBI")
_S5_BASES_MS = (10, 100, 1_000, 10_000)
_ISO = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:[T ](?P<time>\d\d:\d\d(?::\d\d)?)(?:\.(?P<fraction>\d{1,9}))?(?P<zone>Z|[+-]\d\d:?\d\d)?)?\Z"
)


def text_of(moment: datetime, ns: int) -> str:
    """ISO 8601 in UTC: whole seconds, microseconds, or nanoseconds when there are any."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    if not ns:
        return text + "Z"
    return f"{text}.{ns // 1000:06d}Z" if ns % 1000 == 0 else f"{text}.{ns:09d}Z"


def moment_of(text: str) -> tuple[datetime, int]:
    """Whole second in UTC and nanoseconds of an ISO 8601 text; without a zone it is UTC.

    Raises:
        ValueError: It is not one.
    """
    match = _ISO.match(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not an ISO 8601 time")
    zone = (match["zone"] or "Z").replace("Z", "+00:00")
    moment = datetime.fromisoformat(f"{match['day']}T{match['time'] or '00:00:00'}{zone}")
    return moment.astimezone(UTC), int((match["fraction"] or "0").ljust(9, "0"))


def _bcd(byte: int) -> int:
    high, low = byte >> 4, byte & 15
    if high > 9 or low > 9:
        raise ValueError(f"{byte:#04x} is not BCD")
    return high * 10 + low


def _to_bcd(number: int) -> int:
    return number // 10 << 4 | number % 10


def date_from(raw: bytes) -> str:
    """DATE: days since 1990-01-01."""
    return f"{_DATE_ZERO + timedelta(days=int.from_bytes(raw, 'big'))}T00:00:00Z"


def date_to(text: str) -> bytes:
    """Raises ValueError (no date, or a time of day besides), OverflowError (outside 1990 to 2169)."""
    moment, ns = moment_of(text)
    if ns or (moment.hour, moment.minute, moment.second) != (0, 0, 0):
        raise ValueError(f"a DATE holds days, and '{text}' has a time of day in UTC")
    return (moment.date() - _DATE_ZERO).days.to_bytes(2, "big")


def dt_from(raw: bytes) -> str:
    """DT: eight BCD bytes, years 1990 to 2089, the last nibble is the day of the week."""
    year, month, day, hour, minute, second, hundredths = (_bcd(byte) for byte in raw[:7])
    if raw[7] >> 4 > 9:
        raise ValueError("milliseconds are not BCD")
    moment = datetime(year + (1900 if year >= 90 else 2000), month, day, hour, minute, second, tzinfo=UTC)
    return text_of(moment, (hundredths * 10 + (raw[7] >> 4)) * NS_PER_MS)


def dt_to(text: str) -> bytes:
    """Raises ValueError (no time), OverflowError (outside 1990 to 2089)."""
    moment, ns = moment_of(text)
    if not 1990 <= moment.year <= 2089:
        raise OverflowError
    ms, rest = divmod(ns, NS_PER_MS)
    if rest:
        raise ValueError(f"a DATE_AND_TIME holds milliseconds, and '{text}' has finer ones")
    parts = (moment.year % 100, moment.month, moment.day, moment.hour, moment.minute, moment.second, ms // 10)
    weekday = moment.isoweekday() % 7 + 1
    return bytes(_to_bcd(part) for part in parts) + bytes((ms % 10 << 4 | weekday,))


def dtl_from(raw: bytes) -> str:
    """DTL: year, month, day, day of the week, hour, minute, second, nanoseconds."""
    year, month, day, _, hour, minute, second, ns = _DTL.unpack(raw)
    if ns > 999_999_999:
        raise ValueError(f"{ns} nanoseconds")
    return text_of(datetime(year, month, day, hour, minute, second, tzinfo=UTC), ns)


def dtl_to(text: str) -> bytes:
    """Raises ValueError (no time), OverflowError (outside 1970 to 2262)."""
    moment, ns = moment_of(text)
    if not 1970 <= moment.year <= 2262:
        raise OverflowError
    weekday = moment.isoweekday() % 7 + 1
    return _DTL.pack(moment.year, moment.month, moment.day, weekday, moment.hour, moment.minute, moment.second, ns)


def ldt_from(raw: bytes) -> str:
    """LDT: nanoseconds since 1970 UTC."""
    seconds, ns = divmod(int.from_bytes(raw, "big", signed=True), 1_000_000_000)
    return text_of(_EPOCH + timedelta(seconds=seconds), ns)


def ldt_to(text: str) -> bytes:
    """Raises ValueError (no time), OverflowError (outside 1677 to 2262)."""
    moment, ns = moment_of(text)
    span = moment - _EPOCH
    return ((span.days * 86_400 + span.seconds) * 1_000_000_000 + ns).to_bytes(8, "big", signed=True)


def _ns_from(*, signed: bool) -> Callable[[bytes], float]:
    return lambda raw: int.from_bytes(raw, "big", signed=signed) / NS_PER_MS


def _ns_to(*, signed: bool) -> Callable[[float], bytes]:
    return lambda ms: round(ms * NS_PER_MS).to_bytes(8, "big", signed=signed)


def s5time_from(raw: bytes) -> int:
    """S5TIME and timers: three BCD digits and a time base; gives milliseconds."""
    word = int.from_bytes(raw, "big")
    return (_bcd(word >> 8 & 15) * 100 + _bcd(word & 0xFF)) * _S5_BASES_MS[word >> 12 & 3]


def s5time_to(ms: float) -> bytes:
    """The finest base that holds it.

    Raises:
        ValueError: It is no multiple of that base.
        OverflowError: Negative, or over 9,990 s.
    """
    if not 0 <= ms <= 9_990_000:
        raise OverflowError
    base = next(number for number, unit in enumerate(_S5_BASES_MS) if ms <= 999 * unit)
    units, rest = divmod(ms, _S5_BASES_MS[base])
    if rest:
        raise ValueError(f"a timer counts {ms:g} ms in steps of {_S5_BASES_MS[base]} ms")
    return (base << 12 | int(units) // 100 << 8 | _to_bcd(int(units) % 100)).to_bytes(2, "big")


def counter_from(raw: bytes) -> int:
    """C area: three BCD digits. Source: STEP 7, "Counter value in the counter word"."""
    return _bcd(raw[0] & 15) * 100 + _bcd(raw[1])


def counter_to(number: int) -> bytes:
    """Raises OverflowError outside 0 to 999."""
    if not 0 <= number <= 999:
        raise OverflowError
    return bytes((number // 100, _to_bcd(number % 100)))


MOMENTS: dict[str, tuple[Callable[[bytes], str], Callable[[str], bytes]]] = {
    "DATE": (date_from, date_to),
    "DT": (dt_from, dt_to),
    "DTL": (dtl_from, dtl_to),
    "LDT": (ldt_from, ldt_to),
}
"""From bytes to ISO 8601 and back, by S7 type."""

SPANS: dict[str, tuple[Callable[[bytes], float], Callable[[float], bytes]]] = {
    "S5TIME": (s5time_from, s5time_to),
    "TIMER": (s5time_from, s5time_to),
    "LTIME": (_ns_from(signed=True), _ns_to(signed=True)),
    "LTOD": (_ns_from(signed=False), _ns_to(signed=False)),
}
"""From bytes to milliseconds and back, by S7 type; TIME and TOD are plain integers."""
