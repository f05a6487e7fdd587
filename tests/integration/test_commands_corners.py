"""Corners of commands on real servers: devices that lie, values that don't fit, two gateways, time that runs out."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.model.config import TagConfig
from nexus_cli.runtime.gateway.gateway import Gateway, run_gateway
from tests.commanding import TOPICS, Bench, CountingServer, counting, drive
from tests.field import FakeSource
from tests.servers import TestBroker
from tests.waiting import until

pytestmark = pytest.mark.needs_broker
PATH = "a/l/drive/setpoint"
MORE = {
    "big": TagConfig(type="int64", address="holding:20", writable=True),
    "text": TagConfig(type="string[9]", address="holding:30", writable=True),
    "array": TagConfig(type="float32[3]", address="holding:40", writable=True),
    "flag": TagConfig(type="bool", address="coil:0", writable=True),
}
BIG = 2**53 + 1


@pytest.fixture
async def field() -> AsyncIterator[CountingServer]:
    async with counting([drive(**MORE)]) as server:
        yield server


async def test_a_device_that_acknowledges_and_holds_another_value(
    broker: TestBroker, field: CountingServer, tmp_path: Path
) -> None:
    bench = Bench(broker, tmp_path / "home", [drive(port=field.port, **MORE)])
    async with bench.running():
        field.before_write = lambda: "forget"
        found = await bench.asker.ask(PATH, 30.0)
        assert (found["state"], found["code"], found["value"], found["read_back"]) == ("failed", "NX6815", 30.0, 20.0)
        assert "holds 20.0 instead of 30.0" in found["detail"]
        nan = struct.unpack(">f", b"\x7f\xc0\0\0")[0]
        field.server.set("a/l/drive", "speed", nan)
        found = await bench.asker.ask("a/l/drive/speed", 1.5)
        assert (found["state"], found["code"]) == ("failed", "NX6815") and found.get("read_back") is None
        await until(lambda: found["id"] in bench.asker.reports)
    assert len(field.writes) == 2, "looked at again, never written again"


@pytest.mark.parametrize(
    ("tag", "value", "held"),
    [
        ("big", BIG, BIG),
        ("big", str(-BIG), -BIG),
        ("big", 2**63 - 1, 2**63 - 1),
        ("text", "größer", "größer"),
        ("text", "", ""),
        ("array", [1.5, -2, 3.25], [1.5, -2.0, 3.25]),
        ("flag", True, True),
        ("mode", "on", 1),
    ],
)
async def test_values_arrive_exactly(
    broker: TestBroker, field: CountingServer, tmp_path: Path, tag: str, value: object, held: object
) -> None:
    bench = Bench(broker, tmp_path / "home", [drive(port=field.port, **MORE)])
    async with bench.running():
        found = await bench.asker.ask(f"a/l/drive/{tag}", value)
        assert (found["state"], found["value"], found["read_back"]) == ("done", held, held), found
        assert field.server.values("a/l/drive")[tag] == held
        # Exactly what is expected is found again, also beyond 2^53.
        again = await bench.asker.ask(f"a/l/drive/{tag}", value, expect=held)
        assert again["state"] == "done", again
        if tag == "big":
            near = await bench.asker.ask("a/l/drive/big", 7, expect=int(str(held)) - 1)
            assert (near["state"], near["code"]) == ("refused", "NX6813")
    assert len(field.writes) == 2


@pytest.mark.parametrize(
    ("tag", "value", "code"),
    [
        ("big", 2**63, "NX6807"),
        ("big", "9" * 21, "NX6805"),
        ("big", 1.5, "NX6807"),
        ("text", "much too long", "NX6807"),
        ("text", "größer 7", "NX6807"),  # eight characters, ten bytes
        ("text", "a\0b", "NX6805"),
        ("text", 5, "NX6805"),
        ("array", [1.0], "NX6805"),
        ("array", [1.0, 2.0, "x"], "NX6805"),
        ("array", 1.0, "NX6805"),
        ("flag", 1, "NX6805"),
        ("flag", "true", "NX6805"),
        ("mode", "ON", "NX6806"),
    ],
)
async def test_values_that_do_not_fit_never_reach_the_device(
    broker: TestBroker, field: CountingServer, tmp_path: Path, tag: str, value: object, code: str
) -> None:
    bench = Bench(broker, tmp_path / "home", [drive(port=field.port, **MORE)])
    async with bench.running():
        found = await bench.asker.ask(f"a/l/drive/{tag}", value)
        await until(lambda: found["id"] in bench.asker.reports)
    # What only the driver knows (bytes of a text) it refuses itself, before anything is sent.
    assert (found["state"], found["code"]) in (("refused", code), ("failed", "NX6814")), found
    assert field.writes == []


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
async def test_what_is_no_number_is_refused(
    broker: TestBroker, field: CountingServer, tmp_path: Path, number: bytes
) -> None:
    bench = Bench(broker, tmp_path / "home", [drive(port=field.port)])
    async with bench.running():
        body = b'{"id": "odd", "expires_at": 1, "value": ' + number + b"}"
        await bench.asker.client.publish(TOPICS.command("a/l/drive/speed", "desk"), body, qos=2)
        assert (await bench.asker.ask("a/l/drive/speed", 1.5))["state"] == "done"
        answer = bench.asker.answers.get("odd", [{"state": "refused"}])[-1]
        assert answer["state"] == "refused"
    assert len(field.writes) == 1


async def test_a_command_that_expires_in_the_queue_is_not_carried_out(
    broker: TestBroker, field: CountingServer, tmp_path: Path
) -> None:
    bench = Bench(broker, tmp_path / "home", [drive(port=field.port)])
    async with bench.running():
        held = asyncio.Event()
        field.server.stall(0.45)
        first = await bench.asker.send(PATH, 30.0)
        late = await bench.asker.send(PATH, 31.0, expires_s=0.3)
        held.set()
        assert (await bench.asker.answer(late))["code"] == "NX6808"
        field.server.stall(None)
        await bench.asker.answer(first)
        await until(lambda: late in bench.asker.reports)
    assert [int.from_bytes(data[:2], "big") for _, _, data in field.writes] == [300]


class Second:
    """One more gateway on the bench's broker."""

    def __init__(self, bench: Bench, home: Path, devices: Any, *, name: str) -> None:
        self.settings = dataclasses.replace(bench.settings, home=home)
        self.source, self.name, self.gateways = FakeSource(devices), name, list[Gateway]()

    async def run(self, stop: asyncio.Event) -> None:
        await run_gateway(self.settings, name=self.name, source=self.source, stop=stop, started=self.gateways.append)

    def ready(self) -> bool:
        if not self.gateways or not hasattr(self.gateways[0], "commands"):
            return False
        one = self.gateways[0]
        supervisors = one.links.supervisors.values()
        return bool(one.commands.facts()["connected"] and supervisors and all(each.connected for each in supervisors))


async def test_two_gateways_each_answer_for_their_own_devices(
    broker: TestBroker, field: CountingServer, tmp_path: Path
) -> None:
    other_device = drive("a/l/other", gateway="gw-2")
    async with counting([other_device]) as other_field:
        bench = Bench(broker, tmp_path / "home", [drive(port=field.port)])
        second = Second(
            bench, tmp_path / "second", [drive("a/l/other", port=other_field.port, gateway="gw-2")], name="gw-2"
        )
        async with bench.running(), asyncio.TaskGroup() as group:
            stop = asyncio.Event()
            group.create_task(second.run(stop))
            await until(second.ready)
            ids = {}
            for n in range(10):
                for path in (PATH, "a/l/other/setpoint"):
                    ids[await bench.asker.send(path, 20.0 + n)] = path
            answers = {one: await bench.asker.answer(one) for one in ids}
            await until(lambda: set(ids) <= set(bench.asker.reports))
            stop.set()
        assert {answer["state"] for answer in answers.values()} == {"done"}
        assert all(len(bench.asker.answers[one]) == 1 for one in ids), "one answer each"
        assert {one: bench.asker.reports[one].gateway for one in ids} == {
            one: "gw-1" if path == PATH else "gw-2" for one, path in ids.items()
        }
        for server in (field, other_field):
            assert [int.from_bytes(data[:2], "big") for _, _, data in server.writes] == [
                200 + 10 * n for n in range(10)
            ]


async def test_a_second_gateway_of_the_same_name_carries_nothing_out_twice(
    broker: TestBroker, field: CountingServer, tmp_path: Path
) -> None:
    """A mistake of whoever installs: both have one session name, so the broker gives each command to one of them."""
    bench = Bench(broker, tmp_path / "home", [drive(port=field.port)])
    twin = Second(bench, tmp_path / "twin", [drive(port=field.port)], name="gw-1")
    async with bench.running(), asyncio.TaskGroup() as group:
        stop = asyncio.Event()
        group.create_task(twin.run(stop))
        await until(lambda: bool(twin.gateways) and hasattr(twin.gateways[0], "commands"))
        for n in range(20):
            await bench.asker.send(PATH, 20.0 + n, expires_s=1.0)
        await asyncio.sleep(1.2)  # what has not begun by now has expired
        stop.set()
    written = [int.from_bytes(data[:2], "big") for _, _, data in field.writes]
    assert len(written) == len(set(written)), json.dumps(written)
