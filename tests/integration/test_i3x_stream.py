"""i3X over a socket: streams of events, one at a time; and CESMII's own Python client."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import i3x as i3x_client
import orjson
import pytest
import pytest_asyncio

from nexus_cli.runtime.web.i3x.subscriptions import stream as stream_module
from nexus_cli.runtime.web.i3x.subscriptions.keeper import SubscriptionKeeper
from nexus_cli.settings import Settings
from tests.integration.i3x_world import DRIVE, ENERGY, NOBODY, SPEED, I3xWorld, i3x_world, served
from tests.waiting import until

pytestmark = [pytest.mark.needs_database]


@pytest_asyncio.fixture
async def i3x(database: Settings, tmp_path: Path) -> AsyncIterator[I3xWorld]:
    async with i3x_world(database, tmp_path) as world:
        yield world


class Listener:
    """Reads a stream until it ends.

    Attributes:
        updates: What came.
        ended: Set when it ended without an error.
    """

    def __init__(self) -> None:
        self.updates: list[Any] = []
        self.opened, self.ended = asyncio.Event(), asyncio.Event()
        self.head: dict[str, str] = {}

    async def listen(self, url: str, world: I3xWorld, subscription: str) -> None:
        body = {"clientId": world.client, "subscriptionId": subscription}
        head = {"authorization": f"Bearer {world.token}", "accept": "text/event-stream"}
        async with (
            httpx.AsyncClient(timeout=30) as http,
            http.stream("POST", f"{url}/subscriptions/stream", json=body, headers=head) as answer,
        ):
            assert answer.status_code == 200
            self.head = dict(answer.headers)
            async for line in answer.aiter_lines():
                self.opened.set()
                if line.startswith("data: "):
                    self.updates += orjson.loads(line[6:])
        self.ended.set()


@contextlib.asynccontextmanager
async def listening(url: str, world: I3xWorld, subscription: str) -> AsyncIterator[Listener]:
    listener = Listener()
    task = asyncio.create_task(listener.listen(url, world, subscription))
    try:
        async with asyncio.timeout(20):
            await listener.opened.wait()
        yield listener
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def given_up(url: str, world: I3xWorld, subscription: str) -> None:
    """Open a stream and close the connection, all of it before the server's loop runs again."""
    body = orjson.dumps({"clientId": world.client, "subscriptionId": subscription})
    there = httpx.URL(url)
    with socket.create_connection((there.host, there.port or 80)) as client:
        client.sendall(
            f"POST {there.path}/subscriptions/stream HTTP/1.1\r\nhost: {there.netloc.decode()}\r\n"
            f"authorization: Bearer {world.token}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )


async def test_a_stream_that_its_client_gave_up_takes_nothing(i3x: I3xWorld) -> None:
    """A web that did not run for a while wakes up with such connections, and with the values of that time."""
    async with served(i3x) as url:
        made = await i3x.subscribed(SPEED)
        for _ in range(5):
            given_up(url, i3x, made)
        i3x.say(SPEED, 46.0)
        await asyncio.sleep(0.5)
        for value in (47.0, 48.0):
            i3x.say(SPEED, value)
        async with listening(url, i3x, made) as stream:
            await until(lambda: len(stream.updates) >= 4, "all of it")
            assert [each["value"] for each in stream.updates] == [45.0, 46.0, 47.0, 48.0]


async def test_a_stream_that_never_began_ends(i3x: I3xWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client went away before the first event: the subscription is free for a sync."""
    opened: list[object] = []

    async def noted(*asked: Any) -> Any:
        found = await SubscriptionKeeper.open_stream(i3x.keeper, *asked)
        opened.append(found)
        await asyncio.sleep(0.1)  # the connection ends meanwhile
        return found

    monkeypatch.setattr(i3x.keeper, "open_stream", noted)
    async with served(i3x) as url:
        made = await i3x.subscribed(SPEED)
        given_up(url, i3x, made)
        await until(lambda: opened, "the request is there")
        await until(lambda: i3x.keeper.ours[made].stream is None, "its stream has ended")
        (batch,) = await i3x.sync(made)
        assert [each["value"] for each in batch["updates"]] == [45.0]


async def test_a_stream_that_ends_between_two_events_gives_the_same_again(
    i3x: I3xWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a client may not have read is given twice rather than never."""
    monkeypatch.setattr(stream_module, "TOGETHER_S", 3600.0)
    async with served(i3x) as url:
        made = await i3x.subscribed(SPEED)
        async with listening(url, i3x, made) as first:
            await until(lambda: first.updates, "the present value")
        i3x.say(SPEED, 46.0)
        async with listening(url, i3x, made) as stream:
            await until(lambda: len(stream.updates) == 2, "both")
            assert [each["value"] for each in stream.updates] == [45.0, 46.0]


async def test_sub_09_a_stream_gives_what_waits_and_what_comes(i3x: I3xWorld) -> None:
    async with served(i3x) as url:
        made = await i3x.subscribed(SPEED, DRIVE)
        i3x.say(SPEED, 46.0)
        async with listening(url, i3x, made) as stream:
            assert stream.head["content-type"].startswith("text/event-stream")
            assert "content-encoding" not in stream.head
            await until(lambda: len(stream.updates) == 3, "what waited")
            assert [(each["elementId"], each["value"]) for each in stream.updates[:2]] == [(SPEED, 45.0), (SPEED, 46.0)]
            i3x.say(SPEED, 47.0, at_ms=1_788_264_000_000)
            await until(lambda: len(stream.updates) == 5, "what came")
            assert stream.updates[3] == {
                "elementId": SPEED,
                "value": 47.0,
                "quality": "Good",
                "timestamp": "2026-09-01T12:00:00Z",
            }
            assert stream.updates[4]["value"]["speed"] == 47.0
            refused = await i3x.post("/subscriptions/sync", 400, clientId=i3x.client, subscriptionId=made)
            assert "open stream" in refused["responseDetail"]["detail"]


async def test_after_a_stream_a_sync_goes_on_with_the_next_number(i3x: I3xWorld) -> None:
    async with served(i3x) as url:
        made = await i3x.subscribed(SPEED)
        async with listening(url, i3x, made) as stream:
            await until(lambda: len(stream.updates) == 1, "what waited")
            await until(lambda: not i3x.keeper.ours[made].queue.batches, "a client that stays has it")
        await until(lambda: i3x.keeper.ours[made].stream is None, "the end of the stream is noticed")
        i3x.say(SPEED, 1.0)
        (batch,) = await i3x.sync(made)
        assert (batch["sequenceNumber"], [each["value"] for each in batch["updates"]]) == (2, [1.0])


async def test_sub_14_a_second_stream_ends_the_first_without_an_error(i3x: I3xWorld) -> None:
    async with served(i3x) as url:
        made = await i3x.subscribed(SPEED)
        async with listening(url, i3x, made) as first, listening(url, i3x, made) as second:
            await until(first.ended.is_set, "the first stream ends")
            i3x.say(SPEED, 1.0)
            await until(lambda: [each["value"] for each in second.updates][-1:] == [1.0], "the second goes on")
            assert not second.ended.is_set()


async def test_a_stream_ends_with_its_subscription_its_token_and_its_web(i3x: I3xWorld) -> None:
    async with served(i3x) as url:
        deleted, revoked, last = [await i3x.subscribed(SPEED) for _ in range(3)]
        async with listening(url, i3x, deleted) as stream:
            await i3x.results("/subscriptions/delete", [deleted], key="subscriptionId", clientId=i3x.client)
            await until(stream.ended.is_set, "a deleted subscription has no stream")
        async with listening(url, i3x, last) as stream:
            i3x.web.web._stopping = True
            await until(stream.ended.is_set, "a web that stops ends its streams")
            i3x.web.web._stopping = False
        async with listening(url, i3x, revoked) as stream:
            await i3x.web.people.pool.execute("UPDATE nexus.api_token SET revoked = now()")
            await until(stream.ended.is_set, "a revoked token has no stream")


@contextlib.contextmanager
def client(url: str, world: I3xWorld) -> Iterator[i3x_client.Client]:
    made = i3x_client.Client(url, token=world.token)
    with made as connected:
        yield connected


async def test_the_python_client_of_cesmii_explores_reads_and_writes(i3x: I3xWorld) -> None:
    def work(url: str) -> None:
        with client(url, i3x) as c:
            assert c.server_info is not None
            assert c.server_info.spec_version == "1.0"
            assert {each.uri for each in c.get_namespaces()} >= {"https://cesmii.org/i3x"}
            types = {each.element_id: each for each in c.get_object_types()}
            assert [each.element_id for each in c.query_object_types(["type:site"])] == ["type:site"]
            assert {each.reverse_of for each in c.get_relationship_types()} == {
                each.element_id for each in c.get_relationship_types()
            }
            (root,) = c.get_objects(root=True)
            assert root.parent_id is None
            assert {each.type_element_id for each in c.get_objects()} <= types.keys()
            drive = c.get_object(DRIVE, include_metadata=True)
            assert drive.metadata is not None
            below = c.get_related_objects([DRIVE], "HasComponent")
            assert {each.object.parent_id for each in below} == {DRIVE}
            assert c.get_value(SPEED).value == 45.0
            deep = c.get_value(DRIVE, max_depth=0)
            assert deep.components is not None
            assert deep.components[SPEED].quality == "Good"
            c.update_value(SPEED, 12.0)
            assert c.get_values([SPEED, ENERGY])[SPEED].value == 12.0
            with pytest.raises(i3x_client.NotFoundError):
                c.get_value(NOBODY)
            with pytest.raises(i3x_client.I3XError):
                c.update_value(ENERGY, 1.0)
            now = c.get_value(SPEED).timestamp
            c.update_history(SPEED, {"value": 12.0, "quality": "Good", "timestamp": now})
            stored = c.get_history(SPEED, start_time=now, end_time=now)
            assert [each.value for each in stored.values] == [12.0]

    async with served(i3x) as url:
        await asyncio.to_thread(work, url)
    assert i3x.sent == [("isa", SPEED, 12.0)]


async def test_the_python_client_of_cesmii_subscribes(i3x: I3xWorld) -> None:
    seen: list[tuple[str, Any]] = []
    came, may_end = threading.Event(), threading.Event()

    def on_change(_: Any, change: i3x_client.ValueChange) -> None:
        seen.append((change.element_id, change.value))
        came.set()

    def work(url: str) -> None:
        with client(url, i3x) as c:
            c.on_value_change = on_change
            streamed = c.subscribe([SPEED], display_name="streamed")
            assert may_end.wait(20)
            c.unsubscribe(streamed)
            asked = c.create_subscription("asked")
            c.register_items(asked, [ENERGY])
            (batch,) = c.sync_subscription(asked)
            assert [each.value for each in batch.updates] == [1200.5]
            assert c.sync_subscription(asked, batch.sequence_number) == []
            assert c.get_subscription(asked).monitored_objects == [{"elementId": ENERGY, "maxDepth": 1}]
            c.unregister_items(asked, [ENERGY])

    async with served(i3x) as url:
        running = asyncio.create_task(asyncio.to_thread(work, url))
        await until(came.is_set, "the value that waited")
        i3x.say(SPEED, 33.0)
        await until(lambda: (SPEED, 33.0) in seen, "the value that came")
        may_end.set()
        await running
    assert seen == [(SPEED, 45.0), (SPEED, 33.0)]
