"""Handles lost and stopped gateways: their tags become BAD `gateway_lost` in the live view, and their devices get open
gaps.

A gateway that is stopped on purpose announces it first: its tags are stale as well, but nothing is wrong.

Control only knows that a gateway is silent. A gateway that returns with its disk log declares what it did not read, and
the open gaps are deleted. One without a disk log (a new machine, a deleted folder) does not know, and another gateway
may read the devices by now: then each gap ends with the first row of its device.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from nexus_cli.apply.observation import Observations
from nexus_cli.database import deployments as db
from nexus_cli.database import gaps
from nexus_cli.database.aliases import aliases
from nexus_cli.database.connect import Connection, Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.model.alias_config import covered, under
from nexus_cli.model.snapshot import Attributes
from nexus_cli.plan.change import stays_retained
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings
from nexus_cli.wire.control_aliases import Alias
from nexus_cli.wire.frame import GapReason
from nexus_cli.wire.gateway_health import GatewayHealth
from nexus_cli.wire.payload import encode_live
from nexus_cli.wire.sample import Quality, Reason
from nexus_cli.wire.topic import Topics


class Publish(Protocol):
    """Publishes with QoS 1, retained unless said otherwise."""

    async def __call__(self, topic: str, payload: bytes, *, retain: bool = True) -> None:
        """Return once the broker has it; raises NexusError when it is away."""


Ask = Callable[[str], Awaitable[None]]
GRACE_S = 1.0
"""A gateway that is back within this time, in seconds, has published its tags again; its last will must not overwrite
them. One that returns while its tags are being marked is asked to publish them again, since a mark may have replaced a
value."""
RETRY_S = 1.0
REVIEW_FIRST_S, REVIEW_LONGEST_S = 1.0, 60.0
"""How often open gaps are reviewed, in seconds: soon after a change, then with increasing delays."""
YOUNG_US = 3_600_000_000
"""A gateway without a disk log that started longer ago than this, in µs, was already handled at its start."""
BATCH = 200
"""Messages published at once."""

_log = logging.getLogger("nexus.presence")


class GatewayLiveness:
    """Tracks which gateways run.

    Attributes:
        lost: Gateways that were lost and whose tags were marked BAD.
        stopped: The same for gateways that were stopped on purpose.
        handled: Number of handled changes, for the stall watch.
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
        """Join the parts; `ask_again` requests that a gateway publishes all tags again."""
        self._settings, self._pool, self._publish, self._ask_again = settings, pool, publish, ask_again
        self._seen, self._clock = observations, clock
        enterprise, _, name = settings.site.partition("/")
        self._topics = Topics(enterprise, name)
        self._due: dict[str, float] = {}
        self._last_seen_us: dict[str, tuple[str, int]] = {}
        self._before_us: dict[str, int] = {}
        self._review_s, self._review_each_s = 0.0, REVIEW_FIRST_S
        self._wake = asyncio.Event()
        self._there: set[str] = set()
        self.lost: set[str] = set()
        self.stopped: set[str] = set()
        self.handled = 0
        self._settling = 0

    @property
    def waiting(self) -> int:
        """Gateways with unhandled changes."""
        return len(self._due) + self._settling

    def receive(self, gateway: str, health: GatewayHealth) -> None:
        """Take a health message; `run` handles it."""
        if health.state == "running":
            instance, seen_us = self._last_seen_us.get(gateway, (health.instance, 0))
            if instance != health.instance:
                self._before_us[gateway] = seen_us
                self._there.discard(gateway)
            self._last_seen_us[gateway] = health.instance, health.time or self._clock.now_us()
            if gateway in self._there:
                return
        elif gateway in self.lost or gateway in self.stopped:
            return
        self._due[gateway] = self._clock.monotonic_s() + (0.0 if health.state == "running" else GRACE_S)
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Handle health messages until stopped; failures are retried."""
        while not stop.is_set():
            due = [name for name, when in self._due.items() if when <= self._clock.monotonic_s()]
            for gateway in due:
                self._settling = 1
                try:
                    with plain_errors(self._settings):
                        await self._handle(gateway)
                    self.handled += 1
                except NexusError:
                    self._due[gateway] = self._clock.monotonic_s() + RETRY_S
                finally:
                    self._settling = 0
            await self._review()
            await wait_for(self._wake, timeout_s=0.1 if self._due else 1.0)
            self._wake.clear()

    async def _handle(self, gateway: str) -> None:
        self._due.pop(gateway, None)
        self._review_s, self._review_each_s = 0.0, REVIEW_FIRST_S
        if self._is_there(gateway):
            async with self._pool.acquire() as conn:
                await self._without_a_past(conn, gateway)
            if gateway in self.lost or gateway in self.stopped or await self._was_away(gateway):
                self.lost.add(gateway)  # until the database can be queried
                await self._ask_again(gateway)
                event(_log, "gateway is back", gateway=gateway)
            self.lost.discard(gateway)
            self.stopped.discard(gateway)
            self._there.add(gateway)
            return
        self._there.discard(gateway)
        health = self._seen.health(gateway)
        on_purpose = health is not None and health.state == "stopping"
        reason = GapReason.GATEWAY_STOPPED if on_purpose else GapReason.GATEWAY_LOST
        async with self._pool.acquire() as conn:
            devices = await db.attributes_of_gateway(conn, self._settings.site, gateway)
            # From its last health message or its last stored row. Without either there is no record to mark.
            _, seen_us = self._last_seen_us.get(gateway, ("", 0))
            start_us = max(seen_us, await gaps.last_stored_us(conn, self._settings.site, gateway))
            if start_us:
                await self._open(conn, gateway, devices, reason, start_us=start_us)
        if not devices:
            return
        message, level = ("gateway stopped", logging.INFO) if on_purpose else ("gateway is lost", logging.WARNING)
        event(_log, message, level=level, gateway=gateway, devices=len(devices))
        away = self.stopped if on_purpose else self.lost
        away.add(gateway)
        try:
            await self._mark(gateway, devices)
        except NexusError:
            away.discard(gateway)
            raise

    async def _open(
        self, conn: Connection, gateway: str, devices: Mapping[str, Attributes], reason: GapReason, *, start_us: int
    ) -> None:
        read = [path for path, device in devices.items() if device.get("enabled", True)]
        await gaps.open_gaps(conn, self._settings.site, gateway, read, start_us=start_us, reason=reason)

    async def _was_away(self, gateway: str) -> bool:
        async with self._pool.acquire() as conn:
            return any(gap.gateway == gateway for gap in await gaps.load_open(conn, self._settings.site))

    async def _without_a_past(self, conn: Connection, gateway: str) -> None:
        """Handle a gateway without a disk log: the time before its start is a gap, even if no absence was noticed."""
        health = self._seen.health(gateway)
        if health is None or not health.instance:
            return
        since_us = health.accounted_since
        if since_us < self._clock.now_us() - YOUNG_US:
            return
        site = self._settings.site
        stored_us = await gaps.last_stored_us(conn, site, gateway, except_epoch=health.outbox.epoch)
        start_us = max(stored_us, self._before_us.get(gateway, 0))
        if start_us and start_us < since_us and not await gaps.is_declared(conn, site, gateway, time_us=since_us):
            devices = await db.attributes_of_gateway(conn, site, gateway)
            await self._open(conn, gateway, devices, GapReason.GATEWAY_LOST, start_us=start_us)

    async def _review(self) -> None:
        """Review the open gaps: how each ends depends on which gateway reads its device now."""
        now_s = self._clock.monotonic_s()
        if now_s < self._review_s:
            return
        self._review_s = now_s + self._review_each_s
        self._review_each_s = min(REVIEW_LONGEST_S, 2 * self._review_each_s)
        with contextlib.suppress(NexusError), plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                opened = await gaps.load_open(conn, self._settings.site)
                if opened:
                    await self._close(conn, opened)

    async def _close(self, conn: Connection, opened: list[gaps.OpenGap]) -> None:
        site = self._settings.site
        owners = (await db.recorded(conn, site)).gateways
        declared: list[gaps.OpenGap] = []
        ended: dict[int, list[gaps.OpenGap]] = {}
        again: dict[int, list[gaps.OpenGap]] = {}
        for gap in opened:
            owner = owners.get(f"device.{gap.device}", "") if gap.device else gap.gateway
            if owner == gap.gateway:
                health = self._seen.health(gap.gateway)
                if health is None or health.state != "running":
                    continue
                if health.instance and health.accounted_since <= gap.start_us:
                    declared.append(gap)
                    continue
                back_us = max(gap.start_us + 1, health.accounted_since)
                (again if gap.device else ended).setdefault(back_us, []).append(gap)
                continue
            back_us = await gaps.recorded_after_us(conn, site, time_us=gap.opened_us) or self._clock.now_us()
            (again if owner else ended).setdefault(back_us, []).append(gap)
        if declared:
            await gaps.drop(conn, declared)
        for end_us, some in ended.items():
            await gaps.close_at(conn, some, end_us=end_us)
        for back_us, some in again.items():
            await gaps.close_by_rows(conn, site, some, back_us=back_us, now_us=self._clock.now_us())

    async def _mark(self, gateway: str, devices: Mapping[str, Attributes]) -> None:
        payload = encode_live(None, time_us=self._clock.now_us(), quality=Quality.BAD, reason=Reason.GATEWAY_LOST)
        old_paths = await self._old_paths(gateway)
        topics = [
            (self._topics.tag(each), stays_retained(tag))
            for path, device in devices.items()
            for name, tag in device.get("tags", {}).items()
            if tag.get("live_publish", True)
            for each in _paths_of(f"{path}/{name}", old_paths)
        ]
        for start in range(0, len(topics), BATCH):
            if self._is_there(gateway):
                return  # it is back and publishes its values itself
            try:
                async with Group() as group:
                    for topic, retain in topics[start : start + BATCH]:
                        group.create_task(self._publish(topic, payload, retain=retain), name=f"mark-{topic}")
            except* NexusError as failed:
                raise _plain(failed) from None

    async def _old_paths(self, gateway: str) -> list[Alias]:
        """Old paths under which it published until now: their values are as stale."""
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                known = await aliases(conn, site=self._settings.site)
        return [each for each in known if each.left_us and gateway in each.gateways]

    def _is_there(self, gateway: str) -> bool:
        health = self._seen.health(gateway)
        return health is not None and health.state == "running"


def _paths_of(path: str, old_paths: Sequence[Alias]) -> list[str]:
    """The path of a tag, and the old ones under which it is published, too."""
    return [path, *(under(path, new=each.to, old=each.old) for each in old_paths if covered(each.to, path))]


def _plain(group: BaseExceptionGroup[NexusError]) -> NexusError:
    first = group.exceptions[0]
    return _plain(first) if isinstance(first, BaseExceptionGroup) else first
