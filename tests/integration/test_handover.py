"""The historian's password changes at the Mosquitto of `nexus up`: it goes to its second account and back, and misses nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from nexus_cli.access.grants import HISTORIAN, Grant
from nexus_cli.access.grants_file import Wanted
from nexus_cli.local.broker_mosquitto import LocalMosquitto
from nexus_cli.local.credentials import ensure_own, read_credentials, replace_own
from nexus_cli.local.processes import identify, spawn, stop
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.message import Message
from tests.servers import answers, free_port, mosquitto_program
from tests.waiting import until, wait_until

pytestmark = [
    pytest.mark.needs_broker,
    pytest.mark.skipif(mosquitto_program() is None, reason="mosquitto is not installed"),
]
WANTED = Wanted(
    tuple(
        Grant(principal=name, action=action, filter="load/#")  # type: ignore[arg-type]
        for name in (HISTORIAN, "nexus.cli")
        for action in ("publish", "subscribe")
    )
)


class Local:
    """A `.nexus` folder, and its Mosquitto."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        home.mkdir()
        runtime = {"site": "acme/chicago", "broker_url": f"mqtt://127.0.0.1:{self.port}"}
        (home / "runtime.json").write_bytes(orjson.dumps(runtime))
        ensure_own(home, [HISTORIAN, "nexus.cli"])
        self.files = LocalMosquitto(home)
        self.files.prepare(port=self.port, wanted=WANTED, passwords=self.passwords)
        launch = self.files.launch()
        self.process = spawn(
            launch.command,
            folder=launch.folder,
            environment=launch.environment,
            log=home / "broker.log",
            identity=launch.identity,
        )
        wait_until(lambda: answers(self.port), "mosquitto")

    @property
    def passwords(self) -> dict[str, str]:
        return read_credentials(self.home)["broker"]

    def settings(self, name: str) -> Settings:
        return load_settings(principal=name, home=self.home, environ={})

    def reload(self, *, handing_over: bool) -> None:
        """As the supervisor does."""
        assert self.files.write_access(WANTED, self.passwords, handing_over=handing_over)
        self.process.send_signal(signal.SIGHUP)

    def end(self) -> None:
        if running := identify(self.process.pid):
            stop(running, signals=[(signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)])
        self.process.wait(10)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    one = Local(tmp_path / ".nexus")
    try:
        yield one
    finally:
        one.end()


class Heard:
    """A historian's client: what came, and as whom it is there."""

    def __init__(self, local: Local, *, moves: bool) -> None:
        self.client = BrokerClient(settings=local.settings(HISTORIAN), client_id=f"{HISTORIAN}-historian-{'0' * 24}")
        self.numbers: list[int] = []
        if moves:
            self.client.move_ahead(lambda: True)

    @property
    def user(self) -> str:
        return self.client._settings.broker_user

    def take(self, message: Message) -> None:
        self.numbers.append(int(message.payload))

    async def run(self, stop: asyncio.Event) -> None:
        await self.client.run(stop, subscriptions=[("$share/group/load/a", 1)], on_message=self.take)


@pytest.mark.parametrize("moves", [True, False], ids=["handed-over", "as-others"])
async def test_a_password_changes_while_messages_come(
    local: Local, moves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEXUS_BROKER_PASSWORD", raising=False)
    heard, stop_, sent = Heard(local, moves=moves), asyncio.Event(), 0

    async def feed(ended: asyncio.Event) -> None:
        nonlocal sent
        client = BrokerClient(settings=local.settings("nexus.cli"), client_id="feeder")
        async with client.session():
            while not ended.is_set():
                await client.publish("load/a", str(sent).encode())
                sent += 1

    async with asyncio.TaskGroup() as group:
        ended = asyncio.Event()
        group.create_task(heard.run(stop_))
        await until(lambda: heard.client.connected)
        await heard.client.subscribe([("$share/group/load/b", 1)])
        feeding = group.create_task(feed(ended))
        await until(lambda: len(heard.numbers) > 20)
        before = heard.client.connects
        assert replace_own(local.home, [HISTORIAN]) == (HISTORIAN,)
        assert local.files.outdated(HISTORIAN, local.passwords[HISTORIAN])
        if moves:
            local.reload(handing_over=True)
            await until(lambda: heard.user == f"{HISTORIAN}.b", "the second account")
            at = len(heard.numbers)
            await until(lambda: len(heard.numbers) > at + 20)
        local.reload(handing_over=False)
        assert not local.files.outdated(HISTORIAN, local.passwords[HISTORIAN])
        password = local.passwords[HISTORIAN]
        await until(lambda: heard.client.connected and heard.client._settings.broker_password == password)
        await until(lambda: heard.user == HISTORIAN, "its own account again")
        at = len(heard.numbers)
        await until(lambda: len(heard.numbers) > at + 20)
        ended.set()
        await feeding
        if moves:
            await until(lambda: len(heard.numbers) >= sent)
            assert sorted(heard.numbers) == list(range(sent)), "each once"
            assert heard.client.connects == before, "never without a connection"
            other = BrokerClient(settings=local.settings("nexus.cli"), client_id="other")
            async with other.session():
                await other.publish("load/b", b"-1")
            await until(lambda: -1 in heard.numbers, "what was subscribed later goes along")
        else:
            assert heard.client.connects > before, "its connection was ended"
        stop_.set()
