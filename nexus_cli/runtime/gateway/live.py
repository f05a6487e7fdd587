"""The live view: the newest value of each tag, retained on its topic. There is no backlog: older values are conflated.

See docs/decisions/0011.
"""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np
import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.devices.tag_table import Positions, TagState, TagTable
from nexus_cli.runtime.gateway.outbox.gate import KEPT_S, PLAUSIBLE_LIMIT, Gate, packet_bytes
from nexus_cli.runtime.gateway.outbox.splitting import MESSAGE_BYTES, SMALLEST_BYTES
from nexus_cli.settings import LIVE_RATE_PER_S
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.payload import encode_live
from nexus_cli.wire.sample import Quality, Reason, Value

MOST_IN_FLIGHT = 300
"""Unacknowledged messages, frames included, above which the live view waits."""
SLICE_S = 0.02
IDLE_S = 0.5
REFUSED_PAUSE_S = 300.0
"""How long a topic is not published whose messages end the connection whatever their size, in seconds."""


class LiveQueue:
    """Tags to publish, and how many of them may be published now.

    Attributes:
        dirty: State by topic, in the order of first change.
        allowance: Messages that may be published now; grows with time.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.dirty: dict[str, TagState] = {}
        self.allowance = 0.0

    def refill(self, messages: float, *, most: float) -> float:
        """Add to the allowance; returns what exceeds `most`, for the other queue."""
        total = self.allowance + messages
        self.allowance = min(most, total)
        return total - self.allowance


class LiveView:
    """Publishes the newest value of each changed topic, in the order of first change.

    Reported and polled values have separate queues: each gets half of the rate, and what one does not need the other
    may use. So an event does not wait behind a backlog of polled values, nor polled values behind a device that reports
    continuously.

    Attributes:
        published: Messages passed to the broker.
        conflated: Values that a newer one replaced before they were published.
        too_large: Values published as BAD `too_large`, because the broker does not accept messages of their size.
        gate: The window of messages to the broker, shared with the publisher of the record.
    """

    def __init__(
        self,
        client: BrokerClient,
        *,
        clock: Clock,
        gate: Gate | None = None,
        rate_per_s: float = LIVE_RATE_PER_S,
    ) -> None:
        """Publish through a client, at most at a rate; above it values are conflated (policy: newest wins)."""
        self.published = 0
        self.conflated = 0
        self.too_large = 0
        self.gate = gate or Gate(client, clock=clock)
        self._refused: dict[str, float] = {}
        self._most_bytes: dict[str, tuple[int, float]] = {}
        self._clock = clock
        self._rate_per_s = rate_per_s
        self._known: dict[str, TagState] = {}
        self._reported, self._polled = LiveQueue(), LiveQueue()
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Topics whose newest value is not published yet; bounded by the number of tags."""
        return len(self._reported.dirty) + len(self._polled.dirty)

    def put(self, table: TagTable, positions: Positions | None) -> None:
        """Queue tags of a device that have a new sample; None for all of them. The value is read from the table when it
        is published, so a conflated value is never encoded."""
        reported, polled = self._reported.dirty, self._polled.dirty
        wake = not reported and not polled
        for state in table.states if positions is None else map(table.state, positions.tolist()):
            topic = state.topic
            if state.config.mode == "poll":
                dirty = polled
            else:
                dirty, wake = reported, wake or not reported
            if topic in dirty:
                self.conflated += 1
            dirty[topic] = state
            self._known[topic] = state
        if wake:
            self._wake.set()

    def forget(self, topic: str) -> None:
        """Stop publishing a tag that has been removed."""
        self._known.pop(topic, None)
        self._refused.pop(topic, None)
        self._most_bytes.pop(topic, None)
        self._reported.dirty.pop(topic, None)
        self._polled.dirty.pop(topic, None)

    def again(self) -> None:
        """After a connect: publish every tag again, since the broker may have lost its state."""
        for topic, state in self._known.items():
            queue = self._polled if state.config.mode == "poll" else self._reported
            queue.dirty.setdefault(topic, state)
        self._wake.set()

    def noticed(self, notice: bytes) -> None:
        """A configuration notice: with `again` every tag is published again, since control has marked them BAD
        meanwhile."""
        with contextlib.suppress(ValueError):
            fields = orjson.loads(notice)
            if isinstance(fields, dict) and fields.get("again") is True:
                self.again()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until stopped."""
        before_s = self._clock.monotonic_s()
        while not stop.is_set():
            now_s = self._clock.monotonic_s()
            self._refill(now_s - before_s)
            before_s = now_s
            self._wake.clear()
            if self.gate.careful:
                await self._publish_suspect()
            elif self.gate.connected:
                self._publish_some(self._reported)
                self._publish_some(self._polled)
            # With a backlog: the next slice. A reported value that finds its queue empty wakes this task earlier.
            pause_s = SLICE_S if self.waiting and self.gate.connected else IDLE_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()

    async def finish(self, *, deadline_s: float) -> None:
        """Publish what is queued, for at most `deadline_s` seconds (at a stop, while the client is still connected)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while self.waiting and self.gate.connected:
                    self._refill(SLICE_S)
                    self._publish_some(self._reported)
                    self._publish_some(self._polled)
                    await asyncio.sleep(SLICE_S)

    def _refill(self, passed_s: float) -> None:
        most = max(1.0, self._rate_per_s * SLICE_S)
        half = passed_s * self._rate_per_s / 2
        spare = self._reported.refill(half, most=most)
        spare = self._polled.refill(half + spare, most=most)
        self._reported.refill(spare, most=most)

    def _publish_some(self, queue: LiveQueue) -> None:
        if self.gate.careful:
            return
        while queue.dirty and queue.allowance >= 1 and self.gate.inflight < MOST_IN_FLIGHT:
            topic = next(iter(queue.dirty))
            if not self._refused or not self._is_refused(topic):
                try:
                    self.gate.post(topic, topic, self._payload(queue.dirty[topic]), retain=True)
                except NexusError:
                    return
                queue.allowance -= 1
                self.published += 1
            del queue.dirty[topic]

    def _payload(self, state: TagState) -> bytes:
        """The newest sample, or BAD `too_large` when its message would be too large."""
        data = payload(state)
        if len(data) > self._most(state.topic) or not self.gate.arrives(packet_bytes(state.topic, data)):
            self.too_large += 1
            return encode_live(None, time_us=state.time_us, quality=Quality.BAD, reason=Reason.TOO_LARGE)
        return data

    def _most(self, topic: str) -> int:
        """The largest payload for a topic, in bytes."""
        most_bytes, until_s = self._most_bytes.get(topic, (MESSAGE_BYTES, 0.0))
        if until_s and self._clock.monotonic_s() >= until_s:
            del self._most_bytes[topic]
            return MESSAGE_BYTES
        return most_bytes

    def _is_refused(self, topic: str) -> bool:
        until_s = self._refused.get(topic)
        if until_s is not None and self._clock.monotonic_s() >= until_s:
            del self._refused[topic]
            until_s = None
        return until_s is not None

    async def _publish_suspect(self) -> None:
        """Publish alone a value that may have ended the connection, and decide what to do if it does so again."""
        topic = self.gate.suspect(str)
        if not isinstance(topic, str):
            return
        state = self._known.get(topic)
        if state is None:
            self.gate.cleared(topic)
            return
        data = self._payload(state)
        if not self.gate.refused(topic):
            await self.gate.post_alone(topic, topic, data, retain=True)
            return
        self.gate.cleared(topic)
        size_bytes = packet_bytes(topic, data)
        if size_bytes <= max(self.gate.acknowledged_bytes, SMALLEST_BYTES):
            self._refused[topic] = self._clock.monotonic_s() + REFUSED_PAUSE_S
            return
        # The size may be the reason. If BAD `too_large`, published instead, is accepted, it is.
        if size_bytes >= PLAUSIBLE_LIMIT:
            self.gate.learn(size_bytes, silent=False)
        self._most_bytes[topic] = (len(data) - 1, self._clock.monotonic_s() + KEPT_S)
        self.put(state.table, np.array([state.at]))


def payload(state: TagState) -> bytes:
    """The live payload of a tag's newest sample."""
    config, value = state.config, state.value
    return encode_live(
        value,
        time_us=state.time_us,
        quality=state.quality,
        source_time_us=state.source_us,
        unit=config.publish_unit or config.unit or None,
        label=config.values.get(_code(value)) if config.values and value is not None else None,
        reason=state.reason,
    )


def _code(value: Value) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
