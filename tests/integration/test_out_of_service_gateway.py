"""A device out of service in a gateway: nothing is read or written, others of its link go on, and it begins again by itself."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from nexus_cli.wire.control import ServicePause
from nexus_cli.wire.frame import Gap, GapReason
from tests.commanding import Bench, CountingServer, counting, drive
from tests.servers import TestBroker
from tests.waiting import until

pytestmark = pytest.mark.needs_broker
OUT, OTHER = "a/l/drive", "a/l/other"
SETPOINT = f"{OUT}/setpoint"


@pytest.fixture
async def field() -> AsyncIterator[CountingServer]:
    async with counting([drive(), drive(OTHER, unit_id=2)]) as server:
        yield server


def bench_of(broker: TestBroker, home: Path, field: CountingServer) -> Bench:
    return Bench(broker, home, [drive(port=field.port), drive(OTHER, port=field.port, unit_id=2)])


def paused(*, left_s: float, who: str = "otto") -> dict[str, ServicePause]:
    until_us = time.time_ns() // 1000 + int(left_s * 1e6)
    return {OUT: ServicePause(until=until_us, left_us=int(left_s * 1e6), who=who, reason="new valve")}


def cycles(bench: Bench, path: str) -> int:
    return next(one for one in bench.gateway.links.devices() if one.path == path).counters.cycles


def gaps(bench: Bench) -> list[Gap]:
    return [gap for gap in bench.historian.gaps.values() if gap.device == OUT]


def closed(bench: Bench) -> bool:
    found = bench.gateway.status().out_of_service.get(OUT)
    return found is not None and found.closed


def bad_rows(bench: Bench) -> list[int]:
    """Times of the rows that say that the device is out of service."""
    return sorted(
        frame.time
        for key, frame in bench.historian.frames.items()
        if bench.historian.devices[key] == OUT and frame.quality.get("setpoint", ("", "", 0))[1] == "out_of_service"
    )


def whole(bench: Bench) -> bool:
    """Rows and gaps of that reason alternate without a hole, from the first BAD row to the first read after it."""
    rows = sorted(frame.time for key, frame in bench.historian.frames.items() if bench.historian.devices[key] == OUT)
    good = [
        frame.time
        for key, frame in bench.historian.frames.items()
        if bench.historian.devices[key] == OUT and frame.samples.get("setpoint") is not None
    ]
    begin = bad_rows(bench)[0]
    end = min((time for time in good if time > begin), default=0)
    edges = [time for time in rows if begin <= time <= end]
    wanted = [(one + 1, other - 1) for one, other in pairwise(edges) if other - one > 1]
    found = sorted((gap.start, gap.end) for gap in gaps(bench))
    assert {gap.reason for gap in gaps(bench)} <= {GapReason.OUT_OF_SERVICE}
    return bool(end) and found == wanted


async def test_it_is_left_alone_and_begins_again_while_control_is_away(
    broker: TestBroker, field: CountingServer, tmp_path: Path
) -> None:
    bench = bench_of(broker, tmp_path / "home", field)
    async with bench.running():
        await until(lambda: cycles(bench, OUT) > 2, "polls")
        bench.source.paused = paused(left_s=3600.0)
        bench.gateway.following.notice()
        await until(lambda: closed(bench), "the session is closed")
        await until(lambda: len(bad_rows(bench)) == 1, "the BAD row")
        shown = bench.gateway.status().out_of_service[OUT]
        assert (shown.who, shown.reason) == ("otto", "new valve")
        before = cycles(bench, OTHER)
        await until(lambda: cycles(bench, OTHER) > before + 3, "the other device goes on")
        assert cycles(bench, OUT) == 0
        refused = await bench.asker.ask(SETPOINT, 21.0)
        assert (refused["state"], refused["code"]) == ("refused", "NX6804")
        assert "by otto: new valve" in refused["detail"] and "until 20" in refused["detail"]
        assert (await bench.asker.ask(f"{OTHER}/setpoint", 21.0))["state"] == "done"
        assert len(field.writes) == 1 and len(bad_rows(bench)) == 1

        bench.source.paused = paused(left_s=0.5)
        bench.gateway.following.notice()
        await until(lambda: bench.gateway.pauses.next_s() < 1.0, "the new end")
        bench.source.away = True
        await until(lambda: OUT not in bench.gateway.status().out_of_service, "the end")
        await until(lambda: cycles(bench, OUT) > 0, "it is read again")
        assert (await bench.asker.ask(SETPOINT, 22.0))["state"] == "done"
        await until(lambda: whole(bench), "the gaps")


async def test_a_restart_and_a_deployment_in_between_neither_lose_nor_extend_it(
    broker: TestBroker, field: CountingServer, tmp_path: Path
) -> None:
    bench = bench_of(broker, tmp_path / "home", field)
    async with bench.running():
        await until(lambda: cycles(bench, OUT) > 2, "polls")
        bench.source.paused = wanted = paused(left_s=3600.0)
        bench.gateway.following.notice()
        await until(lambda: closed(bench) and len(bad_rows(bench)) == 1, "the session is closed")
    reads = field.reads
    bench.source.away = True
    async with bench.running():
        assert OUT in bench.gateway.pauses and cycles(bench, OUT) == 0
        await until(lambda: cycles(bench, OTHER) > 1, "the other device")
        assert field.reads > reads
        bench.source.away = False
        faster = drive(port=field.port)
        other = drive(OTHER, port=field.port, unit_id=2)
        bench.source.deploy(msgspec.structs.replace(faster, description="after the deployment"), other)
        bench.gateway.following.notice()
        await until(lambda: bench.gateway.configuration.deployment == 2, "the deployment")
        assert bench.gateway.pauses.health(closed=lambda _: True)[OUT].until == wanted[OUT].until
        assert cycles(bench, OUT) == 0
        bench.source.paused = {}
        bench.gateway.following.notice()
        await until(lambda: cycles(bench, OUT) > 0, "in service again")
        await until(lambda: whole(bench), "the gaps")
    assert len(bad_rows(bench)) == 3, (
        "when it began, after the restart, and of the configuration that was deployed meanwhile"
    )
