"""How well a gateway's live view keeps up, within its health."""

from __future__ import annotations

import msgspec


class LagHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Times from a sample to its message over about the last minute, milliseconds; values that are published again for a
    new connection are not among them.

    Attributes:
        count: Messages.
        p50_ms, p95_ms, p99_ms: So many per cent took at most this long (up to 9 % less).
        max_ms: The longest.
    """

    count: int = 0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0


class LiveHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The live view.

    Attributes:
        waiting: Tags whose newest value is not published yet.
        sent: Lag until a message is handed to the socket.
        acknowledged: Lag until the broker has acknowledged it, or with QoS 0 a fence behind it.
    """

    waiting: int = 0
    sent: LagHealth = LagHealth()
    acknowledged: LagHealth = LagHealth()
