"""The clock of the gateway steps back an hour under load: nothing is doubled, lost or out of order."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.plant import Plant

SHIM = Path(__file__).parent / "stepped_clock"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
]


@pytest.fixture
def stepped(tmp_path: Path) -> Iterator[tuple[Plant, Path]]:
    plant = Plant(tmp_path / "plant", devices=3)
    offset = tmp_path / "offset"
    offset.write_text("0")
    for role in ("gateway", "historian"):
        shifted = f"{SHIM}{os.pathsep}{plant.environment(role)['PYTHONPATH']}"
        plant.extra_environment[role] = {"NEXUS_TEST_CLOCK": str(offset), "PYTHONPATH": shifted}
    try:
        plant.start()
        yield plant, offset
    finally:
        plant.stop()


def beyond(plant: Plant, more: int) -> dict[str, int]:
    """What every series has now, and a little more."""
    return {count.path: count.last + more for count in plant.counts()}


def check(plant: Plant) -> None:
    """Every value once, in the order of time."""
    assert plant.wait_healed() == []
    found = plant.counts()
    assert len(found) == 9
    assert [count for count in found if count.doubled or count.backwards or count.missing] == []


def test_clock_stepped_back_an_hour(stepped: tuple[Plant, Path]) -> None:
    plant, offset = stepped
    plant.wait_rows_beyond({f"hall/line-1/unit-{n}/first": 20 for n in (1, 2, 3)})
    offset.write_text("-3600")
    until = time.monotonic() + 30
    while not plant.status("gateway")["clock"]["steps"] and time.monotonic() < until:
        time.sleep(0.2)
    assert plant.status("gateway")["clock"]["last_step_us"] < -3_500_000_000
    plant.wait_rows_beyond(beyond(plant, 20))
    check(plant)
    # Started again on the stepped clock it goes on above its last time.
    plant.end("gateway", 15)
    plant.start_part("gateway")
    plant.wait_rows_beyond(beyond(plant, 20))
    check(plant)
    # And forward again.
    offset.write_text("0")
    plant.wait_rows_beyond(beyond(plant, 30))
    check(plant)
    # The historian is away meanwhile, then another hour back.
    plant.kill_part("historian")
    offset.write_text("-3600")
    time.sleep(2)
    plant.start_part("historian")
    plant.wait_rows_beyond(beyond(plant, 30))
    check(plant)
