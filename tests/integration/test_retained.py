"""What was removed stays removed: a broker that comes back with an older state is cleared of it, and of nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from nexus_cli.runtime.control import retained as module
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.integration.control_world import API, TOPICS, FakeGateway, World, applied, device, snapshot, tag
from tests.servers import TestBroker, free_port, mosquitto_program
from tests.waiting import PATIENCE_S, until, until_found

END = "else/end"
ALERT = {"tag": "a/l/one/energy", "above": 100.0, "severity": "critical", "on_bad": "hold"}
OTHERS = {
    "path": "a/l/scale",
    "protocol": "external",
    "link": "",
    "gateway": "",
    "connection": {"globs": ["a/l/two/*"], "max_series": 10},
    "tags": {},
}


@pytest.fixture(params=["mosquitto", "amqtt"])
def plant(request: pytest.FixtureRequest, database: Settings, tmp_path: Path) -> Iterator[World]:
    """A world on each of the brokers that `nexus up` starts."""
    if request.param == "mosquitto" and not mosquitto_program():
        pytest.skip("mosquitto is not installed")
    yield from _world(database, tmp_path, TestBroker(_folder(tmp_path), kind=request.param))


@pytest.fixture
def forgetful(database: Settings, tmp_path: Path) -> Iterator[World]:
    """A world whose mosquitto keeps retained messages on disk, as of the last time it was asked to save."""
    if not mosquitto_program():
        pytest.skip("mosquitto is not installed")
    folder = _folder(tmp_path)
    options = ("persistence true", f"persistence_location {folder}/", "autosave_interval 100000")
    yield from _world(database, tmp_path, TestBroker(folder, options=options))


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "broker"
    folder.mkdir()
    return folder


def _world(database: Settings, tmp_path: Path, broker: TestBroker) -> Iterator[World]:
    broker.start()
    settings = dataclasses.replace(
        database,
        site="acme/chicago",
        principal="nexus.control",
        home=tmp_path,
        broker_url=broker.url,
        control_url=f"http://127.0.0.1:{free_port()}",
        credentials={"api": API},
    )
    try:
        yield World(settings, broker)
    finally:
        broker.kill()


def live(value: float) -> bytes:
    return orjson.dumps({"value": value, "timestamp": 1, "quality": "GOOD"})


@contextlib.asynccontextmanager
async def someone(world: World) -> AsyncIterator[BrokerClient]:
    client = BrokerClient(settings=world.settings, client_id=f"someone-{time.monotonic_ns()}")
    async with client.session():
        yield client


async def kept(world: World) -> dict[str, bytes]:
    """Every retained message, by topic, but for control's own health."""
    found: dict[str, bytes] = {}
    client = BrokerClient(settings=world.settings, client_id=f"reader-{time.monotonic_ns()}")
    async with client.session() as messages, asyncio.timeout(PATIENCE_S):
        await client.subscribe([("acme/#", 1), ("_nexus/#", 1), ("else/#", 1)])
        await client.publish(END, b"")  # both brokers send first what they kept
        async for message in messages:
            if message.topic == END:
                return found
            if message.retain:
                found[message.topic] = message.payload
    raise AssertionError("a session ends with an error")


def values_and_alerts(topics: Iterable[str]) -> set[str]:
    """What is left when the messages between the parts of NEXUS are taken away."""
    return {topic for topic in topics if not topic.startswith("_nexus/acme/chicago/") or "/alert/" in topic}


async def until_kept(world: World, wanted: set[str]) -> None:
    """Wait until exactly these topics hold retained values and alerts."""

    async def look() -> tuple[list[str], list[str]]:
        await asyncio.sleep(0.2)  # each look is a connection
        found = values_and_alerts(await kept(world))
        return sorted(found - wanted), sorted(wanted - found)

    await until_found(look, lambda found: found == ([], []))


async def test_a_broker_that_comes_back_with_an_older_state_is_cleared_of_what_was_removed(forgetful: World) -> None:
    world = forgetful
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        two = device("a/l/two")
        await applied(control, snapshot(device("a/l/one"), two, alert__hot=ALERT, alert__cold=ALERT))
        for path in ("a/l/one/energy", "a/l/one/voltage", "a/l/two/energy", "a/l/two/voltage"):
            await gateway.client.publish(TOPICS.tag(path), live(1.0), retain=True)
        await until_kept(
            world, {*_tags("one", "energy", "voltage"), *_tags("two", "energy", "voltage"), *_of("hot", "cold")}
        )
        assert world.broker.process is not None
        world.broker.process.send_signal(signal.SIGUSR1)  # mosquitto(8): save now
        saved = world.broker.folder / "mosquitto.db"
        await until(lambda: saved.exists() and saved.stat().st_size > 500, "the saved state")
        await asyncio.sleep(1.0)
        # energy of `one` is removed, device `two` is renamed, one alert is removed
        less = device("a/l/one", tags={"voltage": tag(address="holding:2")})
        cold = {**ALERT, "tag": "a/l/one/voltage"}
        found = await applied(
            control,
            snapshot(less, device("a/l/three"), alert__cold=cold),
            allow=("data-loss=**",),
            moved=[("a/l/two", "a/l/three")],
        )
        assert found.outcome == "applied"
        # a new device takes the place of the renamed one: the former path of one series is the path of another
        new = device("a/l/two", tags={"energy": tag()})
        await applied(control, snapshot(less, device("a/l/three"), new, alert__cold=cold))
        for path in ("a/l/two/energy", "a/l/three/energy"):
            await gateway.client.publish(TOPICS.tag(path), live(3.0), retain=True)
        wanted = {*_tags("one", "voltage"), *_tags("two", "energy"), *_tags("three", "energy"), *_of("cold")}
        await until_kept(world, wanted)
        world.broker.kill()
        before = set(await _restarted(world, gateway))
        assert before >= {*_tags("one", "energy"), *_tags("two", "energy", "voltage"), *_of("hot")}, "it is older"
        for path in ("a/l/two/energy", "a/l/three/energy"):  # as a gateway does after each connect
            await gateway.client.publish(TOPICS.tag(path), live(3.0), retain=True)
        await until_kept(world, wanted)


async def test_a_gateway_without_devices_is_told_again_by_a_broker_that_lost_its_state(plant: World) -> None:
    """Otherwise it would go on reading the device that was removed while it was away."""
    world, topic = plant, TOPICS.config("gw-1")
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, snapshot(device("a/l/one"), OTHERS))
        removed = await applied(control, snapshot(OTHERS), allow=("data-loss=**",))
        assert removed.outcome == "applied"
        world.broker.kill()
        gateway.notices.clear()
        world.broker.start()
        await until(lambda: bool(gateway.notices), "the notice after the restart")
        assert gateway.notices[-1]["deployment"] == removed.number
        assert orjson.loads((await kept(world))[topic])["deployment"] == removed.number


async def _restarted(world: World, gateway: FakeGateway) -> Mapping[str, bytes]:
    """Start the broker again and see what it kept before control had its say."""
    found: dict[str, bytes] = {}

    async def look() -> None:
        client = BrokerClient(settings=world.settings, client_id="first")
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(
                client.run(
                    stop,
                    subscriptions=[("acme/#", 1), ("_nexus/#", 1)],
                    on_message=lambda each: found.__setitem__(each.topic, each.payload) if each.payload else None,
                )
            )
            await until(lambda: client.connected and gateway.client.connected)
            await asyncio.sleep(1.0)
            stop.set()

    world.broker.start()
    await look()
    return found


async def test_only_what_nexus_published_once_is_cleared(plant: World) -> None:
    """Topics of others stay, whoever they are; so does what is declared, live, or covered by a glob of others."""
    world = plant
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(device("a/l/one"), device("a/l/two"), device("a/l/three"), alert__hot=ALERT))
        less = device("a/l/one", tags={"voltage": tag(address="holding:2")})
        found = await applied(
            control, snapshot(less, **{"device.a/l/scale": OTHERS}), allow=("data-loss=**", "acl-widen")
        )
        assert found.outcome == "applied", found
        mine = {*_tags("one", "energy"), *_tags("three", "energy", "voltage"), *_of("hot"), *_of("never-declared")}
        stay = {
            *_tags("one", "voltage"),
            *_tags("two", "energy"),  # retired, but others may publish it now
            "acme/chicago/erp/orders/next/state",
            "acme/chicago/a/l/one",
            "acme/berlin/a/l/one/energy",
            "else/a/l/one/energy",
            "_nexus/acme/berlin/alert/hot",
        }
        async with someone(world) as client:
            for topic in (*mine, *stay):
                await client.publish(topic, live(1.0), retain=True)
            world.broker.kill()  # both brokers forget all; what is published next is what they "kept"
        world.broker.start()
        async with someone(world) as client:
            for topic in (*mine, *stay):
                await client.publish(topic, live(1.0), retain=True)
        await _looked(world, control)
        await until_kept(world, stay)


async def test_the_last_value_of_a_device_that_others_publish_now_is_cleared(plant: World) -> None:
    """It would pass for theirs, GOOD for as long as they say nothing."""
    world = plant
    tags = {"energy": tag(address=""), "voltage": tag(address="")}
    theirs = device("a/l/two", gateway="", link="", protocol="external", connection={}, tags=tags)
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, snapshot(device("a/l/one"), device("a/l/two")))
        for path in ("a/l/one/energy", "a/l/two/energy", "a/l/two/voltage"):
            await gateway.client.publish(TOPICS.tag(path), live(1.0), retain=True)
        await until_kept(world, {*_tags("one", "energy"), *_tags("two", "energy", "voltage")})
        found = await applied(control, snapshot(device("a/l/one"), theirs), allow=("data-loss=**", "acl-widen"))
        assert found.outcome == "applied", found
        await until_kept(world, set(_tags("one", "energy")))
        async with someone(world) as client:
            await client.publish(TOPICS.tag("a/l/two/energy"), live(2.0), retain=True)
        await _looked(world, control)
        await until_kept(world, {*_tags("one", "energy"), *_tags("two", "energy")})


async def test_what_is_not_retained_any_more_is_cleared_and_marked_as_it_is_published(plant: World) -> None:
    """A tag that is no longer published, or retained, has no last value at the broker: not now, and not from a broker that
    comes back with an older state."""
    world = plant
    energy, voltage = tag(live_retain=False), tag(address="holding:2", live_publish=False)
    quiet = device("a/l/one", tags={"energy": energy, "voltage": voltage})
    async with world.control() as control:
        async with FakeGateway(world.settings).up() as gateway:
            await applied(control, snapshot(device("a/l/one"), device("a/l/two")))
            every = {*_tags("one", "energy", "voltage"), *_tags("two", "energy", "voltage")}
            for topic in every:
                await gateway.client.publish(topic, live(1.0), retain=True)
            await until_kept(world, every)
            found = await applied(control, snapshot(quiet, device("a/l/two")))
            assert found.outcome == "applied", found
            wanted = set(_tags("two", "energy", "voltage"))
            await until_kept(world, wanted)
            async with someone(world) as client:
                for topic in _tags("one", "energy", "voltage"):
                    await client.publish(topic, live(0.0), retain=True)
            await _looked(world, control)
            await until_kept(world, wanted)
            await gateway.client.publish(TOPICS.health("gateway", "gw-1"), b'{"state":"stopping"}', retain=True)
            await _marked(world, TOPICS.tag("a/l/one/energy"))
        await until_kept(world, wanted)


async def _marked(world: World, topic: str) -> None:
    """Wait for control's mark on a topic."""
    client = BrokerClient(settings=world.settings, client_id="marks")
    async with client.session() as messages, asyncio.timeout(PATIENCE_S):
        await client.subscribe([(topic, 1)])
        async for message in messages:
            if message.topic == topic and b"gateway_lost" in message.payload:
                return


async def _looked(world: World, control: Any) -> None:
    """A deployment that changes nothing of it makes control look again."""
    state = await control.state()
    resources = await control.resources(list(state.digests))
    keep = {name: value for name, value in resources.items() if name not in ("site",)}
    alert = {"tag": "a/l/one/voltage", "above": 1e9, "severity": "info", "on_bad": "hold"}
    desired = snapshot(**{**keep, "alert.zz": alert})
    await applied(control, desired)
    await applied(control, snapshot(**keep), allow=("data-loss=**",))


async def test_what_is_declared_again_while_control_looks_is_left_alone(
    plant: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the clearing lies a deployment that brings the tag back, and its gateway's new value."""
    world = plant
    looked, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    read, reconcile = module.Retained._read, module.Retained.reconcile

    async def slowly(self: module.Retained, topics: Iterable[str], **keys: Any) -> module.Found:
        found = await read(self, topics, **keys)
        if TOPICS.tag("a/l/one/energy") in found.retained:
            looked.set()
            await go_on.wait()
        return found

    async def whole(self: module.Retained) -> int:
        count = await reconcile(self)
        if looked.is_set():
            done.set()
        return count

    monkeypatch.setattr(module.Retained, "_read", slowly)
    monkeypatch.setattr(module.Retained, "reconcile", whole)
    less = device("a/l/one", tags={"voltage": tag(address="holding:2")})
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, snapshot(device("a/l/one")))
        await applied(control, snapshot(less), allow=("data-loss=**",))
        await gateway.client.publish(TOPICS.tag("a/l/one/energy"), live(1.0), retain=True)
        await _looked(world, control)
        async with asyncio.timeout(60):
            await looked.wait()
        await applied(control, snapshot(device("a/l/one")))
        await gateway.client.publish(TOPICS.tag("a/l/one/energy"), live(2.0), retain=True)
        go_on.set()
        async with asyncio.timeout(60):
            await done.wait()
        assert _tags("one", "energy") <= values_and_alerts(await kept(world))


async def test_topics_of_a_gateway_that_is_gone_are_cleared_once_it_is_silent(
    plant: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_S", 5.0)
    world = plant
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(device("a/l/one")))
        gone = [TOPICS.config("gw-9"), TOPICS.observed("gw-9"), TOPICS.committed("gw-9")]
        gone.append(TOPICS.health("gateway", "gw-9"))
        alive = TOPICS.health("gateway", "gw-8")
        async with someone(world) as client:

            async def live() -> None:
                while True:
                    await client.publish(alive, b'{"state":"running","time":1}', retain=True)
                    await asyncio.sleep(0.2)

            for topic in gone:
                await client.publish(topic, b'{"state":"running","time":1}', retain=True)
            living = asyncio.create_task(live())
            limit = time.monotonic() + PATIENCE_S
            while set(gone) & set(await kept(world)):
                assert time.monotonic() < limit, "they were never cleared"
                await _looked(world, control)
            found = set(await kept(world))
            living.cancel()
        assert {alive, TOPICS.health("gateway", "gw-1"), TOPICS.config("gw-1")} <= found


def _tags(name: str, *tags: str) -> set[str]:
    return {TOPICS.tag(f"a/l/{name}/{each}") for each in tags}


def _of(*alerts: str) -> set[str]:
    return {TOPICS.alert(each) for each in alerts}
