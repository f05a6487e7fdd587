"""A plain amqtt sends each client that connects what it retains for the filters of others: no command takes that for
its answer. (`nexus up` starts one that does not do so.)"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.discover.via import read_via
from nexus_cli.project.live import read
from nexus_cli.wire.browse import AddressRead, BrowsePage, decode_request
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.message import Message
from nexus_cli.wire.payload import encode_live
from nexus_cli.wire.topic import Topics
from tests.servers import TestBroker
from tests.waiting import until

TOPICS = Topics("acme", "chicago")
OTHER, OWN = "a/l/one/voltage", "a/l/one/energy"


@pytest.fixture
def amqtt(tmp_path: Path) -> Iterator[TestBroker]:
    broker = TestBroker(tmp_path, kind="plain amqtt").start()
    try:
        yield broker
    finally:
        broker.kill()


@asynccontextmanager
async def somebody(broker: TestBroker) -> AsyncIterator[BrokerClient]:
    """A client that follows everything, with the retained value of one tag."""
    client = BrokerClient(settings=broker.settings(), client_id="somebody")
    async with client.session():
        await client.subscribe([("#", 1)])
        await client.publish(TOPICS.tag(OTHER), encode_live(230.0, time_us=1), retain=True)
        yield client


async def test_what_others_are_sent_arrives_here_too(amqtt: TestBroker) -> None:
    """The habit itself: once this fails, the tests below prove nothing any more."""
    got = list[Message]()
    async with somebody(amqtt), asyncio.TaskGroup() as group:
        stop = asyncio.Event()
        client = BrokerClient(settings=amqtt.settings(), client_id="second")
        group.create_task(client.run(stop, subscriptions=[(TOPICS.tag(OWN), 1)], on_message=got.append))
        await until(lambda: got)
        stop.set()
    assert {message.topic for message in got} == {TOPICS.tag(OTHER)}


async def test_the_value_of_a_tag_is_read_and_not_another_ones(amqtt: TestBroker) -> None:
    async with somebody(amqtt) as client:
        with pytest.raises(NexusError) as caught:
            await read(OWN, settings=amqtt.settings())
        assert caught.value.code == "NX6520"
        await client.publish(TOPICS.tag(OWN), encode_live(7.0, time_us=1), retain=True)
        assert (await read(OWN, settings=amqtt.settings())).value == 7.0


async def test_the_answer_of_a_gateway_is_waited_for(amqtt: TestBroker) -> None:
    settings = amqtt.settings()
    found = AddressRead(asked="FC3", bytes="0007", raw=7, value=7.0, quality="GOOD", reason="", problem="", time=1)
    client = BrokerClient(settings=settings, client_id="gateway")

    async def answer(messages: AsyncIterator[Message]) -> None:
        async for message in messages:
            request = decode_request(message.payload)
            page = BrowsePage(id=request.id, page=1, items=[], done=True, read=found)
            topic = TOPICS.response("gw-1", settings.principal, request.id)
            await client.publish(topic, msgspec.json.encode(page))

    async with somebody(amqtt), client.session() as messages, asyncio.TaskGroup() as group:
        await client.subscribe([(TOPICS.browse("gw-1", "+"), 1)])
        answering = group.create_task(answer(ignoring_others(messages)))
        assert await read_via("a/l/one", "energy", gateway="gw-1", settings=settings) == found
        answering.cancel()


async def ignoring_others(messages: AsyncIterator[Message]) -> AsyncIterator[Message]:
    """Requests to browse, as a gateway picks them out."""
    async for message in messages:
        if message.topic.startswith(TOPICS.browse("gw-1", "")):
            yield message
