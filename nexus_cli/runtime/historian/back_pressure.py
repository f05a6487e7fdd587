"""Makes the broker wait while the inbound queue is crowded: a burst is then kept by the broker, and nothing is refused.

Frames do not need it, their gateways send again; a message of others that the queue refuses is lost.
"""

from __future__ import annotations

import asyncio

from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.inbound_queue import InboundQueue
from nexus_cli.wire.client import BrokerClient

LONGEST_S = 5.0
"""The longest time without reading, in seconds; less than half a keep-alive. When nothing moves for that long (the database
does not answer), reading continues, and the queue refuses what it can't hold, until it has room again."""


class BackPressure:
    """Holds the connection of a client by the state of a queue."""

    def __init__(self, *, queue: InboundQueue, client: BrokerClient, counters: Counters) -> None:
        """Connect them."""
        self._client, self._counters = client, counters
        self._timer: asyncio.TimerHandle | None = None
        queue.on_crowded, queue.on_roomy = self._hold, self._go_on

    def _hold(self) -> None:
        self._counters.holds += 1
        self._client.hold(True)
        self._timer = asyncio.get_running_loop().call_later(LONGEST_S, self._go_on)

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._client.hold(False)
