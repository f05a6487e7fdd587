"""Damaged messages and files for control, gateway and historian: counted or refused, never a traceback."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx
import msgspec
import orjson
import pytest

from nexus_cli.apply.timing import Timing
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers import registry
from nexus_cli.model.config import DeviceConfig, TagConfig, to_json
from nexus_cli.project.live import parse_live
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.control.control import Control
from nexus_cli.runtime.control.sequences.live_values import LiveValues
from nexus_cli.runtime.gateway.configuration import Configuration
from nexus_cli.runtime.gateway.devices.device import device_runtime
from nexus_cli.runtime.gateway.outbox.outbox import Outbox
from nexus_cli.runtime.gateway.outbox.publisher import Publisher
from nexus_cli.runtime.historian.rows import BadValueError, Column, full_row
from nexus_cli.settings import Settings
from nexus_cli.wire import health
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.control import GatewayIndex
from nexus_cli.wire.http_answers import read
from nexus_cli.wire.message import Message
from nexus_cli.wire.reading import PayloadError, parse_payload
from nexus_cli.wire.topic import Topics
from tests.frames import columns
from tests.mutation import mutated, mutated_bytes, mutated_json, mutations

TOPICS = Topics("acme", "chicago")
NOW_US = 1_790_000_000_000_000
ALERTS = {
    "hot": {"tag": "a/l/d/t", "above": 100.0, "clear_below": 95.0, "for_ms": 10, "on_bad": "raise"},
    "odd": {"tag": "a/l/d/t", "equals": "fault"},
    "off": {"tag": "a/l/d/t", "equals": True, "on_bad": "clear"},
}
HEARD: list[tuple[str, Any]] = [
    (
        TOPICS.observed("gw"),
        {
            "deployment": 3,
            "digest": "sha256:1",
            "time": NOW_US,
            "devices": {"a/l/d": {"digest": "x", "state": "running", "detail": ""}},
            "removed": ["a/l/e"],
            "verification": {"a/l/d": {"good": 1, "bad": 0, "reachable": True}},
        },
    ),
    (
        TOPICS.health("gateway", "gw"),
        {"state": "running", "time": NOW_US, "links": {"tcp:h:502": {"state": "connected", "detail": "", "since": 1}}},
    ),
    (TOPICS.tag("a/l/d/t"), {"value": 84.0, "timestamp": 1700000000000, "quality": "GOOD", "label": "fault"}),
]


async def test_mutated_messages_to_control(tmp_path: Path) -> None:
    chance = random.Random(1)
    settings = Settings(home=tmp_path, site="acme/chicago", broker_url="mqtt://127.0.0.1:1")
    control = Control(settings, pool=None, timing=Timing(), clock=SystemClock())
    control.term = term = control.new_term()
    term.alerting.load(ALERTS, {})
    for _ in range(mutations(10_000)):
        topic, body = chance.choice(HEARD)
        term.receive(Message(topic, mutated(body, chance), 1, chance.random() < 0.5))
        term.seen.answer("gw", digest="sha256:1", deployment=3)
        term.seen.reachable("gw", "tcp:h:502")
        health.encode(control.status())
    assert term.seen.unreadable > 0
    assert term.alerting.changed > 0


DEVICE = DeviceConfig(
    path="a/l/d",
    protocol="modbus",
    link="tcp:h:502",
    connection={"host": "h", "port": 502, "unit_id": 1},
    tags={
        "t": TagConfig(type="float32", address="holding:0", scale=0.1, unit="degC", range=(0.0, 100.0)),
        "u": TagConfig(type="uint16", address="input:7", values={"0": "off"}, writable=True),
    },
)
DEVICES = {
    "modbus": DEVICE,
    "opcua": DeviceConfig(
        path="a/l/d",
        protocol="opcua",
        link="opc.tcp://h:4840",
        connection={"endpoint": "opc.tcp://h:4840", "max_read": 50},
        tags={
            "t": TagConfig(
                type="float32", address="nsu=http://acme/plc;s=T", scale=0.1, unit="degC", range=(0.0, 100.0)
            ),
            "u": TagConfig(type="int16", address="ns=2;i=7", values={"0": "off"}, options={"index": "2"}),
        },
    ),
    "s7": DeviceConfig(
        path="a/l/d",
        protocol="s7",
        link="s7:h:102/0.1",
        connection={"host": "h", "pdu": 480},
        tags={
            "t": TagConfig(type="float32", address="%DB1:10:REAL", scale=0.1, unit="degC", range=(0.0, 100.0)),
            "u": TagConfig(type="bool", address="%M:3.2:BOOL", writable=True),
            "w": TagConfig(type="string[20]", address="%DB7:2:STRING[20]"),
        },
    ),
    "ads": DeviceConfig(
        path="a/l/d",
        protocol="ads",
        link="ads:h:48898",
        connection={"host": "h", "ams_net_id": "5.1.2.3.1.1", "port": 851},
        tags={
            "t": TagConfig(type="float64", address="MAIN.fSpeed", scale=0.1, range=(0.0, 100.0)),
            "u": TagConfig(type="uint16", address="0x4020,0x40", writable=True),
        },
    ),
}
INDEX = {"deployment": 3, "digest": "sha256:1", "devices": {"a/l/d": "sha256:2", "a/l/e": "sha256:3"}}


class Damaged:
    """Control's side of the configuration, damaged."""

    def __init__(self, chance: random.Random, device: DeviceConfig) -> None:
        self._chance, self._device = chance, device

    async def gateway_index(self, gateway: str) -> GatewayIndex:
        """An index, read as the door to control reads it."""
        index = mutated_json(INDEX, self._chance) if self._chance.random() < 0.4 else INDEX
        answer = httpx.Response(200, content=orjson.dumps(index, option=orjson.OPT_NON_STR_KEYS))
        return read(answer, "http://control", GatewayIndex, unreadable="NX6013")

    async def gateway_devices(self, gateway: str, paths: Any) -> Any:
        """Devices."""
        return mutated_json({path: to_json(self._device) for path in ("a/l/d", "a/l/e")}, self._chance)


@pytest.mark.parametrize("protocol", DEVICES)
async def test_mutated_configurations_to_a_gateway(protocol: str, tmp_path: Path) -> None:
    chance, read, refused, run = random.Random(2), 0, 0, 0
    driver = registry.driver(protocol)
    for _ in range(mutations(10_000)):
        configuration = Configuration(tmp_path / "gw.json", enterprise="acme", site="chicago", gateway="gw")
        try:
            await configuration.refresh(Damaged(chance, DEVICES[protocol]))
        except NexusError as error:
            assert error.code == "NX6013"
            refused += 1
            continue
        read += 1
        for one in configuration.devices.values():
            try:
                device_runtime(one.config, one.digest, driver)
                run += 1
            except (ValueError, KeyError, TypeError):  # what a supervisor takes for a device that failed
                continue
    assert min(read, refused, run) > 0


def test_mutated_local_copies(tmp_path: Path) -> None:
    path = tmp_path / "gw.json"
    whole = {
        "enterprise": "acme",
        "site": "chicago",
        "gateway": "gw",
        "deployment": 3,
        "devices": {"a/l/d": to_json(DEVICE)},
        "digests": {"a/l/d": "sha256:2"},
    }
    chance, taken = random.Random(3), 0
    for _ in range(mutations(500)):
        path.write_bytes(mutated(whole, chance))
        taken += Configuration(path, enterprise="acme", site="chicago", gateway="gw").load()
    assert taken > 0


def test_mutated_receipts(tmp_path: Path) -> None:
    clock = SystemClock()
    outbox = Outbox(tmp_path / "outbox", clock=clock, gap_topic=TOPICS.gap("gw"))
    outbox.open()
    client = BrokerClient(settings=Settings(broker_url="mqtt://127.0.0.1:1"), client_id="x")
    publisher = Publisher(outbox, client, clock=clock)
    whole = {"epoch": outbox.epoch, "ranges": [[1, 5], [9, 12], [20, 20]]}
    chance, known = random.Random(4), 0
    for _ in range(mutations(10_000)):
        known += publisher.receipt(mutated(whole, chance))
    assert known > 0


OTHERS: list[Any] = [
    {"value": 84.0, "timestamp": 1_700_000_000_000, "quality": "GOOD"},
    {"timestamp_ms": 1_700_000_000_000, "value": 3},
    {"value": [1, {"a": None}], "time": "2026-01-31T06:00:00+01:00", "quality": 192},
    {"value": "running", "ts": 1_700_000_000.5, "quality": "uncertain"},
    84.5,
    "text",
]


def test_mutated_messages_of_others() -> None:
    chance, stored, refused = random.Random(5), 0, 0
    values = LiveValues(TOPICS, clock=SystemClock())
    values.want(["a/l/d/t"])
    for _ in range(mutations(10_000)):
        payload = mutated(chance.choice(OTHERS), chance)
        message = Message(topic=TOPICS.tag("a/l/d/t"), payload=payload, qos=1, retain=False)
        values.receive(message.topic, payload)
        seen = parse_live(TOPICS, message)
        try:
            sample = parse_payload(payload, now_us=NOW_US)
            assert (seen.value, seen.quality) == (sample.value, sample.state.name), "one reading for all"
            full_row(
                chance.choice(list(Column)),
                sample.value,
                series_id=1,
                time_us=NOW_US if sample.time_us is None else sample.time_us,
                quality=sample.quality,
            )
            stored += 1
        except (PayloadError, BadValueError):
            refused += 1
    assert min(stored, refused) > 0


@pytest.mark.parametrize("text", ["--5", "²", "-", "-.5-", "5-"])
def test_text_that_only_looks_like_a_number(text: str) -> None:
    with pytest.raises(BadValueError):
        full_row(Column.EXACT, text, series_id=1, time_us=NOW_US, quality=None)
    with pytest.raises(PayloadError):
        parse_payload(orjson.dumps({"value": 1, "timestamp": text}), now_us=NOW_US)


def test_mutated_outbox_files(tmp_path: Path) -> None:
    """A damaged disk log opens; what can't be read is a gap, never a traceback."""
    chance = random.Random(6)
    whole = tmp_path / "whole"

    async def fill() -> None:
        outbox = Outbox(whole, clock=SystemClock(), gap_topic=TOPICS.gap("gw"))
        outbox.open()
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(outbox.run(stop))
            for value in range(50):
                outbox.add_frame(columns("a/l/d", time_us=NOW_US + value, samples={"t": value}))
            stop.set()

    asyncio.run(fill())
    files = {path.name: path.read_bytes() for path in whole.iterdir() if path.is_file()}
    for round_ in range(mutations(200) // 20 or 1):
        folder = tmp_path / str(round_)
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(mutated_bytes(data, chance) if chance.random() < 0.7 else data)
        outbox = Outbox(folder, clock=SystemClock(), gap_topic=TOPICS.gap("gw"))
        outbox.open()
        assert outbox.lowest_uncommitted() >= 0


def test_the_seeds_are_whole() -> None:
    """Undamaged, each of them is taken: else the tests above would only ever see refusals."""
    assert msgspec.convert(to_json(DEVICE), DeviceConfig) == DEVICE
    assert all(parse_payload(orjson.dumps(one), now_us=NOW_US) for one in OTHERS)
