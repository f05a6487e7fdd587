"""Packets from pieces: keeps the beginning of a packet until the rest has come, and skips the rest of a dropped one.

Every byte is copied a fixed number of times, however many pieces a packet has.
"""

from __future__ import annotations


class Assembly:
    """The bytes behind the last whole packet."""

    __slots__ = ("_held", "_needed", "_skipped")

    def __init__(self) -> None:
        """Begin empty."""
        self._held = bytearray()
        self._needed = self._skipped = 0

    def take(self, data: bytes) -> bytes:
        """The bytes to read packets from; b"" while more are needed."""
        if self._skipped:
            skipped = min(self._skipped, len(data))
            self._skipped -= skipped
            data = data[skipped:]
        if not self._held:
            return data
        self._held += data
        if len(self._held) < self._needed:
            return b""
        data = bytes(self._held)
        self._held = bytearray()
        return data

    def keep(self, rest: bytes, *, needed: int) -> None:
        """Keep the beginning of a packet; `take` returns it once there are `needed` bytes."""
        self._held += rest
        self._needed = needed

    def skip(self, count: int) -> None:
        """Drop that many of the bytes that come next."""
        self._skipped = count
