"""Replayed messages under another site's name: topics exchanged, times as they were or moved to now. Pure."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from nexus_cli.wire.reading import PayloadError, time_of_text
from nexus_cli.wire.topic import Topics

_KEYS = ("timestamp_ms", "timestamp", "time", "ts", "t", "source_timestamp")
"""Keys of a payload's own times (`wire.reading`), and of the device's."""
_NUMBER = re.compile(rb"-?\d+(\.\d+)?\Z")
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class Retarget:
    """Exchanges the name of a site in topics."""

    def __init__(self, source: Topics, into: Topics, *, platform: bool = False) -> None:
        """`platform` takes topics below `_nexus` along; otherwise they stay out."""
        self._live, self._platform = f"{source.live}/", f"{source.platform}/"
        self._into, self._with_platform = into, platform

    def topic(self, topic: str) -> str | None:
        """The topic in the other site; None of one that is not of this site, or of the platform."""
        if topic.startswith(self._live):
            return f"{self._into.live}/{topic[len(self._live) :]}"
        if self._with_platform and topic.startswith(self._platform):
            return f"{self._into.platform}/{topic[len(self._platform) :]}"
        return None

    def is_value(self, topic: str) -> bool:
        """True for a topic of a tag: the broker keeps its newest message."""
        return topic.startswith(f"{self._into.live}/")


def shifted(payload: bytes, shift_us: int) -> bytes:
    """A payload with its times moved by some µs; every other field keeps its bytes. What is no object, or has no time of its
    own, stays as it is.
    """
    try:
        fields = _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return payload
    moved = {key: _moved(bytes(fields[key]), shift_us) for key in _KEYS if key in fields}
    found = {key: msgspec.Raw(text) for key, text in moved.items() if text is not None}
    return _encode({**fields, **found}) if found else payload


def _moved(text: bytes, shift_us: int) -> bytes | None:
    """A time in its own spelling and unit, later; None when it is none."""
    if _NUMBER.match(text):
        number: Any = float(text) if b"." in text else int(text)
        unit_us = _unit_us(abs(number))
        later = number + shift_us / unit_us
        return _encode(later if isinstance(number, float) else round(later))
    try:
        written = msgspec.json.decode(text)
        return _encode(time_of_text(written, shift_us=shift_us)) if isinstance(written, str) else None
    except (PayloadError, msgspec.MsgspecError, OverflowError):
        return None


def _unit_us(size: float) -> float:
    """Seconds, milli-, micro- and nanoseconds by size, as in `wire.reading`."""
    for limit, unit_us in ((1e11, 1_000_000.0), (1e14, 1000.0), (1e17, 1.0)):
        if size < limit:
            return unit_us
    return 0.001
