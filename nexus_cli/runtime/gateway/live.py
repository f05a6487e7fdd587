"""The live view: the newest value of every tag on its topic, retained. Never a backlog: older values are conflated."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.normaliser import TagState
from nexus_cli.settings import LIVE_RATE_PER_S
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.payload import encode_live
from nexus_cli.wire.sample import Value

UNACKNOWLEDGED = 100
SLICE_S = 0.02


class LiveView:
    """Remembers the newest value per topic and publishes what changed, in the order of first change.

    Attributes:
        published: Messages handed to the broker.
        conflated: Values that a newer one replaced before they were published.
    """

    def __init__(self, client: BrokerClient, *, clock: Clock, rate_per_s: float = LIVE_RATE_PER_S) -> None:
        """Publish through a client, at most at a rate; above it values are conflated (policy: newest wins)."""
        self.published = 0
        self.conflated = 0
        self._client = client
        self._clock = clock
        self._rate_per_s = rate_per_s
        self._known: dict[str, TagState] = {}
        self._dirty: dict[str, TagState] = {}
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Topics whose newest value is not published yet; bounded by the number of tags."""
        return len(self._dirty)

    def put(self, states: Iterable[TagState]) -> None:
        """Take note that tags have a new sample. Their state holds it, and is read when their turn comes, so that a
        conflated value is never encoded."""
        dirty = self._dirty
        if not dirty:
            self._wake.set()
        for state in states:
            topic = state.topic
            if topic in dirty:
                self.conflated += 1
            dirty[topic] = state
            self._known[topic] = state

    def forget(self, topic: str) -> None:
        """The tag is gone from here: nothing more is published for it."""
        self._known.pop(topic, None)
        self._dirty.pop(topic, None)

    def again(self) -> None:
        """The broker is there (again), perhaps with its state lost: every tag is published again."""
        for topic, state in self._known.items():
            self._dirty.setdefault(topic, state)
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until stopped."""
        allowance = 0.0
        before_s = self._clock.monotonic_s()
        while not stop.is_set():
            now_s = self._clock.monotonic_s()
            most = max(1.0, self._rate_per_s * SLICE_S)
            allowance = min(most, allowance + (now_s - before_s) * self._rate_per_s)
            before_s = now_s
            if not self._dirty or not self._client.connected:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await self._wake.wait()
                continue
            allowance -= self._publish_some(int(allowance))
            if self._dirty:
                await self._clock.sleep(SLICE_S)

    async def finish(self, *, deadline_s: float) -> None:
        """Publish what waits, at most so long (at a stop, while the client is still connected)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while self._dirty and self._client.connected:
                    self._publish_some(int(self._rate_per_s * SLICE_S) or 1)
                    await asyncio.sleep(SLICE_S)

    def _publish_some(self, most: int) -> int:
        done = 0
        while self._dirty and done < most and self._client.inflight < UNACKNOWLEDGED + 200:
            topic = next(iter(self._dirty))
            try:
                self._client.post(topic, payload(self._dirty[topic]), qos=1, retain=True)
            except NexusError:
                break
            del self._dirty[topic]
            self.published += 1
            done += 1
        return done


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
