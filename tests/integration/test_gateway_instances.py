"""Two gateway processes under one name at one broker: one works, the other says why it waits, and takes over."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from nexus_cli.runtime.gateway import gateway as module
from nexus_cli.runtime.gateway.gateway import Gateway, run_gateway
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.topic import Topics
from tests.field import FakeDriver, FakeHistorian, FakeSource, device
from tests.servers import TestBroker
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.needs_broker
GW = "gw-1"
HEALTH = Topics("acme", "chicago").health("gateway", GW)


class Machine:
    """A gateway on a machine of its own: its own folder, its own way to the devices."""

    def __init__(self, broker: TestBroker, home: Path) -> None:
        self.settings = broker.settings(principal=f"nexus.gateway.{GW}", home=home)
        self.driver = FakeDriver()
        self.source = FakeSource([device("a/l/one", poll_ms=100)])
        self.gateways: list[Gateway] = []
        self.stop = asyncio.Event()

    @property
    def gateway(self) -> Gateway:
        return self.gateways[-1]

    @property
    def works(self) -> bool:
        return bool(self.gateways) and self.gateway.election.active

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Machine]:
        self.stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            role = group.create_task(
                run_gateway(
                    self.settings,
                    name=GW,
                    source=self.source,
                    stop=self.stop,
                    drivers=lambda _: self.driver,
                    started=self.gateways.append,
                )
            )
            await until(lambda: self.gateways and self.gateway.http_port)
            yield self
            self.stop.set()
            await role


def name_sessions(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Whether the broker lets two processes in at once, or ends the session of one when the other connects."""

    class Named(BrokerClient):
        def __init__(self, *, client_id: str, **more: Any) -> None:
            # The commands have a session of their own.
            session = "commands" if "will" not in more else "main"
            super().__init__(client_id=f"{session}-{secrets.token_hex(4) if kind == 'different' else ''}", **more)

    monkeypatch.setattr(module, "BrokerClient", Named)


@pytest.mark.slow
@pytest.mark.parametrize("client_ids", ["different", "equal"])
async def test_the_second_one_waits_and_takes_over(
    broker: TestBroker, tmp_path: Path, client_ids: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_sessions(monkeypatch, client_ids)
    historian = FakeHistorian(broker.settings(), live=False)
    first, second = Machine(broker, tmp_path / "first"), Machine(broker, tmp_path / "second")
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(historian.run(stop))
        async with first.running():
            await until(lambda: len(historian.frames) > 5)
            async with second.running():
                await until(lambda: first.gateway.identity.instance in second.gateway.ready()[1])
                why = second.gateway.ready()[1]
                assert f"another instance {first.gateway.identity.instance} of gateway gw-1" in why
                assert why.endswith("this one waits and reads nothing")
                polls = len(first.driver.reads)
                await until(lambda: len(first.driver.reads) > polls + 30)
                assert first.works
                assert not second.driver.reads, "it reads nothing"
                assert {epoch for epoch, _ in historian.frames} == {first.gateway.outbox.epoch}
                if client_ids == "different":
                    assert f"at {first.gateway.identity.host} (pid {first.gateway.identity.pid})" in why
                    first.stop.set()
                    await until(lambda: second.works and len(second.driver.reads) > 5)
                    assert second.gateway.ready() == (True, "")
                    epoch = second.gateway.outbox.epoch
                    await until(lambda: any(one == epoch for one, _ in historian.frames))
                    assert not historian.gaps_with_rows()
                    facts = second.gateway.facts()
                    assert facts.accounted_since > 0, "it does not know what the first one read"
        stop.set()


@pytest.mark.slow
async def test_one_that_was_cut_off_and_replaced_waits_and_delivers_what_it_read(
    broker: TestBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_sessions(monkeypatch, "different")
    historian = FakeHistorian(broker.settings(), live=False)
    relay = Relay(broker.port)
    first, second = Machine(broker, tmp_path / "first"), Machine(broker, tmp_path / "second")
    stop = asyncio.Event()
    async with relay.running() as port, asyncio.TaskGroup() as group:
        first.settings = dataclasses.replace(first.settings, broker_url=f"mqtt://127.0.0.1:{port}")
        group.create_task(historian.run(stop))
        async with first.running():
            await until(lambda: len(historian.frames) > 5)
            relay.cut()
            await until(lambda: not first.gateway._client.connected)
            async with second.running():
                await until(lambda: second.works and len(second.driver.reads) > 5)
                assert first.works, "cut off, it reads on into its disk log"
                last = first.gateway.outbox.newest_seq
                relay.heal()
                await until(lambda: not first.works and not first.gateway.links._tasks)
                reads = len(first.driver.reads)
                assert second.gateway.identity.instance in first.gateway.ready()[1]
                epoch = first.gateway.outbox.epoch
                await until(lambda: all((epoch, seq) in historian.frames for seq in range(1, last + 1)))
                before = len(second.driver.reads)
                await until(lambda: len(second.driver.reads) > before + 10)
                assert second.works
                assert len(first.driver.reads) == reads
        stop.set()


class Relay:
    """A TCP relay to the broker that can be cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open = True
        self._writers: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            self.cut()
            server.close()

    def cut(self) -> None:
        """End every connection, and let nobody in."""
        self._open = False
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def heal(self) -> None:
        """Let them in again."""
        self._open = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, back]

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(1 << 16):
                    sink.write(data)
                    await sink.drain()
            sink.transport.abort()

        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, back))
            group.create_task(pump(there, writer))


async def test_health_names_the_process_and_so_does_the_last_will(broker: TestBroker, tmp_path: Path) -> None:
    machine = Machine(broker, tmp_path / "home")
    heard: list[dict[str, Any]] = []
    listener = BrokerClient(settings=broker.settings(), client_id="listener")
    relay = Relay(broker.port)
    async with relay.running() as port, listener.session() as messages:
        machine.settings = dataclasses.replace(machine.settings, broker_url=f"mqtt://127.0.0.1:{port}")
        await listener.subscribe([(HEALTH, 1)])
        async with machine.running(), asyncio.timeout(PATIENCE_S):
            async for message in messages:
                heard.append(orjson.loads(message.payload))
                if heard[-1]["state"] == "running":
                    break
            relay.cut()
            async for message in messages:
                heard.append(orjson.loads(message.payload))
                if heard[-1]["state"] == "lost":
                    break
    me = machine.gateway.identity
    assert {one["instance"] for one in heard} == {me.instance}
    running = next(one for one in heard if one["state"] == "running")
    assert (running["host"], running["pid"]) == (me.host, me.pid)
    assert heard[0]["state"] == "waiting", "before it knows that it is alone"
