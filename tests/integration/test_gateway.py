"""The gateway against a real broker, with a scripted field and a historian that gives receipts."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from nexus_cli.model.config import DeviceConfig, TagConfig, digest
from nexus_cli.runtime.gateway.gateway import Gateway, run_gateway
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.gateway_health import mark_of
from tests.field import FakeDriver, FakeHistorian, FakeSource, device
from tests.servers import TestBroker, new_broker
from tests.waiting import until

pytestmark = [pytest.mark.needs_broker, pytest.mark.own_time]
GW = "gw-1"


class Plant:
    """A gateway and a historian that run, and what they run on."""

    def __init__(self, settings: Settings, source: FakeSource, driver: FakeDriver) -> None:
        self.settings, self.source, self.driver = settings, source, driver
        self.drivers: Callable[[str], FakeDriver] = lambda _: self.driver
        self.historian = FakeHistorian(settings)
        self.gateways: list[Gateway] = []

    @property
    def gateway(self) -> Gateway:
        """The running one."""
        return self.gateways[-1]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Plant]:
        """Both, until the block ends."""
        stop, stop_historian = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.historian.run(stop_historian))
            role = group.create_task(self.role(stop))
            yield self
            stop.set()
            await role
            stop_historian.set()

    async def role(self, stop: asyncio.Event) -> None:
        """The gateway's process."""
        await run_gateway(
            self.settings,
            name=GW,
            source=self.source,
            stop=stop,
            drivers=self.drivers,
            started=self.gateways.append,
        )

    def everything_delivered(self) -> bool:
        """Nothing durable is without receipt."""
        outbox = self.gateway.outbox
        return outbox.lowest_uncommitted() > outbox.durable_seq > 0


@pytest.fixture
def plant(broker: TestBroker, tmp_path: Path) -> Plant:
    """Two devices on two links."""
    settings = broker.settings(principal=f"nexus.gateway.{GW}", home=tmp_path / "home")
    source = FakeSource([device("a/l/one", link="tcp:one:1"), device("a/l/two", link="tcp:two:1")])
    return Plant(settings, source, FakeDriver())


async def test_polls_become_frames_and_live_values(plant: Plant) -> None:
    async with plant.running():
        await until(lambda: len(plant.historian.frames) > 20)
        await until(lambda: len(plant.historian.live) == 8)
        facts = plant.gateway.facts()
        assert facts.deployment == 1
        assert facts.runs == {
            path: mark_of(value) for path, value in (await plant.source.gateway_index(GW)).devices.items()
        }
        assert {one.state for one in facts.links.values()} == {"connected"}
        await until(lambda: plant.gateway.facts().canary == "echoed")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{plant.gateway.http_port}") as http:
            assert (await http.get("/health/live")).status_code == 200
            assert (await http.get("/health/ready")).json() == {"ready": True, "detail": ""}
            metrics = (await http.get("/metrics")).text
            assert 'nexus_link_cycles_total{link="tcp:one:1"}' in metrics
            assert (await http.get("/status")).json()["name"] == GW
        await until(plant.everything_delivered)
    live = json.loads(plant.historian.live["acme/chicago/a/l/one/t0"])
    assert live["quality"] == "GOOD"
    epochs = {epoch for epoch, _ in plant.historian.frames}
    assert len(epochs) == 1
    seqs = sorted(seq for _, seq in plant.historian.frames)
    assert seqs == list(range(1, len(seqs) + 1)), "every accepted frame arrived once stored"
    times = [frame.time for _, frame in sorted(plant.historian.frames.items())]
    assert all(isinstance(one, int) for one in times)
    assert not plant.historian.gaps


async def test_what_control_marked_while_it_came_back_is_published_again(plant: Plant) -> None:
    """A value that does not move would otherwise lie under the mark until it does."""
    topic = "acme/chicago/a/l/one/t0"
    plant.driver.values["a/l/one", "t0"] = 7.0
    marked = b'{"value": null, "timestamp": 1, "quality": "BAD", "reason": "gateway_lost"}'
    notice = {"deployment": 1, "digest": digest([]), "again": True}
    control = BrokerClient(settings=plant.settings, client_id="control")
    async with plant.running():
        await until(lambda: b"GOOD" in plant.historian.live.get(topic, b""))
        async with control.session():
            await control.publish(topic, marked, retain=True)
            await until(lambda: plant.historian.live[topic] == marked)
            await control.publish("_nexus/acme/chicago/config/gw-1", json.dumps(notice).encode())
            await until(lambda: b"GOOD" in plant.historian.live[topic])


async def test_broker_killed_with_its_state_loses_nothing(plant: Plant, broker: TestBroker) -> None:
    async with plant.running():
        await until(lambda: len(plant.historian.frames) > 10)
        broker.kill()
        await asyncio.sleep(1.0)  # the outage itself, under load
        broker.start()
        await until(plant.everything_delivered)
        await until(lambda: len(plant.historian.frames) > 40)
    assert plant.gateway.outbox.lost == dict.fromkeys(
        ("overflow", "disk_refused", "outbox_damaged", "frame_too_large"), 0
    )
    seqs = sorted(seq for _, seq in plant.historian.frames)
    assert seqs == list(range(1, len(seqs) + 1))
    assert not plant.historian.gaps


async def test_frames_without_receipt_are_sent_again(plant: Plant) -> None:
    plant.historian.forgetting = True
    async with plant.running():
        await until(lambda: plant.gateways and plant.gateway.outbox.durable_seq > 10)
        await until(lambda: plant.gateway.publisher.in_flight > 10)
        plant.historian.forgetting = False
        await until(lambda: (min((seq for _, seq in plant.historian.frames), default=99)) == 1)
        await until(plant.everything_delivered)
    assert plant.gateway.publisher.repeated > 0
    seqs = sorted(seq for _, seq in plant.historian.frames)
    assert seqs == list(range(1, len(seqs) + 1))


async def test_hot_apply_touches_only_what_changed(plant: Plant) -> None:
    one = device("a/l/one", link="tcp:one:1")
    plant.source.deploy(one, device("a/l/two", link="tcp:one:1"))
    heard: list[dict[str, object]] = []
    async with plant.running():
        await until(lambda: len(plant.driver.polls("a/l/one")) > 5)
        running = plant.gateway.links.supervisors["tcp:one:1"].devices["a/l/one"]
        plant.source.fetched.clear()
        number = plant.source.deploy(one, device("a/l/two", link="tcp:one:1", tags=9))
        topics = plant.historian.topics
        notice = json.dumps({"deployment": number, "digest": ""}).encode()
        await plant.historian.client.publish(topics.config(GW), notice, retain=True)
        await until(lambda: plant.gateway.configuration.deployment == number)
        assert plant.source.fetched == ["a/l/two"]
        await until(lambda: "acme/chicago/a/l/two/t8" in plant.historian.live)
        assert plant.gateway.links.supervisors["tcp:one:1"].devices["a/l/one"] is running
        assert running.counters.missed == 0
        assert len(plant.driver.connects) == 1, "the session was kept"
        await until(lambda: b"verification" in plant.gateway.following.observed)
        heard.append(json.loads(plant.gateway.following.observed))
    assert heard[0]["devices"].keys() == {"a/l/two"}  # type: ignore[attr-defined]
    assert heard[0]["verification"]["a/l/two"] == {"good": 9, "bad": 0, "reachable": True}  # type: ignore[index]


async def test_starts_from_the_local_copy_while_control_is_away(plant: Plant) -> None:
    async with plant.running():
        await until(lambda: len(plant.historian.frames) > 3)
    plant.source.away = True
    before = len(plant.historian.frames)
    async with plant.running():
        await until(lambda: len(plant.historian.frames) > before + 5)
        assert plant.gateway.facts().configuration == "Control does not answer."
    assert not plant.historian.gaps_with_rows()
    assert {gap.reason for gap in plant.historian.gaps.values()} <= {"gateway_stopped"}
    seqs = sorted(seq for _, seq in (*plant.historian.frames, *plant.historian.gaps))
    assert seqs == list(range(1, len(seqs) + 1)), "numbering goes on across a restart"


async def test_disabled_and_calculated_tags(plant: Plant) -> None:
    plant.driver.values["a/l/one", "t0"] = 4.0
    more = {
        "double": TagConfig(
            type="float64",
            published_type="float64",
            expr="t0 * 2 + {a/l/two/t0}",
            inputs={"t0": "a/l/one/t0", "a/l/two/t0": "a/l/two/t0"},
        )
    }
    plant.driver.values["a/l/two", "t0"] = 1.0
    off: DeviceConfig = device("a/l/off", link="tcp:off:1", enabled=False)
    plant.source.deploy(device("a/l/one", link="tcp:one:1", more=more), device("a/l/two", link="tcp:two:1"), off)
    async with plant.running():
        await until(lambda: b"9.0" in plant.historian.live.get("acme/chicago/a/l/one/double", b""))
        await until(lambda: b"out_of_service" in plant.historian.live.get("acme/chicago/a/l/off/t3", b""))
        assert not plant.driver.polls("a/l/off")
        plant.driver.down.add("tcp:two:1")
        await until(lambda: b"input_bad" in plant.historian.live["acme/chicago/a/l/one/double"])


async def test_a_silent_refusal_of_publishes_is_found_by_the_canary(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    principal = f"nexus.gateway.{GW}"
    broker = new_broker(
        folder, users={principal: "secret"}, acl=[f"user {principal}", "topic read _nexus/acme/chicago/#"]
    ).start()
    stop = asyncio.Event()
    gateways: list[Gateway] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(
                run_gateway(
                    broker.settings(principal=principal, home=tmp_path / "home"),
                    name=GW,
                    source=FakeSource([device("a/l/one")]),
                    stop=stop,
                    drivers=lambda _: FakeDriver(),
                    started=gateways.append,
                )
            )
            await until(lambda: gateways and gateways[0].publish_check.silent)
            assert gateways[0].ready() == (False, "the broker drops what this gateway publishes (NX6012)")
            stop.set()
        assert gateways[0].outbox.lowest_uncommitted() == 1, "what nobody stored is kept"
    finally:
        broker.kill()
