"""The broker client against a real broker: refusals, reconnects, refused topics, the last will."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.message import Message
from tests.servers import TestBroker, free_port, new_broker
from tests.waiting import until

pytestmark = pytest.mark.needs_broker


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TestBroker]:
    """Either broker."""
    one = new_broker(tmp_path, kind=request.param).start()
    yield one
    one.kill()


async def test_publish_and_hear(broker: TestBroker) -> None:
    client = BrokerClient(settings=broker.settings(), client_id="one")
    async with client.session() as messages:
        await client.subscribe([("a/#", 1)])
        for number in range(50):
            await client.publish(f"a/{number}", b"x%d" % number)
        heard = [await anext(messages) for _ in range(50)]
    assert {(one.topic, one.payload) for one in heard} == {(f"a/{n}", b"x%d" % n) for n in range(50)}
    assert not client.connected


async def test_unreachable_is_one_plain_sentence() -> None:
    port = free_port()
    client = BrokerClient(settings=Settings(broker_url=f"mqtt://127.0.0.1:{port}"), client_id="one")
    with pytest.raises(NexusError) as failed:
        async with client.session():
            pytest.fail("there is no broker")
    assert failed.value.code == "NX6010"
    assert failed.value.message == f"The broker at mqtt://127.0.0.1:{port} does not answer."
    assert failed.value.cause
    assert failed.value.hint
    with pytest.raises(NexusError):
        await client.publish("a", b"")


async def test_refused_credentials(tmp_path: Path) -> None:
    broker = new_broker(tmp_path, users={"nexus.cli": "right"}).start()
    try:
        settings = broker.settings()
        wrong = Settings(broker_url=settings.broker_url, broker_user="nexus.cli", broker_password="wrong")
        with pytest.raises(NexusError) as failed:
            async with BrokerClient(settings=wrong, client_id="one").session():
                pytest.fail("the password is wrong")
        assert failed.value.code == "NX6011"
        assert "wrong" not in failed.value.message + failed.value.cause
        async with BrokerClient(settings=settings, client_id="one").session():
            pass
    finally:
        broker.kill()


async def test_a_killed_broker_is_reconnected_and_subscribed_again(broker: TestBroker) -> None:
    heard: list[Message] = []
    lost: list[bool] = []
    client = BrokerClient(settings=broker.settings(), client_id="one")
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            client.run(stop, subscriptions=[("a/#", 1)], on_message=heard.append, on_lost=lambda: lost.append(True))
        )
        await until(lambda: client.connected)
        broker.kill()
        await until(lambda: not client.connected)
        with pytest.raises(NexusError):
            await client.publish("a/b", b"away")
        broker.start()
        await until(lambda: client.connected)
        await client.publish("a/b", b"back")
        await until(lambda: [one.payload for one in heard] == [b"back"])
        stop.set()
    assert lost == [True]
    assert client.reconnects == 1


async def test_the_last_will_is_published_when_a_client_vanishes(broker: TestBroker) -> None:
    watcher = BrokerClient(settings=broker.settings(), client_id="watcher")
    async with watcher.session() as messages:
        await watcher.subscribe([("health", 1)])
        doomed = BrokerClient(settings=broker.settings(), client_id="doomed", will=("health", b"lost"))
        async with doomed.session():
            assert doomed._connection is not None
            doomed._connection._stream.abort()  # type: ignore[union-attr]
            message = await anext(messages)
    assert message.payload == b"lost"
