"""Frames by column through a real broker: what arrives, where, under which rights; and the change to JSON and back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from nexus_cli.wire.topic import Topics
from tests.field import FakeDriver, FakeHistorian, FakeSource, device
from tests.integration.test_gateway import GW, Plant
from tests.servers import TestBroker, mosquitto_program, new_broker
from tests.waiting import until

pytestmark = pytest.mark.needs_broker
TOPICS = Topics("acme", "chicago")
BATCHES = TOPICS.batches(GW)
ONE, TWO = "a/l/one", "a/l/two"


def started(folder: Path, *, acl: Sequence[str] = ()) -> TestBroker:
    """A broker of its own."""
    folder.mkdir()
    return new_broker(folder, **({"acl": list(acl)} if acl else {})).start()


def plant_at(broker: TestBroker, home: Path) -> tuple[Plant, FakeSource]:
    """A gateway with two devices, and what control sends it."""
    source = FakeSource([device(ONE, link="tcp:one:1", poll_ms=50), device(TWO, link="tcp:two:1", poll_ms=50)])
    return Plant(broker.settings(principal=f"nexus.gateway.{GW}", home=home), source, FakeDriver()), source


def numbers_are_whole(historian: FakeHistorian) -> bool:
    """Whether every number of each epoch arrived, frames and gaps together."""
    keys = sorted([*historian.frames, *historian.gaps])
    epochs = {epoch for epoch, _ in keys}
    return len(epochs) == 1 and [seq for _, seq in keys] == list(range(1, len(keys) + 1))


async def test_frames_of_several_devices_share_messages_and_survive_the_broker(tmp_path: Path) -> None:
    broker = started(tmp_path / "broker")
    plant, _ = plant_at(broker, tmp_path / "home")
    try:
        async with plant.running():
            historian = plant.historian
            await until(lambda: len(historian.frames) > 40)
            broker.kill()
            await asyncio.sleep(0)
            before = plant.gateway.outbox.newest_seq
            await until(lambda: plant.gateway.outbox.durable_seq > before + 20)
            broker.start()
            await until(lambda: len(historian.frames) > before + 20)
            await until(plant.everything_delivered)
            await until(lambda: numbers_are_whole(historian))
            assert set(historian.topics_heard) == {BATCHES}
            assert set(historian.devices.values()) == {ONE, TWO}
            assert historian.topics_heard[BATCHES] < len(historian.frames), "several frames a message"
            outbox = plant.gateway.outbox
            assert outbox.accepted >= len(historian.frames)
        assert not historian.gaps_with_rows()
    finally:
        broker.kill()


async def test_the_record_changes_to_json_and_back_while_it_runs_and_loses_nothing(tmp_path: Path) -> None:
    broker = started(tmp_path / "broker")
    plant, source = plant_at(broker, tmp_path / "home")
    try:
        async with plant.running():
            historian = plant.historian
            await until(lambda: historian.topics_heard[BATCHES] > 3)
            for frames, topic in (("json", TOPICS.data(GW, ONE)), ("columns", BATCHES)):
                source.frames = frames
                source.deploy(*source.devices.values())
                plant.gateway.following.notice()
                await until(lambda frames=frames: plant.gateway.outbox.json_frames == (frames == "json"))
                heard = historian.topics_heard[topic]
                await until(lambda heard=heard, topic=topic: historian.topics_heard[topic] > heard + 3)
            await until(plant.everything_delivered)
            await until(lambda: numbers_are_whole(historian))
            assert plant.gateway.configuration.frames == "columns"
            assert set(historian.topics_heard) == {BATCHES, TOPICS.data(GW, ONE), TOPICS.data(GW, TWO)}
        assert not historian.gaps
    finally:
        broker.kill()


@pytest.mark.skipif(not mosquitto_program(), reason="amqtt has no access rules here")
async def test_the_rights_of_the_former_version_cover_the_batches(tmp_path: Path) -> None:
    """`data/GATEWAY/#` covers its parent level too (MQTT 3.1.1 §4.7.1.2): rules need not be renewed first."""
    rules = ["topic read #", f"topic write {BATCHES}/#", "topic write _nexus/acme/chicago/committed/+"]
    rules += [f"topic write {TOPICS.gap(GW)}"]  # which it had as well: polls that a busy machine took are a gap
    broker = started(tmp_path / "broker", acl=rules)
    plant, _ = plant_at(broker, tmp_path / "home")
    try:
        async with plant.running():
            await until(lambda: len(plant.historian.frames) > 10)
            await until(lambda: plant.gateway.outbox.lowest_uncommitted() > 5)
            assert set(plant.historian.topics_heard) == {BATCHES}
    finally:
        broker.kill()
