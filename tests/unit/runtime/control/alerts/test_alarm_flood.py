"""5,000 alarms at once, with the database away: nothing is lost, and the first is known."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson

from nexus_cli.database.alert_states import StoredAlert
from nexus_cli.wire.topic import Topics
from tests.unit.runtime.control.alerts.test_alerting import Plant
from tests.waiting import until

TOPICS = Topics("acme", "chicago")
COUNT = 5_000


def flooded(home: Path) -> Plant:
    plant = Plant(home)
    plant.alerting.load(
        {
            f"n{number:04}": {"tag": f"a/l/d/t{number}", "above": 1.0, "priority": "high", "group": "mains"}
            for number in range(COUNT)
        },
        {},
    )
    return plant


def raise_all(plant: Plant, value: float) -> None:
    payload = orjson.dumps({"value": value, "timestamp": 1, "quality": "GOOD"})
    for number in range(COUNT):
        plant.alerting.receive(TOPICS.tag(f"a/l/d/t{number}"), payload)


async def test_a_flood_of_5000_through_an_outage_of_the_database(tmp_path: Path) -> None:
    plant = flooded(tmp_path)
    plant.pool.away = True
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(plant.alerting.run(stop))
        group.create_task(plant.record.run(stop))
        raise_all(plant, 2.0)
        raise_all(plant, 0.0)
        await until(lambda: plant.alerting.waiting == 0)
        assert {facts["state"] for _, facts in plant.published[-COUNT:] if facts} == {"returned"}
        assert plant.pool.rows == [] and plant.record.dropped == 0
        plant.pool.away = False
        await until(lambda: not len(plant.record))
        stop.set()
    states: dict[str, list[str]] = {}
    for name, state in plant.pool.rows:
        states.setdefault(name, []).append(state)
    assert states.pop("") == [""], "one flood begins"
    assert states == {f"n{number:04}": ["active", "returned"] for number in range(COUNT)}
    first = [one.name for one in plant.alerting.listing() if one.first_out]
    assert first == ["n0000"]


async def test_a_flood_that_control_does_not_outlive_is_stored_by_the_next_one(tmp_path: Path) -> None:
    plant = flooded(tmp_path)
    plant.pool.away = True
    raise_all(plant, 2.0)
    await plant.record.drain()  # fails, and is kept on disk; then the process is killed
    after = Plant(tmp_path)
    after.alerting.recover(after.record.recover())
    configs: dict[str, Any] = {
        f"n{number:04}": {"tag": f"a/l/d/t{number}", "above": 1.0, "priority": "high"} for number in range(COUNT)
    }
    after.alerting.load(configs, {})
    await after.record.drain()
    assert len(after.pool.rows) == COUNT + 1
    assert {one.state for one in after.alerting.listing()} == {"active"}


async def test_holds_and_delays_go_on_in_the_next_life(tmp_path: Path) -> None:
    """From the rows of the database, an hour later by every clock: a shelf of two hours lasts one more."""
    plant = Plant(tmp_path)
    config = {"hot": {"tag": "a/l/one/energy", "above": 1.0, "priority": "high"}}
    plant.alerting.load(config, {})
    plant.value(2.0)
    now = plant.alerting.now()
    plant.alerting.do(
        "hot",
        lambda alert, at: alert.shelve(for_s=7200.0, who="ann", reason="probe", time_us=at.us, at_s=at.s),
        otherwise="",
        code="NX6430",
    )
    last = plant.record._waiting[-1]
    assert last.timers is not None
    timers = orjson.loads(
        orjson.dumps({"shelf": {k: getattr(last.timers.shelf, k) for k in last.timers.shelf.__struct_fields__}})
    )  # type: ignore[union-attr]
    timers["shelf"]["boot"] = "another"
    hour_us = 3_600_000_000
    stored = StoredAlert(
        "active", last.facts.since, 2.0, "", None, stored=now.us, now=now.us + hour_us, timers=timers,
        changed=last.facts.changed, occurrence=last.facts.occurrence, shelved_until=last.facts.shelved_until,
        shelved_by="ann", shelved_reason="probe",
    )  # fmt: skip
    after = Plant(tmp_path)
    after.clock.advance(3600.0)
    after.alerting.load(config, {"hot": stored})
    after.clock.advance(3590.0)
    after.alerting.panel.tick(after.alerting.now())
    assert after.alerting.listing()[0].shelved_by == "ann"
    after.clock.advance(11.0)
    after.alerting.panel.tick(after.alerting.now())
    found = after.alerting.listing()[0]
    assert (found.shelved_until, found.state) == (0, "active") and found.occurrence > last.facts.occurrence


async def test_what_a_person_did_is_on_record_before_the_answer_or_in_the_file(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.load(hot={"above": 100.0, "priority": "high"})
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(plant.record.run(stop))
        plant.value(150.0)
        await plant.alerting.acknowledge("hot", who="ann")
        await plant.record.kept(timeout_s=90.0)
        assert plant.pool.rows == [("hot", "active"), ("hot", "acknowledged")]
        plant.pool.away = True
        plant.value(50.0)
        await plant.record.kept(timeout_s=90.0)
        assert b'"cleared"' in (tmp_path / "unstored").read_bytes()
        stop.set()
