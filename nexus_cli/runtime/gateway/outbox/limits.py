"""The limits of an outbox: on disk, in memory, in time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Limits:
    """Bounds of the outbox.

    Attributes:
        total_bytes: Size on disk; above it the oldest segment is dropped (policy: drop oldest, with gaps).
        segment_bytes: Size at which a segment is closed.
        buffer_bytes: Records in memory that are not durable yet (policy: refuse newest, with a gap).
        cache_bytes: Durable records kept in memory for the publisher; older ones are read back from disk.
        room_bytes: After a failure, this much must fit on the disk before frames are accepted again.
        delay_s: Longest time that a frame waits for its group commit, in seconds.
    """

    total_bytes: int = 1 << 30
    segment_bytes: int = 8 << 20
    buffer_bytes: int = 16 << 20
    cache_bytes: int = 8 << 20
    room_bytes: int = 1 << 20
    delay_s: float = 0.03
