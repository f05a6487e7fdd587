"""A small outbox and a running historian, for the historian's tests. The outbox keeps what has no receipt."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from nexus_cli.database.connect import connection
from nexus_cli.database.series import sync_series
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.historian.historian import Historian
from nexus_cli.runtime.historian.lanes import Lane
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.frame import Frame, Gap, decode_committed, encode
from nexus_cli.wire.frame_batch import encode_batch, from_frame
from nexus_cli.wire.frame_compression import compressed
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics
from tests.postgres import SITE
from tests.servers import TestBroker
from tests.waiting import PATIENCE_S, until

TOPICS = Topics("acme", "chicago")
DEVICE = "packaging/line-1/filler"
START_US = (time.time_ns() // 1_000_000_000 - 3600) * 1_000_000
"""An hour ago: inside every retention, and not ahead."""


def device(path: str = DEVICE, **types: str) -> DeviceConfig:
    """A device with tags of these types; `_` in a name stands for `-`."""
    tags = {name.replace("_", "-"): TagConfig(type=kind, published_type=kind) for name, kind in types.items()}
    return DeviceConfig(path=path, protocol="modbus", gateway="gw-1", tags=tags)


async def declare(settings: Settings, *devices: DeviceConfig) -> None:
    """Mint the series of these devices."""
    async with connection(settings) as conn:
        await sync_series(conn, site=SITE, devices={each.path: each for each in devices})


async def query(settings: Settings, sql: str, *arguments: Any) -> list[Any]:
    """Rows of a query."""
    async with connection(settings) as conn:
        return list(await conn.fetch(sql, *arguments))


class SmallOutbox:
    """Publishes frames with at most `window` without receipt, and sends them again when none comes."""

    def __init__(self, settings: Settings, *, gateway: str = "gw-1", epoch: str = "E1", window: int = 200) -> None:
        self.gateway, self.epoch, self.window = gateway, epoch, window
        self.client = BrokerClient(settings=settings, client_id=f"outbox-{gateway}-{epoch}")
        self.waiting: dict[int, tuple[str, bytes]] = {}
        self.unsent: list[int] = []
        self.sends = 0
        self.progress = time.monotonic()

    def frame(self, seq: int, samples: dict[str, Any], *, path: str = DEVICE, **more: Any) -> None:
        """Accept a frame."""
        more.setdefault("time", START_US + seq * 1000)
        made = Frame(epoch=self.epoch, seq=seq, samples=samples, **more)
        self.accept(seq, TOPICS.data(self.gateway, path), encode(made))

    def batch(self, first: int, frames: Sequence[tuple[str, Frame]], *, small: bool = False) -> None:
        """Accept a frame batch: devices and frames, which get the numbers from `first` on; compressed when `small`."""
        columns = [from_frame(path, frame) for path, frame in frames]
        payload = encode_batch(columns, epoch=self.epoch, seq=first)
        self.accept(first + len(frames) - 1, TOPICS.batches(self.gateway), compressed(payload) if small else payload)

    def gap(self, seq: int, **more: Any) -> None:
        """Accept a gap."""
        self.accept(seq, TOPICS.gap(self.gateway), encode(Gap(epoch=self.epoch, seq=seq, **more)))

    def accept(self, seq: int, topic: str, payload: bytes) -> None:
        """Accept any message under a number."""
        self.waiting[seq] = (topic, payload)
        self.unsent.append(seq)

    def _heard(self, message: Message) -> None:
        receipt = decode_committed(message.payload)
        if receipt.epoch != self.epoch:
            return
        gone = [seq for seq in self.waiting if any(first <= seq <= last for first, last in receipt.ranges)]
        for seq in gone:
            del self.waiting[seq]
        if gone:
            self.progress = time.monotonic()

    async def _send(self, stop: asyncio.Event) -> None:
        flying: set[int] = set()
        while not stop.is_set():
            flying &= self.waiting.keys()
            if time.monotonic() - self.progress > 1.0:
                self.unsent = sorted(self.waiting)
                flying.clear()
                self.progress = time.monotonic()
            while self.unsent and len(flying) < self.window and self.client.connected:
                seq = self.unsent.pop(0)
                if seq in self.waiting:
                    with contextlib.suppress(NexusError):
                        self.client.post(*self.waiting[seq])
                        self.sends += 1
                    flying.add(seq)
            await asyncio.sleep(0.005)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[SmallOutbox]:
        """Connected and sending."""
        stop = asyncio.Event()
        subscriptions = [(TOPICS.committed(self.gateway), 1)]
        async with asyncio.TaskGroup() as group:
            group.create_task(self.client.run(stop, subscriptions=subscriptions, on_message=self._heard))
            group.create_task(self._send(stop))
            try:
                yield self
            finally:
                stop.set()

    async def drained(self, *, deadline_s: float = PATIENCE_S) -> None:
        """Wait until everything has its receipt."""
        await until(lambda: not self.waiting, f"the receipt of {len(self.waiting)} frames", deadline_s=deadline_s)


@contextlib.asynccontextmanager
async def historian(
    database: Settings, broker: TestBroker, *, name: str = "historian", ready: bool = True
) -> AsyncIterator[Historian]:
    """A historian that runs for the length of a block."""
    settings = dataclasses.replace(database, broker_url=broker.url, principal="nexus.historian", site=SITE)
    role = Historian(settings, name=name)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(role.run(stop), name=name)
        try:
            if ready:
                await until(lambda: role.ready()[0] or running.done(), "readiness")
            yield role
        finally:
            stop.set()


def lane(role: Historian, gateway: str = "gw-1") -> Lane:
    """The lane over which a historian stores what a gateway sends."""
    return role.lanes[role.inbound_queue.lane(TOPICS.batches(gateway))]


def outbox_settings(broker: TestBroker) -> Settings:
    """Settings of a gateway at this broker."""
    return Settings(site=SITE, broker_url=broker.url)
