"""Kill parts of a running plant and count the rows afterwards.

The devices count their polls, so a row that is missing or doubled shows. Parts stay away for NEXUS_FAULT_SECONDS
(default 3, so that the suite ends), and NEXUS_FAULT_DEVICES units are polled ten times a second (default 5).
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.plant import PARTS, Plant
from tests.waiting import wait_until

AWAY_S = float(os.environ.get("NEXUS_FAULT_SECONDS", "3"))
DEVICES = int(os.environ.get("NEXUS_FAULT_DEVICES", "5"))
pytestmark = [pytest.mark.slow, pytest.mark.needs_broker, pytest.mark.needs_database]
CASES = [(part,) for part in PARTS] + list(itertools.combinations(PARTS, 2))


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    running = Plant(tmp_path_factory.mktemp("plant"), devices=DEVICES)
    try:
        running.start()
        running.wait_rows_beyond(
            {f"hall/line-1/unit-{n}/{t}": 20 for n in range(1, DEVICES + 1) for t in ("first", "third")}
        )
        yield running
    finally:
        running.stop()


NEWEST = """
select max(x.time) as newest from nexus.sample x join nexus.series s on s.id = x.series_id
where x.quality = 192 group by s.path
"""


def settle(plant: Plant) -> None:
    """Wait until rows flow again: every series grows well beyond what it has now, with rows of after this moment.

    A historian that lags on a busy machine may still store what was polled before the fault.
    """
    began = datetime.now(UTC)
    now = {count.path: count.last for count in plant.counts()}
    plant.wait_rows_beyond({path: value + 10 for path, value in now.items()}, deadline_s=90)
    wait_until(lambda: all(row["newest"] > began for row in plant.query(NEWEST)), "rows of after the fault")


def check_ledger(plant: Plant, *, gateway_killed: bool) -> None:
    """Nothing doubled, nothing backwards; what is missing is a gateway's last moments and is in `gap`."""
    found = plant.counts()
    assert len(found) == plant.devices * 3
    assert [count for count in found if count.doubled or count.backwards] == []
    if not gateway_killed:
        assert plant.wait_healed() == []
        return
    holes = plant.wait_healed()  # what a killed gateway lost never comes
    plant.known_holes += [hole[:3] for hole in holes]
    gaps = plant.query("select start, \"end\", reason from nexus.gap where reason = 'gateway_killed'")
    for path, first, last, before, after in holes:
        # A poll that was answered but not yet on disk: at most the group commit's 100 ms and the poll in flight.
        assert last - first + 1 <= 6, (path, first, last)
        assert any(gap["start"] <= after and (gap["end"] is None or gap["end"] >= before) for gap in gaps), path


@pytest.mark.parametrize("parts", CASES, ids="+".join)
def test_rows_equal_accepted_samples_after_kill(plant: Plant, parts: tuple[str, ...]) -> None:
    before = {count.path: count.last for count in plant.counts()}
    assert len(before) == plant.devices * 3
    plant.cut(parts, seconds=AWAY_S)
    plant.wait_rows_beyond(before, deadline_s=90)
    settle(plant)
    check_ledger(plant, gateway_killed="gateway" in parts)


def test_gateway_keeps_polling_while_everything_else_is_away(plant: Plant) -> None:
    """The store-and-forward case: rows of the time away are there afterwards."""
    before = {count.path: count.last for count in plant.counts()}
    plant.cut(("broker", "database", "control", "historian"), seconds=AWAY_S)
    settle(plant)
    after = plant.counts()
    polled_while_away = AWAY_S * 10 * 0.7
    assert all(count.last - before[count.path] > polled_while_away for count in after)
    check_ledger(plant, gateway_killed=False)


def test_broker_that_lost_its_state(plant: Plant) -> None:
    plant.kill_part("broker")
    for file in Path(plant.broker.folder).glob("*.db"):
        file.unlink()
    shutil.rmtree(plant.broker.folder / "data", ignore_errors=True)
    plant.start_part("broker")
    settle(plant)
    check_ledger(plant, gateway_killed=False)
