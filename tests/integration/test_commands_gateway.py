"""Commands against a real broker and a real Modbus server: what is written once, what is refused, what is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nexus_cli.model.config import DeviceConfig
from nexus_cli.settings import ClockTrust
from tests.commanding import TOPICS, Bench, CountingServer, counting, drive, until_cleared
from tests.servers import TestBroker
from tests.waiting import until

pytestmark = pytest.mark.needs_broker
PATH = "a/l/drive/setpoint"


@pytest.fixture
async def field() -> AsyncIterator[CountingServer]:
    async with counting([drive()]) as server:
        yield server


def devices(field: CountingServer, **more: object) -> list[DeviceConfig]:
    return [drive(port=field.port, **more)]


async def test_a_write_is_done_once_and_proved(broker: TestBroker, field: CountingServer, tmp_path: Path) -> None:
    bench = Bench(broker, tmp_path / "home", devices(field))
    async with bench.running():
        await until(lambda: field.reads > 2)
        found = await bench.asker.ask(PATH, 20.5, expect=20.0, reason="shift change")
        assert found["state"] == "done", found
        assert (found["value"], found["old"], found["read_back"], found["unit"]) == (20.5, 20.0, 20.5, "degC")
        assert field.server.values("a/l/drive")["setpoint"] == 205
        assert [one[:2] for one in field.writes] == [(6, 0)]
        await until(lambda: found["id"] in bench.asker.reports)
        report = bench.asker.reports[found["id"]]
        assert (report.principal, report.reason, report.asked, report.expect) == ("desk", "shift change", 20.5, 20.0)
        assert report.seq > 0 and report.epoch == bench.gateway.outbox.epoch
        write = bench.gateway.latencies["write"].read().minute
        assert write.count == 1 and 0 < write.max_ms < 60_000


@pytest.mark.parametrize(
    ("tag", "value", "more", "code"),
    [
        ("setpoint", 90.1, {}, "NX6806"),
        ("setpoint", "hot", {}, "NX6805"),
        ("setpoint", 20.53, {}, "NX6807"),
        ("setpoint", True, {}, "NX6805"),
        ("setpoint", None, {}, "NX6805"),
        ("setpoint", 20.0, {"expires_s": -1.0}, "NX6808"),
        ("setpoint", 20.0, {"expires_s": 61.0}, "NX6808"),
        ("setpoint", 20.0, {"expect": 33.0}, "NX6813"),
        ("setpoint", 20.0, {"unknown_key": 1}, "NX6801"),
        ("mode", "onn", {}, "NX6806"),
        ("mode", 7, {}, "NX6806"),
        ("fixed", 1, {}, "NX6803"),
        ("off", 1, {}, "NX6804"),
        ("setpiont", 20.0, {}, "NX6802"),
        ("setpoint", 10**30, {}, "NX6806"),
        ("speed", 3.5e38, {}, "NX6807"),
    ],
)
async def test_what_may_not_be_written_is_refused_and_on_record(
    broker: TestBroker,
    field: CountingServer,
    tmp_path: Path,
    tag: str,
    value: object,
    more: dict[str, object],
    code: str,
) -> None:
    bench = Bench(broker, tmp_path / "home", devices(field))
    async with bench.running():
        found = await bench.asker.ask(f"a/l/drive/{tag}", value, **more)
        assert (found["state"], found["code"]) == ("refused", code), found
        at_the_device = 1 if code == "NX6813" else 0
        assert bench.gateway.latencies["write"].read().minute.count == at_the_device, (
            "what is refused at once takes none"
        )
        await until(lambda: found["id"] in bench.asker.reports)
        assert field.writes == []


async def test_labels_pulses_and_another_tag_that_proves(
    broker: TestBroker, field: CountingServer, tmp_path: Path
) -> None:
    bench = Bench(broker, tmp_path / "home", devices(field))
    async with bench.running():
        found = await bench.asker.ask("a/l/drive/mode", "on")
        assert (found["state"], found["value"], found["read_back"]) == ("done", 1, 1)
        found = await bench.asker.ask("a/l/drive/pulse", 1)
        assert found["state"] == "done" and "read_back" not in found
        field.server.set("a/l/drive", "shown", 7)
        found = await bench.asker.ask("a/l/drive/asked", 8)
        assert (found["state"], found["code"], found["read_back"]) == ("failed", "NX6815", 7)
        field.server.set("a/l/drive", "shown", 9)
        found = await bench.asker.ask("a/l/drive/asked", 9)
        assert (found["state"], found["read_back"]) == ("done", 9)


async def test_a_repeated_id_is_answered_from_the_record(
    broker: TestBroker, field: CountingServer, tmp_path: Path
) -> None:
    bench = Bench(broker, tmp_path / "home", devices(field))
    async with bench.running():
        first = await bench.asker.ask(PATH, 30.0, id="one")
        await bench.asker.send(PATH, 30.0, id="one")
        again = await bench.asker.answer("one", count=2)
        assert again == first
        await bench.asker.send(PATH, 31.0, id="one")
        other = await bench.asker.answer("one", count=3)
        assert (other["state"], other["code"]) == ("refused", "NX6817")
    async with bench.running():  # a new life of the gateway remembers too
        await bench.asker.send(PATH, 30.0, id="one")
        assert (await bench.asker.answer("one", count=4))["state"] == "done"
    assert len(field.writes) == 1


async def test_retained_and_foreign_commands_do_nothing(
    broker: TestBroker, field: CountingServer, tmp_path: Path
) -> None:
    bench = Bench(broker, tmp_path / "home", devices(field))
    async with bench.running():
        await bench.asker.send(PATH, 44.0, id="kept", retain=True, expires_s=50.0)
    assert len(field.writes) == 1, "while we are connected it arrives as a plain one"
    async with bench.running():
        await until(lambda: len(bench.asker.answers.get("kept", ())) >= 2)
        assert len(field.writes) == 1
        await until_cleared(broker, TOPICS.command(PATH, "desk"))
        await bench.asker.send(PATH, 45.0, id="kept-2", retain=True, expires_s=50.0)
    async with bench.running():
        await bench.asker.send("a/l/elsewhere/setpoint", 20.0, id="foreign")
        assert (await bench.asker.ask(PATH, 46.0))["state"] == "done"
        assert "foreign" not in bench.asker.answers


async def test_a_retained_command_that_was_never_seen_is_refused(
    broker: TestBroker, field: CountingServer, tmp_path: Path
) -> None:
    bench = Bench(broker, tmp_path / "home", devices(field))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.asker.run(stop))
        await until(lambda: bench.asker.client.connected)
        await bench.asker.send(PATH, 44.0, id="kept", retain=True, expires_s=50.0)
        stop.set()
    async with bench.running():
        found = await bench.asker.answer("kept")
        assert (found["state"], found["code"]) == ("refused", "NX6809")
        await until(lambda: "kept" in bench.asker.reports)
        await until_cleared(broker, TOPICS.command(PATH, "desk"))
    assert field.writes == []


async def test_an_unsynchronised_clock_refuses(broker: TestBroker, field: CountingServer, tmp_path: Path) -> None:
    bench = Bench(broker, tmp_path / "home", devices(field), clock_synchronised=ClockTrust.NO)
    async with bench.running():
        found = await bench.asker.ask(PATH, 20.0)
        assert (found["state"], found["code"]) == ("refused", "NX6810")
        await until(lambda: found["id"] in bench.asker.reports)
    assert field.writes == []


async def test_a_full_queue_refuses_at_once_and_order_is_kept(
    broker: TestBroker, field: CountingServer, tmp_path: Path
) -> None:
    bench = Bench(broker, tmp_path / "home", devices(field))
    async with bench.running():
        field.server.stall(0.4)
        ids = [await bench.asker.send(PATH, 20.0 + n, id=f"n{n}") for n in range(30)]
        answers = [await bench.asker.answer(one) for one in ids]
    done = [one["value"] for one in answers if one["state"] == "done"]
    refused = [one for one in answers if one["state"] == "refused"]
    assert refused and {one["code"] for one in refused} == {"NX6811"}
    assert done == sorted(done) and len(done) + len(refused) == 30
    values = [int.from_bytes(data[:2], "big") / 10 for _, _, data in field.writes]
    assert values == done, "each once, in the order they were sent"


async def test_a_link_that_dies_in_between_is_unknown_and_never_tried_again(
    broker: TestBroker, field: CountingServer, tmp_path: Path
) -> None:
    bench = Bench(broker, tmp_path / "home", devices(field))
    async with bench.running():
        field.before_write = lambda: "drop"
        found = await bench.asker.ask(PATH, 25.0, id="lost")
        assert (found["state"], found["code"]) == ("unknown", "NX6816"), found
        field.before_write = None
        await until(bench.ready)
        await bench.asker.send(PATH, 25.0, id="lost")
        assert (await bench.asker.answer("lost", count=2))["state"] == "unknown"
        assert len(field.writes) == 1
        assert (await bench.asker.ask(PATH, 26.0))["state"] == "done"


async def test_a_link_that_is_down_refuses(broker: TestBroker, field: CountingServer, tmp_path: Path) -> None:
    bench = Bench(broker, tmp_path / "home", devices(field))
    async with bench.running():
        await field.server.close()
        await until(lambda: not bench.ready())
        found = await bench.asker.ask(PATH, 25.0)
        assert (found["state"], found["code"]) == ("refused", "NX6812")
        assert field.writes == []


async def test_garbage_is_counted_and_harms_nothing(broker: TestBroker, field: CountingServer, tmp_path: Path) -> None:
    bench = Bench(broker, tmp_path / "home", devices(field))
    async with bench.running():
        topic = TOPICS.command(PATH, "desk")
        for payload in (
            b"",
            b"{",
            b"\xff\xfe",
            b"null",
            b"[" * 9000,
            b'{"id": "a/b", "value": 20, "expires_at": 1}',
            b'{"id": "x", "value": 20}',
            b'{"id": 5, "value": 20, "expires_at": 1}',
            b'{"id": "ok", "value": 20, "expires_at": 1e300}',
            b'{"id": "nan", "value": NaN, "expires_at": 1}',
            json.dumps({"id": "deep", "value": 1, "expires_at": 1, "reason": "x" * 501}).encode(),
            b"x" * 70_000,
        ):
            await bench.asker.client.publish(topic, payload, qos=2)
        assert (await bench.asker.answer("x"))["code"] == "NX6801"
        assert (await bench.asker.answer("deep"))["code"] == "NX6801"
        assert (await bench.asker.ask(PATH, 26.0))["state"] == "done"
        assert len(field.writes) == 1
