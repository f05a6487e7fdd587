"""By row and gap together each moment is accounted for, and no gap holds a row: gateways that are killed, stopped, frozen
and cut off, with devices that count."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.plant import Plant
from tests.waiting import wait_until

DEVICES = 4
SEED = int(os.environ.get("NEXUS_GAPS_SEED", "1"))
FAULTS = int(os.environ.get("NEXUS_GAPS_FAULTS", "6"))
pytestmark = [pytest.mark.slow, pytest.mark.needs_broker, pytest.mark.needs_database]

WITH_ROWS = """
select g.device, g.reason, g.start, g."end", count(*) as rows, min(x.time) as first
from nexus.gap g join nexus.series s on s.site = g.site and (g.device = '' or s.path like g.device || '/%')
join nexus.sample x on x.series_id = s.id and x.time between g.start and coalesce(g."end", 'infinity')
group by g.id
"""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    running = Plant(tmp_path_factory.mktemp("plant"), devices=DEVICES)
    try:
        running.start()
        go_on(running)
        yield running
    finally:
        gateway = running.processes.get("gateway")
        if gateway is not None and gateway.poll() is None:
            gateway.send_signal(signal.SIGCONT)
        running.stop()


def go_on(plant: Plant) -> None:
    """Wait until every device's rows go on."""
    now = {f"hall/line-1/unit-{n}/first": 0 for n in range(1, DEVICES + 1)}
    now |= {count.path: count.last for count in plant.counts()}
    plant.wait_rows_beyond({path: value + 10 for path, value in now.items()}, deadline_s=120)


def freeze(plant: Plant, seconds: float) -> tuple[float, float]:
    """SIGSTOP for a while; gives from when to when."""
    process = plant.processes["gateway"]
    process.send_signal(signal.SIGSTOP)
    begun = time.time()
    time.sleep(seconds)
    ended = time.time()
    process.send_signal(signal.SIGCONT)
    return begun, ended


def gaps(plant: Plant) -> list[Any]:
    return plant.query('select device, reason, start, "end" from nexus.gap order by device, start')


def check_law(plant: Plant) -> None:
    """Nothing doubled or out of order, each missing count in a gap of its device, no gap with a row, none left open."""
    holes = plant.wait_healed()
    found = plant.counts()
    assert [count for count in found if count.doubled or count.backwards] == []
    declared = gaps(plant)
    assert [gap for gap in declared if gap["end"] is None or gap["end"] < gap["start"]] == []
    assert plant.query(WITH_ROWS) == []
    for path, first, last, before, after in holes:
        device = path.rpartition("/")[0]
        own = [gap for gap in declared if gap["device"] == device and before < gap["start"] and gap["end"] < after]
        assert own, f"{path} lacks {first} to {last} between {before} and {after}, and no gap says so: {declared}"
    plant.known_holes += [hole[:3] for hole in holes]


def lies_over(gap: Any, begun: float, ended: float) -> bool:
    start: datetime = gap["start"]
    end: datetime = gap["end"]
    return start.timestamp() <= begun + 1.0 and end.timestamp() >= ended - 1.0


def test_random_faults(plant: Plant) -> None:
    chance = random.Random(SEED)
    frozen: list[tuple[float, float]] = []
    for _ in range(FAULTS):
        fault = chance.choice(["kill", "stop", "freeze", "broker", "control", "both"])
        seconds = chance.uniform(0.5, 5.0)
        if fault == "freeze":
            frozen.append(freeze(plant, seconds + 2.0))
        elif fault == "stop":
            plant.end("gateway", signal.SIGTERM)
            time.sleep(seconds)
            plant.start_part("gateway")
        else:
            parts = {"both": ["control", "gateway"], "kill": ["gateway"]}.get(fault, [fault])
            plant.cut(parts, seconds=seconds)
        if chance.random() < 0.7:
            go_on(plant)
    plant.wait_ready("gateway", deadline_s=60)
    go_on(plant)
    wait_settled(plant)
    check_law(plant)
    for begun, ended in frozen:
        over = {gap["device"] for gap in gaps(plant) if lies_over(gap, begun, ended)}
        assert len(over) == DEVICES, (begun, ended, gaps(plant))


def wait_settled(plant: Plant) -> None:
    """Wait until control keeps no gap open."""
    wait_until(lambda: all(gap["end"] is not None for gap in gaps(plant)), "the end of every gap")


def test_a_freeze_longer_than_the_keep_alive_is_one_gap_and_not_two(plant: Plant) -> None:
    """The broker gives the gateway up, control opens its gaps; the process goes on and declares what it missed itself."""
    process = plant.processes["gateway"]
    process.send_signal(signal.SIGSTOP)
    begun = time.time()
    try:
        wait_until(lambda: any(gap["end"] is None for gap in gaps(plant)), "control notices that the gateway is lost")
    finally:
        ended = time.time()
        process.send_signal(signal.SIGCONT)
    go_on(plant)
    wait_settled(plant)
    check_law(plant)
    over = [gap for gap in gaps(plant) if lies_over(gap, begun, ended)]
    assert sorted(gap["device"] for gap in over) == [f"hall/line-1/unit-{n}" for n in range(1, DEVICES + 1)]
    assert {gap["reason"] for gap in over} == {"gateway_stalled"}


def test_a_gateway_that_was_cut_off_and_lost_nothing_leaves_no_gap(plant: Plant) -> None:
    before = len(gaps(plant))
    plant.kill_part("broker")
    time.sleep(3.0)
    plant.start_part("broker")
    go_on(plant)
    wait_settled(plant)
    check_law(plant)
    assert [gap for gap in gaps(plant)[before:] if gap["reason"] == "gateway_lost"] == []


def test_a_gateway_without_its_folder_ends_the_gap_with_its_first_rows(plant: Plant) -> None:
    """A new machine: what the old one had not delivered is gone, and nobody but control knows that it was away."""
    plant.kill_part("gateway")
    for part in ("outbox", "gateway"):
        shutil.rmtree(Path(plant.home) / part)
    time.sleep(2.5)
    plant.start_part("gateway")
    plant.wait_ready("gateway", deadline_s=60)
    go_on(plant)
    wait_settled(plant)
    assert plant.query(WITH_ROWS) == []
    lost = [gap for gap in gaps(plant) if gap["reason"] == "gateway_lost"]
    assert sorted(gap["device"] for gap in lost) == [f"hall/line-1/unit-{n}" for n in range(1, DEVICES + 1)]
    holes = [hole for hole in plant.holes() if hole[:3] not in set(plant.known_holes)]
    for path, _, _, before, after in holes:
        own = [gap for gap in lost if path.startswith(gap["device"] + "/")]
        assert any(before < gap["start"] and gap["end"] < after for gap in own), path
    plant.known_holes += [hole[:3] for hole in holes]
