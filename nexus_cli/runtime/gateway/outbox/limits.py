"""How much an outbox may take: on disk, in memory, in time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Limits:
    """Bounds of the outbox.

    Attributes:
        total_bytes: On disk; the oldest segment is dropped above it (policy: drop oldest, with gaps).
        segment_bytes: A segment is closed at this size.
        buffer_bytes: Not yet durable, in memory (policy: refuse newest, with a gap).
        cache_bytes: Durable records kept in memory for the publisher; older ones are read back from disk.
        room_bytes: After a failure, so much must fit on the disk before frames are taken again.
        delay_s: Longest time a frame waits for its group commit.
    """

    total_bytes: int = 1 << 30
    segment_bytes: int = 8 << 20
    buffer_bytes: int = 16 << 20
    cache_bytes: int = 8 << 20
    room_bytes: int = 1 << 20
    delay_s: float = 0.03
