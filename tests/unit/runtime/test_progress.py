"""Progress: what waits and does not move is reported, an idle part never is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from nexus_cli.runtime.metrics import Metrics
from nexus_cli.runtime.progress import Activity, Progress
from tests.clock import FakeClock
from tests.waiting import PATIENCE_S


@dataclass
class Part:
    """Something with work."""

    waits: bool = False
    moved: int = 0

    def look(self) -> dict[str, Activity]:
        return {"work": Activity(waits=self.waits, moved=self.moved, limit_s=20.0, problem="nothing is done")}


class Bench:
    """A part, a clock and what was reported."""

    def __init__(self) -> None:
        self.clock, self.part, self.metrics, self.changes = FakeClock(), Part(), Metrics(), 0
        self.progress = Progress(clock=self.clock, metrics=self.metrics, changed=self.changed)
        self.progress.watch(self.part.look)

    def changed(self) -> None:
        self.changes += 1

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1.0)
            self.progress.look()


def test_an_idle_part_is_well_for_ever() -> None:
    bench = Bench()
    bench.pass_time(3600)
    assert bench.progress.ready() == (True, "")
    assert bench.changes == 0


def test_work_that_waits_and_does_not_move_is_told_and_taken_back() -> None:
    bench = Bench()
    bench.part.waits = True
    bench.pass_time(20)
    assert bench.progress.ready() == (True, "")
    bench.pass_time(1)
    assert bench.progress.ready() == (False, "nothing is done (for 20 s)")
    assert b'nexus_stalled{activity="work"} 1.0' in bench.metrics.render()
    assert bench.changes == 1
    bench.pass_time(180)
    assert bench.progress.ready() == (False, "nothing is done (for 3 min)")
    assert bench.changes == 1
    bench.part.moved += 1
    bench.pass_time(1)
    assert bench.progress.ready() == (True, "")
    assert b'activity="work"' not in bench.metrics.render()
    assert bench.changes == 2


def test_a_little_movement_within_the_limit_is_enough() -> None:
    bench = Bench()
    bench.part.waits = True
    for _ in range(30):
        bench.pass_time(19)
        bench.part.moved += 1
    assert bench.changes == 0


def test_the_time_counts_from_when_work_came_not_from_the_last_movement() -> None:
    bench = Bench()
    bench.pass_time(100)
    bench.part.waits = True
    bench.pass_time(15)
    assert bench.progress.ready()[0]
    bench.part.waits = False
    bench.pass_time(1)
    bench.part.waits = True
    bench.pass_time(15)
    assert bench.progress.ready()[0]
    assert bench.progress.still_s("work") == 14.0


async def test_it_looks_by_itself_until_stopped() -> None:
    bench = Bench()
    stop, looks = asyncio.Event(), 0

    def look() -> dict[str, Activity]:
        nonlocal looks
        looks += 1
        stop.set()
        return {}

    bench.progress.watch(look)
    async with asyncio.timeout(PATIENCE_S):
        await bench.progress.run(stop)
    assert looks == 1
