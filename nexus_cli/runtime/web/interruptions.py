"""When this web may not have received every message, and what it does about it.

A live message comes once (QoS 0). It does not come while the broker is away, and of what a gateway took while it had no
connection itself only the newest value does. A broker also drops messages for a client that does not read, without a word:
after its loop did not run for a while, web subscribes again, and the broker sends what it has kept.

See docs/decisions/0078.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.topic import Topics

LOOK_S = 0.5
STOOD_STILL_S = 1.0
"""A loop that is so late has read nothing for so long: more than sockets hold of a large site."""
AGAIN_S = 10.0
"""Subscriptions are renewed at most so often."""
KEPT_AGAIN_S = 3.0
"""All that a broker keeps of a large site takes it, and us, a quarter of a second: it is asked for at most so often."""
QUIET_S = 0.2
"""After so long without another message that the broker kept, all of them are here."""
LONGEST_KEPT_S = 5.0
GATEWAY = "gateway"

_log = logging.getLogger("nexus.web")


class _State(msgspec.Struct, frozen=True):
    state: str = ""
    instance: str = ""


_state = msgspec.json.Decoder(_State)


class Interruptions:
    """Notices them, and says so.

    Attributes:
        callbacks: Called on the loop at the beginning and at the end of each.
    """

    def __init__(self, client: BrokerClient, cache: LiveCache, topics: Topics, *, clock: Clock) -> None:
        """Follow the health of every gateway."""
        self.callbacks: list[Callable[[], None]] = []
        self._client, self._cache, self._clock = client, cache, clock
        self._prefix = topics.health(GATEWAY, "")
        self._states: dict[int, _State] = {}
        self._renewed_s, self._wanted = -AGAIN_S, False
        self._subscriptions: Sequence[tuple[str, int]] = ()
        self._asking = asyncio.Lock()
        cache.when_new(self._new_topic)

    def happened(self) -> None:
        """Say that something may not have been received, up to now and for a moment longer."""
        for each in self.callbacks:
            each()

    def _new_topic(self, slot: int) -> None:
        if self._cache.topic(slot).startswith(self._prefix):
            self._cache.watch((slot,), self._health)

    def _health(self, slot: int) -> None:
        try:
            now = _state.decode(self._cache.payload(slot) or b"{}")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        before, self._states[slot] = self._states.get(slot), now
        if before is not None and before != now:
            self.happened()

    async def run(self, stop: asyncio.Event, *, subscriptions: Sequence[tuple[str, int]]) -> None:
        """Notice when the loop did not run, until stopped.

        Args:
            stop: Ends it.
            subscriptions: Those of the live view, renewed afterwards.
        """
        self._subscriptions = subscriptions
        while not stop.is_set():
            before_s = self._clock.monotonic_s()
            await wait_for(stop, timeout_s=LOOK_S)
            now_s = self._clock.monotonic_s()
            still_s = now_s - before_s - LOOK_S
            if still_s > STOOD_STILL_S:
                self._wanted = True
                event(
                    _log, "did not run; asks for the live view again", level=logging.WARNING, seconds=round(still_s, 1)
                )
                self.happened()
            if self._wanted and now_s >= self._renewed_s + AGAIN_S:
                await self._renew()
                self._wanted = False

    async def ask_for_kept(self) -> None:
        """Let the broker send again what it keeps, and wait until it came: a message that was published while we listened does
        not say whether it was kept (MQTT 5, 3.3.1.3). Who asks at the same time waits for the same."""
        asked_s = self._clock.monotonic_s()
        async with self._asking:
            if self._renewed_s >= asked_s or not self._client.connected:
                return
            await asyncio.sleep(max(0.0, self._renewed_s + KEPT_AGAIN_S - self._clock.monotonic_s()))
            await self._renew()
            end_s, seen = self._clock.monotonic_s() + LONGEST_KEPT_S, -1
            while self._cache.kept != seen and self._clock.monotonic_s() < end_s:
                seen = self._cache.kept
                await asyncio.sleep(QUIET_S)

    async def _renew(self) -> None:
        self._renewed_s = self._clock.monotonic_s()
        try:
            await self._client.subscribe(self._subscriptions)
        except NexusError:  # the broker is gone: after the next connect it sends everything
            return
