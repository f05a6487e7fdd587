"""A message that the broker does not pass on does not stop the others: sizes, real brokers, both ways of refusing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_cli.model.config import TagConfig
from tests.field import FakeDriver, FakeSource, device
from tests.integration.test_gateway import GW, Plant
from tests.servers import TestBroker, mosquitto_program, new_broker
from tests.waiting import until

pytestmark = [
    pytest.mark.needs_broker,
    pytest.mark.skipif(not mosquitto_program(), reason="only mosquitto's limits can be set"),
]
LONG_S = 150.0
"""A generous deadline: the search for the culprit takes some connections."""


@pytest.fixture(params=["max_packet_size 20000", "message_size_limit 20000"])
def limited(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TestBroker]:
    """A broker that ends the connection at 20,000 bytes, or acknowledges them and passes nothing on."""
    folder = tmp_path / "broker"
    folder.mkdir()
    one = new_broker(folder, options=[request.param]).start()
    yield one
    one.kill()


def make(broker: TestBroker, home: Path, source: FakeSource, driver: FakeDriver) -> Plant:
    """A gateway at that broker."""
    return Plant(broker.settings(principal=f"nexus.gateway.{GW}", home=home), source, driver)


async def test_a_frame_above_the_brokers_limit_arrives_in_parts(limited: TestBroker, tmp_path: Path) -> None:
    """1,500 tags of a device with long names are above this broker's limit, also in parts of the usual size."""
    tags = {f"{'a-rather-long-name-' * 3}{at}": TagConfig(type="float64", address=f"a{at}") for at in range(1_500)}
    large = device("a/l/large", link="tcp:one:1", tags=0, more=tags)
    small = device("a/l/small", link="tcp:two:1", tags=2)
    plant = make(limited, tmp_path / "home", FakeSource([large, small]), FakeDriver())
    async with plant.running():
        historian = plant.historian
        await until(lambda: any("t0" in frame.samples for frame in historian.frames.values()), deadline_s=LONG_S)

        def arrived() -> set[str]:
            return {tag for frame in historian.frames.values() for tag in frame.samples}

        await until(lambda: tags.keys() <= arrived(), deadline_s=LONG_S)
        await until(lambda: plant.gateway.outbox.lowest_uncommitted() > 20, deadline_s=LONG_S)
        before = sum("t0" in frame.samples for frame in historian.frames.values())
        await until(lambda: sum("t0" in one.samples for one in historian.frames.values()) > before + 10)
        outbox = plant.gateway.outbox
        assert outbox.lost["frame_too_large"] == 0, "parts pass: no sample is given up"
        assert outbox.frame_bytes < 20_000
        assert plant.gateway.publisher.facts()["waiting_topics"] == []
    assert not historian.gaps
    qualities = {tag: quality for frame in historian.frames.values() for tag, quality in frame.quality.items()}
    assert not qualities


async def test_a_value_above_the_brokers_limit_is_bad_in_record_and_live_view(
    limited: TestBroker, tmp_path: Path
) -> None:
    text = TagConfig(type="string", address="text", poll_ms=500)
    driver = FakeDriver()
    driver.values["a/l/one", "text"] = "x" * 30_000
    one = device("a/l/one", link="tcp:one:1", tags=2, more={"text": text})
    plant = make(limited, tmp_path / "home", FakeSource([one]), driver)
    topic = "acme/chicago/a/l/one/text"
    async with plant.running():
        historian = plant.historian

        def marks() -> list[tuple[str, str | None, int]]:
            return [frame.quality["text"] for frame in historian.frames.values() if "text" in frame.quality]

        await until(marks, deadline_s=LONG_S)
        assert marks()[0] == ("BAD", "too_large", 0)
        assert plant.gateway.outbox.lost["frame_too_large"] >= 1
        # The live view says the same, as soon as the tag is published again.
        plant.gateway.live.again()
        await until(
            lambda: json.loads(historian.live.get(topic, b"{}")).get("reason") == "too_large", deadline_s=LONG_S
        )
        # What is small again is GOOD again.
        driver.values["a/l/one", "text"] = "short"
        await until(
            lambda: any(frame.samples.get("text") == "short" for frame in historian.frames.values()), deadline_s=LONG_S
        )
        await until(lambda: json.loads(historian.live[topic]).get("value") == "short", deadline_s=LONG_S)
        await until(lambda: plant.gateway.outbox.lowest_uncommitted() > 5, deadline_s=LONG_S)
    assert not historian.gaps


async def test_the_device_whose_topic_is_refused_waits_and_the_others_go_on(tmp_path: Path) -> None:
    """A rule at the broker drops what one device publishes; once the rule is gone everything arrives."""
    folder = tmp_path / "broker"
    folder.mkdir()
    rules = ["topic readwrite #", "topic deny _nexus/acme/chicago/data/gw-1/a/l/two"]
    broker = new_broker(folder, acl=rules).start()
    devices = [device("a/l/one", link="tcp:one:1", tags=1), device("a/l/two", link="tcp:two:1", tags=1, poll_ms=50)]
    source = FakeSource(devices)
    source.frames = "json"  # in batches all devices share a topic
    plant = make(broker, tmp_path / "home", source, FakeDriver())
    try:
        async with plant.running():
            await until(lambda: plant.gateways and hasattr(plant.gateway, "publisher"))
            publisher = plant.gateway.publisher
            await until(lambda: list(publisher.waiting_topics), deadline_s=LONG_S)
            assert publisher.facts()["waiting_topics"] == ["_nexus/acme/chicago/data/gw-1/a/l/two"]
            before = len(plant.historian.frames)
            await until(lambda: len(plant.historian.frames) > before + 20, deadline_s=LONG_S)
            assert publisher.in_flight < 200, "what waits is not in the window"
            broker.kill()
            broker.acl = ["topic readwrite #"]
            broker.start()
            await until(lambda: not publisher.waiting_topics, deadline_s=LONG_S)
            await until(plant.everything_delivered, deadline_s=LONG_S)
        seqs = sorted(seq for _, seq in plant.historian.frames)
        assert seqs == list(range(1, len(seqs) + 1)), "nothing was given up"
        assert not plant.historian.gaps
    finally:
        broker.kill()
