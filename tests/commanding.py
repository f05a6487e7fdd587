"""A plant for commands: a gateway on a real Modbus server that counts its writes, and a client that asks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from nexus_cli.drivers.modbus.simulator import SimulatorServer, serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.datatype import parse_type
from nexus_cli.runtime.gateway.gateway import Gateway, run_gateway
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.command import Report, decode_report
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics
from tests.field import FakeHistorian, FakeSource
from tests.servers import TestBroker
from tests.waiting import patient, until

TOPICS = Topics("acme", "chicago")
GW = "gw-1"
WRITES = (5, 6, 15, 16, 22)
"""Function codes that change something. Source: Modbus Application Protocol V1.1b3 §6."""


def tags(**more: TagConfig) -> dict[str, TagConfig]:
    """A drive: a setpoint in tenths of a degree, a mode, a pulse, a feedback, and things nobody may write."""
    return {
        "setpoint": TagConfig(
            type="int16",
            published_type="float64",
            address="holding:0",
            scale=0.1,
            range=(10.0, 90.0),
            unit="degC",
            publish_unit="degC",
            writable=True,
            poll_ms=200,
        ),
        "mode": TagConfig(type="uint16", address="holding:1", values={"0": "off", "1": "on"}, writable=True),
        "speed": TagConfig(type="float32", address="holding:2", writable=True),
        "pulse": TagConfig(type="uint16", address="holding:4", writable=True, read_back="none"),
        "shown": TagConfig(type="uint16", address="holding:6"),
        "asked": TagConfig(type="uint16", address="holding:5", writable=True, read_back="a/l/drive/shown"),
        "fixed": TagConfig(type="uint16", address="holding:7"),
        "off": TagConfig(type="uint16", address="holding:8", writable=True, enabled=False),
        **more,
    }


def drive(path: str = "a/l/drive", *, port: int = 1, gateway: str = GW, unit_id: int = 1, **more: Any) -> DeviceConfig:
    """One device of the plant."""
    return DeviceConfig(
        path=path,
        protocol="modbus",
        link=f"tcp:127.0.0.1:{port}",
        gateway=gateway,
        connection={"host": "127.0.0.1", "port": port, "unit_id": unit_id, "timeout": 500, "connect_timeout": 1000},
        tags=tags(**more),
    )


def at_rest(tag: TagConfig) -> Any:
    """What a tag holds before anybody wrote it."""
    kind = parse_type(tag.type)
    one = "" if kind.base == "string" else False if kind.base == "bool" else 0
    return [one] * kind.count if kind.count else one


class CountingServer:
    """A Modbus server that remembers every write.

    Attributes:
        writes: (function, first address, data) in order of arrival.
    """

    def __init__(self, server: SimulatorServer) -> None:
        self.server = server
        self.writes: list[tuple[int, int, bytes]] = []
        self.reads = 0
        self.before_write: Any = None
        answer = server.respond

        def respond(unit_id: int, pdu: bytes) -> bytes | None:
            if pdu[0] in WRITES:
                self.writes.append((pdu[0], int.from_bytes(pdu[1:3], "big"), pdu[3:]))
                if self.before_write is not None:
                    verdict = self.before_write()
                    if verdict == "drop":
                        server.drop_connections()
                        return None
                    if verdict == "forget":  # acknowledges what it does not keep
                        return pdu[:5]
            else:
                self.reads += 1
            return answer(unit_id, pdu)

        server.respond = respond  # type: ignore[method-assign]

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port


@contextlib.asynccontextmanager
async def counting(devices: Sequence[DeviceConfig], *, port: int = 0) -> AsyncIterator[CountingServer]:
    """A server for some devices, every tag held still."""
    server = await serve(devices, port=port)
    try:
        for device in devices:
            for name in device.tags:
                if device.tags[name].enabled and device.tags[name].address:
                    server.set(device.path, name, 200 if name == "setpoint" else at_rest(device.tags[name]))
        yield CountingServer(server)
    finally:
        await server.close()


class Asker:
    """A client of the broker that sends commands and collects the answers.

    Attributes:
        answers: Every answer by id, in order of arrival.
        reports_too: Hear what gateways hand over for the record; a plain user may not.
        reports: What the gateway handed over for the record.
    """

    def __init__(self, settings: Settings, *, principal: str = "desk") -> None:
        self.principal = principal
        self.client = BrokerClient(settings=settings, client_id=f"asker-{uuid.uuid4().hex[:8]}")
        self.reports_too = True
        self.answers: dict[str, list[dict[str, Any]]] = {}
        self.reports: dict[str, Report] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until stopped."""
        await self.client.run(
            stop,
            subscriptions=[
                (TOPICS.response("+", self.principal, "+"), 1),
                *([(TOPICS.audit("+"), 1)] if self.reports_too else []),
            ],
            on_message=self._hear,
        )

    def _hear(self, message: Message) -> None:
        if "/audit/" in message.topic:
            report = decode_report(message.payload)
            self.reports[report.response.id] = report
            return
        found = json.loads(message.payload)
        self.answers.setdefault(message.topic.rsplit("/", 1)[1], []).append(found)

    async def send(
        self,
        path: str,
        value: Any,
        *,
        id: str = "",
        expires_s: float = 10.0,
        principal: str = "",
        retain: bool = False,
        **more: Any,
    ) -> str:
        """Publish a command; gives its id."""
        command_id = id or uuid.uuid4().hex
        body = {"id": command_id, "value": value, "expires_at": int((time.time() + expires_s) * 1e6), **more}
        topic = TOPICS.command(path, principal or self.principal)
        await self.client.publish(topic, json.dumps(body).encode(), qos=2, retain=retain)
        return command_id

    async def answer(self, command_id: str, *, deadline_s: float = 10.0, count: int = 1) -> dict[str, Any]:
        """The newest answer to an id, once there are so many."""
        await until(lambda: len(self.answers.get(command_id, ())) >= count, deadline_s=deadline_s)
        return self.answers[command_id][-1]

    async def ask(self, path: str, value: Any, *, deadline_s: float = 10.0, **more: Any) -> dict[str, Any]:
        """Send and wait."""
        return await self.answer(await self.send(path, value, **more), deadline_s=deadline_s)


class Bench:
    """Gateway, historian and asker on one broker."""

    def __init__(self, broker: TestBroker, home: Path, devices: Sequence[DeviceConfig], **settings: Any) -> None:
        import dataclasses

        base = broker.settings(principal=f"nexus.gateway.{GW}", home=home)
        self.settings = dataclasses.replace(base, **settings)
        self.source = FakeSource(devices)
        self.historian = FakeHistorian(self.settings, live=False)
        self.asker = Asker(self.settings)
        self.gateways: list[Gateway] = []

    @property
    def gateway(self) -> Gateway:
        """The newest one."""
        return self.gateways[-1]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Bench]:
        """All of it, until the block ends."""
        stop, others = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.historian.run(others))
            group.create_task(self.asker.run(others))
            role = group.create_task(
                run_gateway(self.settings, name=GW, source=self.source, stop=stop, started=self.gateways.append)
            )
            try:
                await until(self.ready)
                yield self
            finally:
                stop.set()
                await role
                others.set()

    def ready(self) -> bool:
        """Everything that a command needs is there."""
        if not self.gateways or not self.asker.client.connected or not hasattr(self.gateway, "commands"):
            return False
        supervisors = self.gateway.links.supervisors.values()
        facts = self.gateway.commands.facts()
        return bool(facts["connected"] and supervisors and all(one.connected for one in supervisors))


async def retained(broker: TestBroker, topic: str) -> list[bytes]:
    """What the broker keeps on a topic now. A marker published behind the subscription ends the wait."""
    client = BrokerClient(settings=broker.settings(), client_id=f"looks-{uuid.uuid4().hex[:8]}")
    marker = f"looks/{uuid.uuid4().hex}"
    found: list[bytes] = []
    async with asyncio.timeout(20.0), client.session() as messages:
        await client.subscribe([(topic, 1), (marker, 1)])
        await client.publish(marker, b"end")
        async for message in messages:
            if message.topic == marker:
                break
            found.append(message.payload)
    return found


async def until_cleared(broker: TestBroker, topic: str, *, deadline_s: float = 20.0) -> None:
    """Wait until the broker keeps nothing on a topic; fails the test at the deadline."""
    async with asyncio.timeout(patient(deadline_s)):
        while await retained(broker, topic):
            await asyncio.sleep(0.05)
