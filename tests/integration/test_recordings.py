"""Recordings at a real broker: a kill in the middle, every message as it came, and played again message by message."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.record import RecordRequest, record
from nexus_cli.project.recording_file import Recording
from nexus_cli.project.replay import ReplaySpan, check_into, other_broker, play, refuse_led, source_of
from nexus_cli.project.replay_player import PlayRequest
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.frame_batch import Shape, columns_of, decode_batch, encode_batch
from nexus_cli.wire.frame_compression import MAGIC, compressed
from nexus_cli.wire.message import Message
from nexus_cli.wire.recording import Compression
from nexus_cli.wire.topic import Topics
from tests.children import bare_environment
from tests.servers import TestBroker
from tests.waiting import until, wait_until

pytestmark = pytest.mark.needs_broker
INTO = "acme/chicago-replay"


@pytest.fixture
def settings(broker: TestBroker) -> Settings:
    return dataclasses.replace(broker.settings(), site="acme/chicago")


async def publish(settings: Settings, messages: list[tuple[str, bytes, bool]]) -> None:
    client = BrokerClient(settings=settings, client_id="plant")
    async with client.session():
        for topic, payload, retain in messages:
            await client.publish(topic, payload, qos=1, retain=retain)


def made(count: int, *, seed: int = 1) -> list[tuple[str, bytes, bool]]:
    """Messages of ten tags, of a partner, of the platform; payloads of every kind and size."""
    chance = random.Random(seed)
    found = []
    for at in range(count):
        payload = chance.choice(
            [b'{"value":%d,"timestamp":1767225600000}' % at, chance.randbytes(chance.randrange(1, 3000)), b"%d" % at]
        )
        topic = chance.choice(
            [f"acme/chicago/a/l/d/t{at % 10}", "partner/press/state", "_nexus/acme/chicago/alert/hot"]
        )
        found.append((topic, payload, False))
    return found


async def recorded(settings: Settings, file: Path, messages: list[tuple[str, bytes, bool]], **more: object) -> None:
    stop = asyncio.Event()
    request = RecordRequest(file=file, filters=["#"], qos=1, **more)  # type: ignore[arg-type]
    running = asyncio.create_task(record(request, stop=stop, settings=settings))
    await asyncio.sleep(0)
    await until(lambda: running.done() or file.exists(), "the file is begun")
    hello = BrokerClient(settings=settings, client_id="hello")
    async with hello.session():
        # The recorder subscribes after the file is begun: what comes before is not recorded.
        while not running.done() and not any(each.topic == "hello" for each in Recording(file).messages()):
            await hello.publish("hello", b"?", qos=1)
            await asyncio.sleep(0.1)
    await publish(settings, messages)
    await publish(settings, [("bye", b"", False)])
    await until(lambda: any(each.topic == "bye" for each in Recording(file).messages()), "everything is in the file")
    stop.set()
    found = await running
    assert found.dropped == found.lost == 0


@pytest.mark.parametrize("compression", ["none", "zlib"])
async def test_every_message_is_recorded_as_it_came(
    settings: Settings, tmp_path: Path, compression: Compression
) -> None:
    kept = ("acme/chicago/a/l/d/kept", b'{"value":7}', True)
    await publish(settings, [kept])
    messages = made(500)
    await recorded(settings, tmp_path / "a.nxr", messages, compression=compression)
    recording = Recording(tmp_path / "a.nxr")
    found = [each for each in recording.messages() if each.topic not in ("hello", "bye")]
    assert [(each.topic, each.payload, each.retain) for each in found] == [kept, *messages]
    assert {each.qos for each in found} == {1}
    assert [each.time_us for each in found] == sorted(each.time_us for each in found)
    assert recording.header.site == "acme/chicago"
    assert recording.header.filters == ["#"]
    assert recording.header.started <= found[0].time_us
    assert recording.notes[-1][1] == "ended"
    assert not recording.damage.cut
    assert (tmp_path / "a.nxr").stat().st_mode & 0o777 == 0o600


async def test_a_kill_leaves_what_was_written(settings: Settings, tmp_path: Path, broker: TestBroker) -> None:
    file = tmp_path / "killed.nxr"
    environment = {**bare_environment(tmp_path), "NEXUS_BROKER_URL": broker.url, "NEXUS_SITE": "acme/chicago"}
    environment |= {"NEXUS_HOME": str(tmp_path / "none")}
    child = subprocess.Popen(
        [sys.executable, "-m", "nexus_cli", "tail", "**", "--record", str(file)], env=environment, cwd=tmp_path
    )
    sent = 0
    try:
        wait_until(lambda: file.exists() or child.poll() is not None, "the file is begun")
        client = BrokerClient(settings=settings, client_id="plant")
        async with client.session():
            while len(list(Recording(file).messages())) < 300 and child.poll() is None:
                for _ in range(20):
                    await client.publish("acme/chicago/a/l/d/t", b"%d" % sent, qos=1)
                    sent += 1
                await asyncio.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    found = [int(each.payload) for each in Recording(file).messages()]
    assert len(found) >= 300
    assert found == list(range(found[0], found[0] + len(found)))


async def test_limits_end_a_recording(settings: Settings, tmp_path: Path) -> None:
    await publish(settings, [(f"acme/chicago/a/l/d/t{at}", b"1", True) for at in range(20)])
    file = tmp_path / "a.nxr"
    found = await record(RecordRequest(file=file, count=5), stop=asyncio.Event(), settings=settings)
    assert found.messages == len(list(Recording(file).messages())) == 5
    with pytest.raises(NexusError) as caught:
        await record(RecordRequest(file=file, count=5), stop=asyncio.Event(), settings=settings)
    assert caught.value.code == "NX6960"
    big = tmp_path / "b.nxr"
    found = await record(RecordRequest(file=big, most_bytes=1), stop=asyncio.Event(), settings=settings)
    assert found.size_bytes == big.stat().st_size
    only = tmp_path / "c.nxr"
    request = RecordRequest(file=only, filters=["a/l/d/t1*"], count=11)
    await record(request, stop=asyncio.Event(), settings=settings)
    assert {each.topic.rpartition("/")[2] for each in Recording(only).messages()} == {
        "t1",
        *(f"t1{at}" for at in range(10)),
    }


async def test_a_broker_that_is_away_begins_no_file(settings: Settings, tmp_path: Path, broker: TestBroker) -> None:
    broker.kill()
    with pytest.raises(NexusError) as caught:
        await record(RecordRequest(file=tmp_path / "a.nxr"), stop=asyncio.Event(), settings=settings)
    assert caught.value.code == "NX6010"
    assert not (tmp_path / "a.nxr").exists()


async def test_a_lost_connection_is_noted_and_made_again(
    settings: Settings, tmp_path: Path, broker: TestBroker
) -> None:
    file, stop = tmp_path / "a.nxr", asyncio.Event()
    running = asyncio.create_task(record(RecordRequest(file=file, filters=["#"]), stop=stop, settings=settings))

    async def heard(payload: bytes) -> None:
        client = BrokerClient(settings=settings, client_id="plant")
        async with client.session():
            while not (file.exists() and any(each.payload == payload for each in Recording(file).messages())):
                await client.publish("acme/chicago/a/l/d/t", payload, qos=1)
                await asyncio.sleep(0.1)

    await heard(b"before")
    broker.kill()
    broker.start()
    await heard(b"after")
    stop.set()
    assert (await running).lost >= 1
    recording = Recording(file)
    assert [each.payload for each in recording.messages()][-1] == b"after"
    assert any(text.startswith("the connection was lost") for _, text in recording.notes)


async def test_a_replay_gives_what_was_recorded_message_by_message(settings: Settings, tmp_path: Path) -> None:
    messages = made(1500, seed=7)
    await recorded(settings, tmp_path / "a.nxr", messages)
    heard: list[Message] = []
    stop, ready = asyncio.Event(), asyncio.Event()

    async def listening() -> None:
        ready.set()

    watcher = BrokerClient(settings=settings, client_id="watcher")
    watching = asyncio.create_task(
        watcher.run(stop, subscriptions=[(f"{INTO}/#", 1)], on_message=heard.append, on_connected=listening)
    )
    await ready.wait()
    source = source_of(ReplaySpan(file=tmp_path / "a.nxr"), settings)
    into = check_into(INTO, source, settings)
    played = await play(source, into, settings, PlayRequest(speed=None), stop=asyncio.Event())
    ours = [(topic, payload) for topic, payload, _ in messages if topic.startswith("acme/chicago/")]
    await until(lambda: len(heard) >= len(ours), "everything was heard")
    stop.set()
    await watching
    assert [(each.topic.replace("-replay", ""), each.payload) for each in heard] == ours
    assert played.messages == len(ours)
    assert played.whole
    others = [each for each in Recording(tmp_path / "a.nxr").messages() if not each.topic.startswith("acme/chicago/")]
    assert played.left_out == {"topics outside of the site": len(others)}


async def test_a_part_of_a_recording_is_played(settings: Settings, tmp_path: Path) -> None:
    await recorded(settings, tmp_path / "a.nxr", made(200))
    every = [each for each in Recording(tmp_path / "a.nxr").messages() if each.topic.startswith("acme/chicago/")]
    span = ReplaySpan(file=tmp_path / "a.nxr", filters=["a/l/d/t3", "acme/+/a/l/d/t4"])
    found = [each async for each in source_of(span, settings).messages()]
    assert found == [each for each in every if each.topic[-2:] in ("t3", "t4")]


async def test_a_broker_that_drops_or_a_site_that_is_led_is_refused(
    settings: Settings, broker: TestBroker, tmp_path: Path
) -> None:
    there = other_broker(broker.url, settings, {})
    assert (there.broker_user, there.broker_password) == ("", "")
    await refuse_led(there, Topics("acme", "chicago-replay"))
    await publish(settings, [("_nexus/acme/led/health/control/control", b'{"state":"running"}', True)])
    with pytest.raises(NexusError) as caught:
        await refuse_led(there, Topics("acme", "led"))
    assert caught.value.code == "NX6962"


@pytest.mark.parametrize("compression", ["none", "zlib"])
async def test_a_compressed_frame_batch_is_recorded_and_read_again(
    settings: Settings, tmp_path: Path, compression: Compression
) -> None:
    shape = Shape("a/l/d", [f"tag-{at}" for at in range(800)])
    values = {tag: at / 10 for at, tag in enumerate(shape.tags)}
    batch = encode_batch([columns_of(shape, 1_800_000_000_000_000, values, {}, {})], epoch="E1", seq=1)
    payload = compressed(batch)
    assert payload[:4] == MAGIC and len(payload) < len(batch)
    topic = "_nexus/acme/chicago/data/gw-1"
    await recorded(settings, tmp_path / "a.nxr", [(topic, payload, False)], compression=compression)
    (found,) = [each for each in Recording(tmp_path / "a.nxr").messages() if each.topic == topic]
    assert found.payload == payload and decode_batch(found.payload) == decode_batch(batch)
