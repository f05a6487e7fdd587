"""The window of messages to the broker: it isolates a message that the broker does not pass on.

MQTT 3.1.1 has no error for "too large" or "not allowed": the broker closes the connection, with all other messages on
it, and the next connection sends the same message again. So after two connections that ended early with unacknowledged
messages, those are sent one at a time, each on a connection that was idle for a second. One that ends three connections
counts as refused: its owner makes it smaller or blocks its topic. Nothing else is published meanwhile, so that no
message is blamed for another one.

Live values of QoS 0 have fences instead of acknowledgements, see docs/decisions/0066.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.outbox.splitting import SMALLEST_BYTES
from nexus_cli.runtime.latency import Latency
from nexus_cli.runtime.logging import event
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.frame_compression import compressed

_log = logging.getLogger("nexus.gateway")
Key: TypeAlias = int | str
"""Identifies a message: a record by its last number, a live value by its topic."""

EARLY_S = 30.0
"""A connection that ends within this time, in seconds, may have ended because of a message on it."""
SUSPICIOUS_LOSSES = 2
STRIKES = 3
QUIET_S = 1.0
PLAUSIBLE_LIMIT = 16 * 1024
"""Brokers with a lower limit, in bytes, are rare: a smaller message is as likely refused for its topic."""
FENCE = 0
"""The token of a fence behind values of QoS 0; those of records are above it, those of live values below."""
FENCE_S = 0.05
MANY_UNPROVEN = 500
"""The next fence leaves when so many seconds have passed since the last one, or so many values have left behind it."""
SLOW_BYTES, SLOW_S = 64 * 1024, 0.2
"""A link is slow while so many bytes of records, the oldest message for so many seconds, wait for the broker."""
KEPT_S = 3600.0
"""A limit that was found expires after this time, in seconds: the broker's may have been raised."""


class LiveTokens(Protocol):
    """Whose messages `Gate.post_many` publishes."""

    def acknowledged(self, tokens: Sequence[int]) -> None:
        """The broker has them."""

    def topics(self, tokens: Iterable[int]) -> list[str]:
        """The topics of messages that were on the connection when it ended, each once."""


class _Nobody:
    def acknowledged(self, tokens: Sequence[int]) -> None:
        """Nothing was published."""

    def topics(self, tokens: Iterable[int]) -> list[str]:
        """None."""
        return []


class _Posted(NamedTuple):
    key: Key
    size_bytes: int
    posted_s: float


def packet_bytes(topic: str, payload: bytes) -> int:
    """The size that counts for a broker's limit, without a few bytes of header."""
    return len(topic) + len(payload)


class Gate:
    """Publishes records and live values, and isolates those that end the connection.

    `acknowledged` has to be given to the run of the client: so a message costs no future.

    Attributes:
        acknowledged_bytes: The largest message that the broker acknowledged.
        delivered_bytes: The largest message known to have arrived; set by the publisher.
        limit_bytes: Messages of this size or more are not passed on; 0 when no limit is known.
        compress: Whether records are compressed: `never`, `auto` or `always`.
        records, record_bytes: Records that the broker has not acknowledged; live values are not counted.
    """

    def __init__(self, client: BrokerClient, *, clock: Clock, latency: Latency | None = None) -> None:
        """Publish through a client.

        `latency` gets the time until the broker's acknowledgement: of each message that `post` sends, of one live value of
        QoS 1 at a time, and of each fence.
        """
        self.acknowledged_bytes = 0
        self.delivered_bytes = 0
        self.limit_bytes = 0
        self._client, self._clock = client, clock
        self._latency = latency or Latency(clock)
        self.compress = "never"
        self.records = self.record_bytes = 0
        self._open: dict[int, _Posted] = {}
        self._token = 0
        self._view: LiveTokens = _Nobody()
        self._live: set[int] = set()
        self._watched: int | None = None
        self._watched_s = 0.0
        self._unproven: list[int] = []
        self._fenced = 0
        self._fenced_s = 0.0
        self._next_fence_s = 0.0
        self._on_acknowledged: list[Callable[[], None]] = []
        self._since_s = clock.monotonic_s()
        self._losses = 0
        self._suspects: deque[Key] = deque()
        self._strikes: dict[Key, int] = {}
        self._limit_until_s = 0.0
        self._silent = False

    @property
    def connected(self) -> bool:
        """True while the client is connected."""
        return self._client.connected

    @property
    def inflight(self) -> int:
        """Messages that the broker has not acknowledged."""
        return self._client.inflight

    @property
    def unproven(self) -> int:
        """Values of QoS 0 that the broker may not have taken yet: no fence behind them was answered."""
        return len(self._unproven)

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait for the socket."""
        return self._client.unsent_bytes

    @property
    def careful(self) -> bool:
        """True while messages are sent one at a time: publish only what `suspect` returns."""
        return bool(self._suspects)

    def post(self, key: Key, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Publish with QoS 1 without waiting; gives the size of the packet, of which a record may have been compressed.

        Raises:
            NexusError: NX6010 retriable: not connected, or too much waits for the broker. Nothing was sent.
        """
        if isinstance(key, int) and (self.compress == "always" or (self.compress == "auto" and self.slow)):
            payload = compressed(payload)
        token = self._token = self._token + 1
        self._client.send(topic, payload, token, qos=1, retain=retain)
        size_bytes = packet_bytes(topic, payload)
        self._open[token] = _Posted(key, size_bytes, self._latency.now_s())
        if isinstance(key, int):
            self.records += 1
            self.record_bytes += size_bytes
        return size_bytes

    @property
    def slow(self) -> bool:
        """Whether the broker acknowledges late: much waits for it, and has waited for long."""
        if self.record_bytes < SLOW_BYTES or not self._open:
            return False
        return self._latency.now_s() - next(iter(self._open.values())).posted_s >= SLOW_S

    def post_many(
        self, heads: Sequence[bytes], payloads: Sequence[bytes], tokens: Sequence[int], *, qos: int, retain: bool
    ) -> None:
        """Publish small live values at once: all of them, or none.

        Args:
            heads: Topics, by `wire.mqtt.packets.topic_head`.
            payloads: One per topic; topic and payload are at most `SMALLEST_BYTES` together, so that any broker passes them
                by their size.
            tokens: One per topic, all below 0: what `LiveTokens` gets.
            qos: 0 or 1.
            retain: As in MQTT.

        Raises:
            NexusError: As `post`.
        """
        self._client.send_many(heads, payloads, tokens, qos=qos, retain=retain)
        if qos:
            self._live.update(tokens)
            if self._watched is None and tokens:
                self._watched, self._watched_s = tokens[-1], self._latency.now_s()
        else:
            self._unproven += tokens
            self.tidy()

    def acknowledged(self, tokens: Sequence[int]) -> None:
        """The broker has acknowledged these messages: what `BrokerClient.run` calls with the tokens of `post` and
        `post_many`."""
        live = [token for token in tokens if token < 0]
        if live:
            self._live.difference_update(live)
            self._view.acknowledged(live)
            if self._watched is not None and self._watched not in self._live:
                self._latency.ended(self._watched_s)
                self._watched = None
        for token in tokens if len(live) < len(tokens) else ():
            done = self._open.pop(token, None)
            if done is None:
                if token == FENCE:
                    self._proven()
                continue
            self._latency.ended(done.posted_s)
            if done.size_bytes > self.acknowledged_bytes:
                self.acknowledged_bytes = done.size_bytes
            if isinstance(done.key, int):
                self.records -= 1
                self.record_bytes -= done.size_bytes
        for call in self._on_acknowledged:
            call()

    def tidy(self) -> None:
        """Send a fence behind values of QoS 0 when it is time; one is on its way at most."""
        if not self._unproven or self._fenced:
            return
        now_s = self._clock.monotonic_s()
        if now_s < self._next_fence_s and len(self._unproven) < MANY_UNPROVEN:
            return
        self._next_fence_s = now_s + FENCE_S
        with contextlib.suppress(NexusError):  # then the connection is over, or full: nothing is proven
            self._client.fence(FENCE)
            self._fenced, self._fenced_s = len(self._unproven), now_s

    def _proven(self) -> None:
        """The broker has taken the values before the fence."""
        if self._fenced:
            self._latency.ended(self._fenced_s)
        proven = self._unproven[: self._fenced]
        del self._unproven[: self._fenced]
        self._fenced = 0
        self._view.acknowledged(proven)
        self.tidy()

    def live_view(self, view: LiveTokens) -> None:
        """Set who owns the messages of `post_many`."""
        self._view = view

    def on_acknowledged(self, call: Callable[[], None]) -> None:
        """Add a callback for acknowledgements: once per read of the socket that has any."""
        self._on_acknowledged.append(call)

    def fits(self, size_bytes: int) -> bool:
        """False when a message of this size is known not to be passed on."""
        if self.limit_bytes and self._clock.monotonic_s() >= self._limit_until_s:
            self.limit_bytes = 0
        return not self.limit_bytes or size_bytes < self.limit_bytes

    def arrives(self, size_bytes: int) -> bool:
        """False when a message of this size may not arrive; for messages without a receipt.

        A broker that drops messages without notice still acknowledges them: then only sizes that arrived are proof.
        """
        if self.fits(size_bytes) and self.limit_bytes:
            proven = self.delivered_bytes if self._silent else max(self.delivered_bytes, self.acknowledged_bytes)
            return size_bytes <= max(proven, SMALLEST_BYTES)
        return self.fits(size_bytes)

    def learn(self, size_bytes: int, *, silent: bool) -> None:
        """A message of this size is not passed on; the broker drops it (`silent`) or ends the connection."""
        event(_log, "the broker does not pass on messages of this size", level=logging.WARNING, bytes=size_bytes)
        self.limit_bytes = min(self.limit_bytes, size_bytes) if self.limit_bytes else size_bytes
        self._limit_until_s = self._clock.monotonic_s() + KEPT_S
        self._silent = silent

    def reconnected(self) -> None:
        """After a connect: examine the messages that were unacknowledged when the previous connection ended."""
        now_s = self._clock.monotonic_s()
        early = now_s - self._since_s < EARLY_S
        self._since_s = now_s
        unacknowledged = [one.key for one in self._open.values()]
        unacknowledged += self._view.topics([*sorted(self._live, reverse=True), *self._unproven])
        self._open.clear()
        self._live.clear()
        self._watched = None
        self._unproven.clear()
        self._fenced = 0
        self.records = self.record_bytes = 0
        if self._suspects:
            return
        # Only consecutive early losses count: a network that fails now and then must not make a message a suspect.
        self._losses = self._losses * early + 1 if unacknowledged else 0
        if self._losses >= SUSPICIOUS_LOSSES:
            event(_log, "the broker connection ends again and again: messages go alone", level=logging.WARNING)
            self._losses = 0
            self._suspects.extend(dict.fromkeys(unacknowledged))

    def suspect(self, kind: type[Key]) -> Key | None:
        """The message to publish alone, if it is of this kind (int or str) and the connection is idle."""
        if not self._suspects or not isinstance(self._suspects[0], kind):
            return None
        # With another message in flight, or right after a connect, the end of the connection could have another cause.
        quiet = self._clock.monotonic_s() - self._since_s >= QUIET_S and not self._client.inflight
        return self._suspects[0] if quiet and self.connected else None

    def refused(self, key: Key) -> bool:
        """True when a message has ended the connection often enough."""
        return self._strikes.get(key, 0) >= STRIKES

    async def post_alone(self, key: Key, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Publish a suspect alone; False when the connection ended before the acknowledgement."""
        began_s = self._latency.now_s()
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
        self._latency.ended(began_s)
        self.acknowledged_bytes = max(self.acknowledged_bytes, packet_bytes(topic, payload))
        self.cleared(key)
        return True

    def cleared(self, key: Key) -> None:
        """The suspect was passed on, or its owner has handled it: continue with the next one."""
        self._strikes.pop(key, None)
        if self._suspects and self._suspects[0] == key:
            self._suspects.popleft()
        if not self._suspects:
            self._strikes.clear()


def _acknowledged(future: asyncio.Future[None]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
