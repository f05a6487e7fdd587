"""Between the gateway and its broker connection: finds the message that the broker does not pass on.

MQTT 3.1.1 has no word for "too large" (or "not yours"): the broker closes the connection, which takes everything else on
it along, and the next connection meets the same message. So after two connections that ended early with messages
unacknowledged, those messages go alone, one at a time, each on a connection that was quiet for a second before. One
that ends the connection three times so is refused: its owner makes it smaller or lets it wait. Meanwhile nothing else
is published, so that no message is found guilty of what another one does.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import NamedTuple, TypeAlias

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.outbox.splitting import SMALLEST_BYTES
from nexus_cli.runtime.logging import event
from nexus_cli.wire.client import BrokerClient

_log = logging.getLogger("nexus.gateway")
Key: TypeAlias = int | str
"""What is on its way: a record by its seq, a live value by its topic."""

EARLY_S = 30.0
"""A connection that ends within this time may have ended because of what was sent on it."""
SUSPICIOUS_LOSSES = 2
STRIKES = 3
QUIET_S = 1.0
PLAUSIBLE_LIMIT = 16 * 1024
"""Brokers with a lower limit are rare: a smaller message is as likely refused for its topic."""
KEPT_S = 3600.0
"""A limit that was found is forgotten after this time: the broker's may have been raised."""


class _Posted(NamedTuple):
    key: Key
    size_bytes: int
    future: asyncio.Future[None]


def packet_bytes(topic: str, payload: bytes) -> int:
    """What counts for a broker's limit, but for a few bytes of header."""
    return len(topic) + len(payload)


class Gate:
    """The way to the broker for records and live values.

    Attributes:
        acknowledged_bytes: The largest message that the broker acknowledged.
        delivered_bytes: The largest message that is known to have arrived; the publisher notes it.
        limit_bytes: Messages of this size or more do not pass; 0 when no limit is known.
    """

    def __init__(self, client: BrokerClient, *, clock: Clock) -> None:
        """Guard a client."""
        self.acknowledged_bytes = 0
        self.delivered_bytes = 0
        self.limit_bytes = 0
        self._client, self._clock = client, clock
        self._open: deque[_Posted] = deque()
        self._since_s = clock.monotonic_s()
        self._losses = 0
        self._suspects: deque[Key] = deque()
        self._strikes: dict[Key, int] = {}
        self._limit_until_s = 0.0
        self._silent = False

    @property
    def connected(self) -> bool:
        """As of the client."""
        return self._client.connected

    @property
    def inflight(self) -> int:
        """Messages without the broker's acknowledgement."""
        return self._client.inflight

    @property
    def careful(self) -> bool:
        """True while messages go one at a time: publish only what `suspect` gives."""
        return bool(self._suspects)

    def post(self, key: Key, topic: str, payload: bytes, *, retain: bool = False) -> asyncio.Future[None]:
        """Publish with QoS 1 without waiting, as `BrokerClient.post` does."""
        future = self._client.post(topic, payload, qos=1, retain=retain)
        waiting = self._open
        while waiting and waiting[0].future.done():
            done = waiting[0]
            if done.future.cancelled() or done.future.exception() is not None:
                break  # the connection has ended: these are looked at when the next one is there
            waiting.popleft()
            self.acknowledged_bytes = max(self.acknowledged_bytes, done.size_bytes)
        if not future.done():
            waiting.append(_Posted(key, packet_bytes(topic, payload), future))
        return future

    def fits(self, size_bytes: int) -> bool:
        """False when a message of this size is known not to pass."""
        if self.limit_bytes and self._clock.monotonic_s() >= self._limit_until_s:
            self.limit_bytes = 0
        return not self.limit_bytes or size_bytes < self.limit_bytes

    def arrives(self, size_bytes: int) -> bool:
        """False when a message of this size may not arrive, for what has no receipt that would show it.

        A broker that drops in silence acknowledges all the same: only what arrived proves anything then.
        """
        if self.fits(size_bytes) and self.limit_bytes:
            proven = self.delivered_bytes if self._silent else max(self.delivered_bytes, self.acknowledged_bytes)
            return size_bytes <= max(proven, SMALLEST_BYTES)
        return self.fits(size_bytes)

    def learn(self, size_bytes: int, *, silent: bool) -> None:
        """A message of this size does not pass; the broker drops it in silence or ends the connection."""
        event(_log, "the broker does not pass on messages of this size", level=logging.WARNING, bytes=size_bytes)
        self.limit_bytes = min(self.limit_bytes, size_bytes) if self.limit_bytes else size_bytes
        self._limit_until_s = self._clock.monotonic_s() + KEPT_S
        self._silent = silent

    def reconnected(self) -> None:
        """A new connection: look at what was under way when the one before ended."""
        now_s = self._clock.monotonic_s()
        early = now_s - self._since_s < EARLY_S
        self._since_s = now_s
        unacknowledged = [one.key for one in self._open if not _acknowledged(one.future)]
        self._open.clear()
        if self._suspects:
            return
        self._losses = self._losses * early + 1 if unacknowledged else 0
        if self._losses >= SUSPICIOUS_LOSSES:
            event(_log, "the broker connection ends again and again: messages go alone", level=logging.WARNING)
            self._losses = 0
            self._suspects.extend(dict.fromkeys(unacknowledged))

    def suspect(self, kind: type[Key]) -> Key | None:
        """The message to publish alone, when it is one of this kind (int or str) and the connection is quiet."""
        if not self._suspects or not isinstance(self._suspects[0], kind):
            return None
        quiet = self._clock.monotonic_s() - self._since_s >= QUIET_S and not self._client.inflight
        return self._suspects[0] if quiet and self.connected else None

    def refused(self, key: Key) -> bool:
        """True when a message has ended the connection often enough."""
        return self._strikes.get(key, 0) >= STRIKES

    async def post_alone(self, key: Key, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Publish a suspect; False when the connection ended instead of an acknowledgement."""
        try:
            future = self._client.post(topic, payload, qos=1, retain=retain)
        except NexusError:
            return False
        if future.done() and not _acknowledged(future):  # it was never sent
            return False
        try:
            await future
        except NexusError:
            self._strikes[key] = self._strikes.get(key, 0) + 1
            return False
        self.acknowledged_bytes = max(self.acknowledged_bytes, packet_bytes(topic, payload))
        self.cleared(key)
        return True

    def cleared(self, key: Key) -> None:
        """It passed, or its owner has dealt with it: the next one."""
        self._strikes.pop(key, None)
        if self._suspects and self._suspects[0] == key:
            self._suspects.popleft()
        if not self._suspects:
            self._strikes.clear()


def _acknowledged(future: asyncio.Future[None]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
