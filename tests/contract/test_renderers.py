"""The evaluator and each broker's own engine say the same, about publishing and about hearing, also after a reload."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from nexus_cli.access.compile import compile_grants
from nexus_cli.access.evaluate import evaluate
from nexus_cli.access.grants import CLI, Grant, join, principals
from nexus_cli.access.grants_file import Wanted, in_force, wait_in_force
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local import broker_amqtt, broker_mosquitto
from nexus_cli.local.credentials import ensure_credentials
from nexus_cli.local.layout import Home, Runtime
from nexus_cli.local.ports import free_port, listens
from nexus_cli.local.processes import identify, spawn, stop
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.message import Message
from tests.waiting import PATIENCE_S, wait_until

ALL = "nexus.tester"
"""May do everything: says what arrived, and speaks for those who may not."""

SNAPSHOT = Snapshot.of(
    "acme",
    "chicago",
    {
        "device.packaging/line-1/meter": {"gateway": "one", "protocol": "modbus", "tags": {"a": {}}},
        "device.packaging/line-1/filler": {"gateway": "two", "protocol": "opcua", "tags": {"sp": {}}},
        "device.packaging/line-2/press": {"gateway": "one", "protocol": "modbus", "tags": {"a": {}}},
        "device.packaging/line-1/scale": {"gateway": "", "protocol": "external", "tags": {"kg": {}}},
        "role.operator": {"read": ["packaging/**"], "write": ["packaging/line-1/*/sp"]},
        "role.weigher": {"read": ["packaging/*/scale/*"], "write": ["packaging/line-1/scale/kg"]},
        "user.desk": {"role": "operator"},
        "user.scale-pc": {"roles": ["weigher"]},
    },
)
TOPICS = (
    "acme/chicago/packaging/line-1/meter/a",
    "acme/chicago/packaging/line-1/filler/sp",
    "acme/chicago/packaging/line-1/scale/kg",
    "acme/chicago/packaging/line-2/press/a",
    "acme/chicago/utilities/air/dryer/a",
    "acme/elsewhere/packaging/line-1/meter/a",
    "_nexus/acme/chicago/data/one",
    "_nexus/acme/chicago/data/two",
    "_nexus/acme/chicago/data/one/packaging/line-1/meter",
    "_nexus/acme/chicago/data/two/packaging/line-1/filler",
    "_nexus/acme/chicago/gap/one",
    "_nexus/acme/chicago/committed/one",
    "_nexus/acme/chicago/config/one",
    "_nexus/acme/chicago/observed/two",
    "_nexus/acme/chicago/health/gateway/one",
    "_nexus/acme/chicago/health/control/control",
    "_nexus/acme/chicago/alert/hot",
    "_nexus/acme/chicago/cmd/packaging/line-1/filler/sp/desk",
    "_nexus/acme/chicago/cmd/packaging/line-1/filler/sp/scale-pc",
    "_nexus/acme/chicago/cmd/packaging/line-2/press/a/desk",
    "_nexus/acme/chicago/response/gw-1/desk/1",
    "_nexus/acme/chicago/canary/nexus.gateway.one",
    "_nexus/acme/chicago/canary/nexus.historian",
)


def _rules() -> tuple[Grant, ...]:
    return join(compile_grants(SNAPSHOT), [Grant(ALL, "publish", "#"), Grant(ALL, "subscribe", "#")])


class Harness:
    """A broker with our grants."""

    def __init__(self, kind: str, home: Home, grants: tuple[Grant, ...]) -> None:
        self.kind, self.home, self.grants = kind, home, grants
        self.port = free_port()
        self.passwords = ensure_credentials(home.path, broker=principals(grants))["broker"]

    def settings(self, principal: str, password: str | None = None) -> Settings:
        return Settings(
            home=self.home.path,
            site="acme/chicago",
            principal=principal,
            broker_url=f"mqtt://127.0.0.1:{self.port}",
            broker_user=principal,
            broker_password=self.passwords[principal] if password is None else password,
        )

    @asynccontextmanager
    async def client(self, principal: str, name: str = "") -> AsyncIterator[tuple[BrokerClient, list[Message]]]:
        client = BrokerClient(settings=self.settings(principal), client_id=f"test-{principal}{name}")
        heard: list[Message] = []
        async with client.session() as messages, asyncio.TaskGroup() as group:

            async def listen() -> None:
                async for message in messages:
                    heard.append(message)  # noqa: PERF401 - seen while it grows

            task = group.create_task(listen(), name="listen")
            yield client, heard
            task.cancel()


@contextmanager
def _running(kind: str, tmp_path: Path) -> Iterator[Harness]:
    home = Home(tmp_path / ".nexus")
    home.make()
    harness = Harness(kind, home, _rules())
    if kind == "mosquitto":
        broker = broker_mosquitto.LocalMosquitto(home.path)
        broker.prepare(port=harness.port, wanted=Wanted(harness.grants), passwords=harness.passwords)
        launch = broker.launch()
        command, folder, environment, identity = launch.command, launch.folder, launch.environment, launch.identity
    else:
        import os
        import sys

        Wanted(harness.grants).write(home.path)
        home.write_runtime(Runtime(site="acme/chicago", broker_url=f"mqtt://127.0.0.1:{harness.port}"))
        command = (sys.executable, "-m", "nexus_cli", "run", "broker")
        folder, environment, identity = tmp_path, {**os.environ, "NEXUS_HOME": str(home.path)}, None
    log = home.log_file("broker")
    child = spawn(command, log=log, environment=environment, folder=folder, identity=identity)
    try:
        wait_until(lambda: child.poll() is not None or listens(harness.port), "the broker")
        assert child.poll() is None, log.read_text()
        yield harness
    finally:
        running = identify(child.pid)
        if running:
            stop(running, signals=[(signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)])
        child.wait(10)


@pytest.fixture(params=["mosquitto", "amqtt"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    if request.param == "mosquitto" and broker_mosquitto.program() is None:
        pytest.skip("mosquitto is not installed")
    if request.param == "amqtt" and not broker_amqtt.available():
        pytest.skip("amqtt is not installed")
    with _running(request.param, tmp_path) as running:
        yield running


async def _settled(client: BrokerClient, heard: list[Message], topic: str = "end") -> None:
    """Everything sent before has arrived once the last word is back (a broker keeps the order of one publisher)."""
    await client.publish(topic, b"end")
    async with asyncio.timeout(PATIENCE_S):
        while not any(message.payload == b"end" for message in heard):
            await asyncio.sleep(0.01)


async def test_publishing_agrees(harness: Harness) -> None:
    async with harness.client(ALL) as (observer, heard):
        await observer.subscribe([("#", 1)])
        for principal in principals(harness.grants):
            if principal == ALL:
                continue
            async with harness.client(principal, "-p") as (client, _):
                for topic in TOPICS:
                    await client.publish(topic, principal.encode())
        await _settled(observer, heard)
        arrived = {(message.payload.decode(), message.topic) for message in heard if message.payload != b"end"}
    wrong = []
    for principal in principals(harness.grants):
        for topic in TOPICS:
            expected = evaluate(harness.grants, principal=principal, action="publish", topic=topic).allowed
            if principal != ALL and ((principal, topic) in arrived) is not expected:
                wrong.append((principal, topic, "evaluator says", expected))
    assert not wrong


async def test_hearing_agrees(harness: Harness) -> None:
    wrong = []
    async with harness.client(ALL) as (speaker, echo):
        await speaker.subscribe([("end", 1)])
        for principal in principals(harness.grants):
            async with harness.client(principal, "-h") as (client, heard):
                refused = set()
                for topic in TOPICS:
                    try:
                        await client.subscribe([(topic, 1)])
                    except NexusError as error:
                        assert error.code == "NX6012"
                        refused.add(topic)
                for topic in TOPICS:
                    await speaker.publish(topic, b"x")
                echo.clear()
                await _settled(speaker, echo)
                for topic in TOPICS:
                    expected = evaluate(harness.grants, principal=principal, action="subscribe", topic=topic).allowed
                    assert not (expected and topic in refused)
                    async with asyncio.timeout(PATIENCE_S):
                        while expected and not any(message.topic == topic for message in heard):
                            await asyncio.sleep(0.01)
                    if not expected and any(message.topic == topic for message in heard):
                        wrong.append((principal, topic))
    assert not wrong


async def test_retained_messages_do_not_leak(harness: Harness) -> None:
    secret, open_ = "_nexus/acme/chicago/observed/two", "acme/chicago/packaging/line-1/meter/a"
    async with harness.client(ALL) as (speaker, _):
        await speaker.subscribe([("#", 1)])
        await speaker.publish(secret, b"secret", retain=True)
        await speaker.publish(open_, b"open", retain=True)
        async with harness.client("desk") as (client, heard):
            await client.subscribe([("acme/chicago/packaging/#", 1)])
            if harness.kind == "mosquitto":
                await client.subscribe([("#", 1)])
            else:
                with pytest.raises(NexusError):
                    await client.subscribe([("#", 1)])
            async with asyncio.timeout(PATIENCE_S):
                while not heard:
                    await asyncio.sleep(0.01)
            assert {message.topic for message in heard} == {open_}
            assert heard[0].retain


async def test_strangers_and_wrong_passwords_stay_out(harness: Harness, tmp_path: Path) -> None:
    for principal, password in ((CLI, "wrong"), ("stranger", ""), ("", "")):
        # Without the folder in which the right password is: a refused client reads it there once more.
        settings = replace(harness.settings(principal, password), home=tmp_path / "elsewhere")
        client = BrokerClient(settings=settings, client_id="stranger")
        with pytest.raises(NexusError) as caught:
            async with client.session():
                pass
        assert caught.value.code == "NX6011"


async def test_amqtt_follows_a_change(tmp_path: Path) -> None:
    if not broker_amqtt.available():
        pytest.skip("amqtt is not installed")
    with _running("amqtt", tmp_path) as harness:
        topic = "acme/chicago/utilities/air/dryer/a"
        async with asyncio.timeout(PATIENCE_S):
            while in_force(harness.home.path) != Wanted(harness.grants).digest:
                await asyncio.sleep(0.05)
        async with harness.client(ALL) as (observer, heard), harness.client("desk", "-p") as (client, _):
            await observer.subscribe([("#", 1)])
            await client.publish(topic, b"too early")
            wider = join(harness.grants, [Grant("desk", "publish", topic)])
            assert await wait_in_force(harness.home.path, Wanted(wider).write(harness.home.path))
            await client.publish(topic, b"now")
            await _settled(observer, heard)
            assert [message.payload for message in heard if message.topic == topic] == [b"now"]
