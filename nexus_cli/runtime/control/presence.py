"""A gateway that is away: its tags become BAD `gateway_lost` on the live view, and a gap is open until it is back.

One that was stopped on purpose says so before it leaves: its tags are as stale, but nothing is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from nexus_cli.apply.observation import GatewayHealth, Observations
from nexus_cli.database import alerts as gaps
from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings
from nexus_cli.wire.payload import encode_live
from nexus_cli.wire.sample import Quality, Reason
from nexus_cli.wire.topic import Topics

Publish = Callable[[str, bytes], Awaitable[None]]
Ask = Callable[[str], Awaitable[None]]
GRACE_S = 1.0
"""A gateway that is back this soon has published its tags again by itself; its last will must not overtake that. One
that comes back while its tags are being marked is asked to publish them once more: a mark may lie over its value."""
RETRY_S = 1.0
BATCH = 200
"""Messages published at once."""

_log = logging.getLogger("nexus.presence")


class Presence:
    """Which gateways are there.

    Attributes:
        lost: Gateways that vanished and whose tags were marked.
        stopped: The same for gateways that ended on purpose.
        settled: How often it was settled whether a gateway is there.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        pool: Pool,
        publish: Publish,
        ask_again: Ask,
        observations: Observations,
        clock: Clock,
    ) -> None:
        """Join the parts; `ask_again` has a gateway publish every tag once more."""
        self._settings, self._pool, self._publish, self._ask_again = settings, pool, publish, ask_again
        self._seen, self._clock = observations, clock
        enterprise, _, name = settings.site.partition("/")
        self._topics = Topics(enterprise, name)
        self._due: dict[str, float] = {}
        self._last_seen_us: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._there: set[str] = set()
        self.lost: set[str] = set()
        self.stopped: set[str] = set()
        self.settled = 0
        self._settling = 0

    @property
    def waiting(self) -> int:
        """Gateways of which it is to be settled whether they are there."""
        return len(self._due) + self._settling

    def hear(self, gateway: str, health: GatewayHealth) -> None:
        """Take note of a health message; the work is done by `run`."""
        if health.state == "running":
            self._last_seen_us[gateway] = health.time or self._clock.now_us()
            if gateway in self._there:
                return
        elif gateway in self.lost or gateway in self.stopped:
            return
        self._due[gateway] = self._clock.monotonic_s() + (0.0 if health.state == "running" else GRACE_S)
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Settle what was heard, until stopped; what fails is tried again."""
        while not stop.is_set():
            due = [name for name, when in self._due.items() if when <= self._clock.monotonic_s()]
            for gateway in due:
                self._settling = 1
                try:
                    with plain_errors(self._settings):
                        await self._settle(gateway)
                    self.settled += 1
                except NexusError:
                    self._due[gateway] = self._clock.monotonic_s() + RETRY_S
                finally:
                    self._settling = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1 if self._due else 1.0):
                    await self._wake.wait()
            self._wake.clear()

    async def _settle(self, gateway: str) -> None:
        self._due.pop(gateway, None)
        if self._is_there(gateway):
            async with self._pool.acquire() as conn:
                closed = await gaps.close_gap(
                    conn, self._settings.site, gateway, end_us=self._last_seen_us.get(gateway, self._clock.now_us())
                )
            if closed or gateway in self.lost or gateway in self.stopped:
                self.lost.add(gateway)  # until it could be asked
                await self._ask_again(gateway)
                event(_log, "gateway is back", gateway=gateway)
            self.lost.discard(gateway)
            self.stopped.discard(gateway)
            self._there.add(gateway)
            return
        self._there.discard(gateway)
        now = self._clock.now_us()
        health = self._seen.health(gateway)
        on_purpose = health is not None and health.state == "stopping"
        reason = gaps.GATEWAY_STOPPED if on_purpose else gaps.GATEWAY_LOST
        async with self._pool.acquire() as conn:
            devices = await db.attributes_of_gateway(conn, self._settings.site, gateway)
            if devices:
                since_us = self._last_seen_us.get(gateway, now)
                await gaps.open_gap(conn, self._settings.site, gateway, start_us=since_us, reason=reason)
        if not devices:
            return
        told, level = ("gateway stopped", logging.INFO) if on_purpose else ("gateway is lost", logging.WARNING)
        event(_log, told, level=level, gateway=gateway, devices=len(devices))
        away = self.stopped if on_purpose else self.lost
        away.add(gateway)
        try:
            await self._mark(gateway, devices)
        except NexusError:
            away.discard(gateway)
            raise

    async def _mark(self, gateway: str, devices: dict[str, dict[str, Any]]) -> None:
        payload = encode_live(None, time_us=self._clock.now_us(), quality=Quality.BAD, reason=Reason.GATEWAY_LOST)
        topics = [
            self._topics.tag(f"{path}/{tag}") for path, device in devices.items() for tag in device.get("tags", {})
        ]
        for start in range(0, len(topics), BATCH):
            if self._is_there(gateway):
                return  # it is back and publishes its own values again
            try:
                async with Group() as group:
                    for topic in topics[start : start + BATCH]:
                        group.create_task(self._publish(topic, payload), name=f"mark-{topic}")  # type: ignore[arg-type]
            except* NexusError as failed:
                raise _plain(failed) from None

    def _is_there(self, gateway: str) -> bool:
        health = self._seen.health(gateway)
        return health is not None and health.state == "running"


def _plain(group: BaseExceptionGroup[NexusError]) -> NexusError:
    first = group.exceptions[0]
    return _plain(first) if isinstance(first, BaseExceptionGroup) else first
