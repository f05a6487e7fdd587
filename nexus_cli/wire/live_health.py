"""How well a gateway's live view keeps up, within its health."""

from __future__ import annotations

import msgspec

from nexus_cli.wire.latency_health import LatencyWindow


class LiveHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The live view.

    Attributes:
        waiting: Tags whose newest value is not published yet.
        sent: Time from a sample until its message is handed to the socket, over the last minute; values that are published
            again for a new connection are not among them.
        acknowledged: Until the broker has acknowledged it, or with QoS 0 a fence behind it.
    """

    waiting: int = 0
    sent: LatencyWindow = LatencyWindow()
    acknowledged: LatencyWindow = LatencyWindow()
