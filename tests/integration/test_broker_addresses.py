"""The broker client over TLS and WebSocket, and against a broker that keeps its sockets and does nothing."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.message import Message
from tests.servers import TestBroker, free_port, mosquitto_program, new_broker
from tests.waiting import PATIENCE_S, until, wait_until

pytestmark = [
    pytest.mark.needs_broker,
    pytest.mark.skipif(mosquitto_program() is None, reason="mosquitto is not installed"),
]


async def goes_round(settings: Settings, *, count: int = 20) -> None:
    """Publish and hear the same."""
    client = BrokerClient(settings=settings, client_id="round")
    async with asyncio.timeout(PATIENCE_S), client.session() as messages:
        await client.subscribe([("a/#", 1)])
        for number in range(count):
            await client.publish(f"a/{number}", b"x" * 100_000)
        heard = {(await anext(messages)).topic for _ in range(count)}
    assert heard == {f"a/{number}" for number in range(count)}


class Encrypted:
    """A broker with a TLS listener beside its plain one.

    Args:
        mutual: It demands certificates of its clients.
        names: Hosts in its certificate.
        dates: Of its certificate, as `trustme` takes them.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mutual: bool = False,
        names: tuple[str, ...] = ("localhost", "127.0.0.1"),
        **dates: datetime,
    ) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert(*names, **dates)
        ours, strange = authority.issue_cert(common_name="nexus.cli"), trustme.CA().issue_cert(common_name="nexus.cli")
        self.ours, self.ours_key, self.strange = folder / "ours.pem", folder / "ours.key", folder / "strange.pem"
        ours.cert_chain_pems[0].write_to_path(str(self.ours))
        ours.private_key_pem.write_to_path(str(self.ours_key))
        strange.private_key_and_cert_chain_pem.write_to_path(str(self.strange))
        self.ca, self.other_ca = folder / "ca.pem", folder / "other.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        trustme.CA().cert_pem.write_to_path(str(self.other_ca))
        key, chain = folder / "key.pem", folder / "chain.pem"
        certificate.private_key_pem.write_to_path(str(key))
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        self.port = free_port()
        options = (f"listener {self.port} 127.0.0.1", f"certfile {chain}", f"keyfile {key}")
        if mutual:
            options += (f"cafile {self.ca}", "require_certificate true")
        self.broker = TestBroker(folder=folder, options=options)

    def settings(self, *, host: str = "localhost", ca: Path | None = None) -> Settings:
        """Over TLS."""
        url = f"mqtts://{host}:{self.port}"
        return dataclasses.replace(self.broker.settings(), broker_url=url, broker_ca=str(ca or self.ca))


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[Encrypted]:
    """It runs."""
    one = Encrypted(tmp_path)
    one.broker.start()
    yield one
    one.broker.kill()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_tls(encrypted: Encrypted, host: str) -> None:
    await goes_round(encrypted.settings(host=host))


async def test_a_certificate_of_somebody_else_is_one_plain_sentence(encrypted: Encrypted) -> None:
    with pytest.raises(NexusError) as failed:
        await goes_round(encrypted.settings(ca=encrypted.other_ca))
    assert failed.value.code == "NX6010"
    assert failed.value.message == (
        f"The certificate of the broker at mqtts://localhost:{encrypted.port} comes from a CA that is not trusted here."
    )
    assert "NEXUS_BROKER_CA" in failed.value.hint


async def test_tls_to_a_plain_listener_and_the_other_way_round(encrypted: Encrypted) -> None:
    plain = dataclasses.replace(encrypted.settings(), broker_url=f"mqtts://localhost:{encrypted.broker.port}")
    reverse = dataclasses.replace(encrypted.settings(), broker_url=f"mqtt://localhost:{encrypted.port}")
    for wrong, said in ((plain, "does not support TLS"), (reverse, "requires TLS")):
        with pytest.raises(NexusError) as failed:
            await goes_round(wrong)
        assert failed.value.code == "NX6010" and said in failed.value.message
        assert failed.value.cause


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"names": ("broker.plant",)}, "is for another host"),
        ({"not_before": NOW - timedelta(days=9), "not_after": NOW - timedelta(days=1)}, "has expired"),
        ({"not_before": NOW + timedelta(days=1), "not_after": NOW + timedelta(days=9)}, "is not valid yet"),
    ],
)
async def test_a_certificate_says_what_is_wrong_with_it(made: dict[str, Any], said: str, tmp_path: Path) -> None:
    one = Encrypted(tmp_path, **made)
    one.broker.start()
    try:
        with pytest.raises(NexusError) as failed:
            await goes_round(one.settings())
        assert said in failed.value.message and failed.value.hint, failed.value
        client = BrokerClient(settings=one.settings(), client_id="role")
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(client.run(stop, subscriptions=[], on_message=lambda _: None))
            await until(lambda: client.problem is not None and said in client.problem.message)
            stop.set()
    finally:
        one.broker.kill()


async def test_a_broker_that_demands_a_certificate(tmp_path: Path) -> None:
    one = Encrypted(tmp_path, mutual=True)
    one.broker.start()
    try:
        shown = dataclasses.replace(one.settings(), broker_cert=str(one.ours), broker_key=str(one.ours_key))
        await goes_round(shown)
        with pytest.raises(NexusError, match="requires a client certificate") as failed:
            await goes_round(one.settings())
        assert "NEXUS_BROKER_CERT" in failed.value.hint
        with pytest.raises(NexusError, match="does not accept our certificate"):
            await goes_round(dataclasses.replace(one.settings(), broker_cert=str(one.strange)))
        for wrong in ({"broker_cert": str(one.strange)}, {"broker_key": str(tmp_path / "absent")}, {"broker_cert": ""}):
            with pytest.raises(NexusError) as failed:
                await goes_round(dataclasses.replace(shown, **wrong))
            assert failed.value.code == "NX6002" and failed.value.hint
    finally:
        one.broker.kill()


def test_a_ca_file_that_is_none(encrypted: Encrypted, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for path in (tmp_path / "absent.pem", tmp_path / "empty.pem"):
        with pytest.raises(NexusError, match="CA file") as failed:
            asyncio.run(goes_round(encrypted.settings(ca=path)))
        assert failed.value.code == "NX6002"


_WEBSOCKETS = """
import asyncio, sys
from amqtt.broker import Broker
async def main():
    broker = Broker({"listeners": {"default": {"type": "ws", "bind": "127.0.0.1:" + sys.argv[1]}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}})
    await broker.start()
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_websocket(tmp_path: Path) -> None:
    """Debian's mosquitto has no WebSockets any more, so the other side is amqtt."""
    import subprocess
    import sys

    from tests.servers import answers

    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", _WEBSOCKETS, str(port)], stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(port), "amqtt")
        await goes_round(Settings(broker_url=f"ws://127.0.0.1:{port}/mqtt"))
    finally:
        process.terminate()
        process.wait(10)


async def test_a_websocket_to_a_server_that_speaks_none(encrypted: Encrypted) -> None:
    with pytest.raises(NexusError) as failed:
        await goes_round(Settings(broker_url=f"ws://127.0.0.1:{encrypted.broker.port}/mqtt"))
    assert failed.value.code == "NX6010"
    assert failed.value.cause


async def test_a_frozen_broker_is_noticed_and_comes_back(tmp_path: Path) -> None:
    broker = new_broker(tmp_path, kind="mosquitto").start()
    heard: list[Message] = []
    lost: list[bool] = []
    client = BrokerClient(settings=broker.settings(), client_id="one", keepalive_s=2)
    stop = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(
                client.run(stop, subscriptions=[("a", 1)], on_message=heard.append, on_lost=lambda: lost.append(True))
            )
            await until(lambda: client.connected)
            broker.freeze()
            waiting = client.post("a", b"into the ice")
            await until(lambda: bool(lost))
            with pytest.raises(NexusError) as failed:
                await waiting
            assert failed.value.code == "NX6010"
            assert failed.value.retriable
            assert client.problem is not None
            assert "does not answer" in client.problem.message
            broker.thaw()
            await until(lambda: client.connected)
            await client.publish("a", b"thawed")
            await until(lambda: b"thawed" in [one.payload for one in heard])
            stop.set()
    finally:
        broker.thaw()
        broker.kill()
