"""A broker and a historian in memory, for the publisher: limits of size, rights, lost connections, lost messages."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.gateway.outbox.gate import packet_bytes
from nexus_cli.runtime.gateway.outbox.intervals import Intervals
from nexus_cli.runtime.gateway.outbox.publisher import Publisher
from nexus_cli.wire.frame import Committed, Frame, Gap, decode_gap, encode
from nexus_cli.wire.topic import Topics
from tests.frames import frames_in

TOPICS = Topics("acme", "chicago")
GATEWAY = "gw"
GAP_TOPIC = TOPICS.gap(GATEWAY)


class MemoryBroker:
    """What publisher and live view need of a client, and the historian behind it.

    Attributes:
        limit_bytes: Larger messages do not pass; 0 for no limit.
        closes: True ends the connection at what does not pass, False acknowledges it and drops it.
        denied: Topics that nobody may publish on.
        poison: Messages with these bytes do not pass; b"" for none.
        lossy: Share of messages that are acknowledged and lost.
        late_us: The historian keeps frames of earlier times waiting, without a receipt, as if a lock held them up.
        frames, gaps: What arrived, by (epoch, seq); the first of each number counts.
        live: What arrived with the retain flag, by topic.
        losses: Connections that ended.
        on_acknowledged: Gets the tokens of `send` that are acknowledged: of the gate.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.connected = True
        self.limit_bytes = 0
        self.closes = True
        self.denied: Collection[str] = ()
        self.poison = b""
        self.lossy = 0.0
        self.late_us = 0
        self.frames: dict[tuple[str, int], Frame] = {}
        self.gaps: dict[tuple[str, int], Gap] = {}
        self.live: dict[str, bytes] = {}
        self.losses = 0
        self.publisher: Publisher | None = None
        self.on_connected: Callable[[], None] = lambda: None
        self.on_acknowledged: Callable[[Sequence[int]], None] = lambda tokens: None
        self._random = random.Random(seed)
        self._queue: list[tuple[str, bytes, bool, int | asyncio.Future[None] | None]] = []
        self._uncounted = 0
        self._committed: dict[str, Intervals] = {}

    @property
    def inflight(self) -> int:
        """Messages without acknowledgement."""
        return len(self._queue) - self._uncounted

    def post(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> asyncio.Future[None]:
        """Take a message; the broker looks at it in the loop's next turns."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.send(topic, payload, future, qos=qos, retain=retain)
        return future

    def send(
        self, topic: str, payload: bytes, token: int | asyncio.Future[None], *, qos: int = 1, retain: bool = False
    ) -> None:
        """Take a message with a token; it counts only with QoS 1."""
        if not self.connected:
            raise NexusError("gone", code="NX6010", retriable=True)
        self._queue.append((topic, payload, retain, token if qos else None))
        self._uncounted += not qos

    def fence(self, token: int) -> None:
        """Take a fence."""
        if not self.connected:
            raise NexusError("gone", code="NX6010", retriable=True)
        self._queue.append(("", b"", False, token))
        self._uncounted += 1

    @property
    def unsent_bytes(self) -> int:
        """The socket takes everything."""
        return 0

    def send_many(
        self, heads: Sequence[bytes], payloads: Sequence[bytes], tokens: Sequence[int], *, qos: int, retain: bool
    ) -> None:
        """Take many messages."""
        for head, payload, token in zip(heads, payloads, tokens, strict=True):
            self.send(head[2:].decode(), payload, token, qos=qos, retain=retain)

    async def run(self, stop: asyncio.Event) -> None:
        """Be a broker and a historian until stopped."""
        while not stop.is_set():
            await asyncio.sleep(0.001)
            for _ in range(min(50, len(self._queue))):
                topic, payload, retain, token = self._queue[0]
                if not topic and token is not None:  # a fence
                    self._queue.pop(0)
                    self._uncounted -= 1
                    self.on_acknowledged([token])
                    continue
                passes = self._passes(topic, payload)
                if not passes and self.closes:
                    self.lose()
                    await asyncio.sleep(0.004)
                    self.connected = True
                    self.on_connected()
                    break
                self._queue.pop(0)
                self._uncounted -= token is None
                if isinstance(token, asyncio.Future):
                    token.set_result(None)
                elif token is not None:
                    self.on_acknowledged([token])
                if passes and self._random.random() >= self.lossy:
                    self._store(topic, payload, retain)
            self._announce()

    def _passes(self, topic: str, payload: bytes) -> bool:
        if topic in self.denied or (self.poison and self.poison in payload):
            return False
        return not 0 < self.limit_bytes < packet_bytes(topic, payload)

    def lose(self) -> None:
        """The connection ends."""
        self.connected = False
        self.losses += 1
        waiting, self._queue = self._queue, []
        self._uncounted = 0
        for _, _, _, token in waiting:
            if isinstance(token, asyncio.Future):
                token.set_exception(NexusError("lost", code="NX6010", retriable=True))
                token.exception()

    def _store(self, topic: str, payload: bytes, retain: bool) -> None:
        if retain:
            self.live[topic] = payload
            return
        if topic == GAP_TOPIC:
            gap = decode_gap(payload)
            self.gaps.setdefault((gap.epoch, gap.seq), gap)
            self._committed.setdefault(gap.epoch, Intervals()).add(gap.seq, gap.seq)
            return
        for frame in frames_in(payload):
            if frame.time < self.late_us:
                continue
            self.frames.setdefault((frame.epoch, frame.seq), frame)
            self._committed.setdefault(frame.epoch, Intervals()).add(frame.seq, frame.seq)

    def _announce(self) -> None:
        if self.connected and self.publisher is not None:
            for epoch, ranges in self._committed.items():
                self.publisher.receipt(encode(Committed(epoch=epoch, ranges=ranges.ranges())))
