"""Alerts between their topics and their record: looked at when limits change, published first, kept in order."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from msgspec.structs import replace

from nexus_cli.database.alert_states import LastValue, StoredAlert
from nexus_cli.database.leader import LeadLost
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.control.alerts import record as alert_record
from nexus_cli.runtime.control.alerts.alerting import Alerting
from nexus_cli.runtime.control.alerts.record import AlertRecord, Change
from nexus_cli.settings import Settings
from nexus_cli.wire.control import Alert
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock
from tests.waiting import until

TOPICS = Topics("acme", "chicago")
TAG = "a/l/one/energy"
FACTS = Alert(
    name="hot",
    state="active",
    since=1,
    value=150.0,
    severity="warning",
    tag=TAG,
    description="",
    acknowledged_by="",
)


class Pool:
    """A database that is there, away, or refuses one alert; keeps what it was given, in order."""

    def __init__(self) -> None:
        self.away = self.lost = False
        self.refuses = ""
        self.rows: list[tuple[str, str]] = []

    def acquire(self) -> Pool:
        return self

    async def __aenter__(self) -> Pool:
        if self.lost:
            raise LeadLost("another control leads")
        if self.away:
            raise OSError("no route to host")
        self._open: list[tuple[str, str]] = []
        return self

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self.rows += self._open

    async def execute(self, query: str, *arguments: Any) -> None:
        if self.refuses and self.refuses in arguments:
            raise asyncpg.DataError("no such value")
        if "alert_change" in query and query.startswith("INSERT"):
            self._open.append((arguments[1], arguments[3]))


class Plant:
    """An `Alerting` with a clock of the test's, a broker that may be away and a database that may be."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home, site="acme/chicago")
        self.clock, self.pool = FakeClock(), Pool()
        self.record = AlertRecord(settings=self.settings, pool=self.pool, spool=home / "unstored")
        self.published: list[tuple[str, dict[str, Any] | None]] = []
        self.broker_away = False
        self.alerting = Alerting(settings=self.settings, record=self.record, publish=self._publish, clock=self.clock)

    async def _publish(self, topic: str, payload: bytes) -> None:
        if self.broker_away:
            raise NexusError("away", code="NX6010", retriable=True)
        self.published.append((topic.rpartition("/")[2], orjson.loads(payload) if payload else None))

    def load(self, **alerts: dict[str, Any]) -> list[str]:
        return self.alerting.load({name: {"tag": TAG, **keys} for name, keys in alerts.items()}, {})

    def value(self, value: Any, **more: Any) -> None:
        message = {"value": value, "timestamp": 1, "quality": "GOOD", **more}
        self.alerting.receive(TOPICS.tag(TAG), orjson.dumps(message))

    def states(self) -> dict[str, str]:
        return {each.name: each.state for each in self.alerting.listing()}


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def test_new_limits_are_looked_at_with_the_value_that_is_there(plant: Plant) -> None:
    plant.load(first={"above": 200.0})
    plant.value(150.0)
    assert plant.states() == {"first": "cleared"}
    plant.load(first={"above": 100.0}, second={"above": 120.0})
    assert plant.states() == {"first": "active", "second": "active"}
    plant.load(first={"above": 300.0}, second={"above": 120.0})
    assert plant.states() == {"first": "cleared", "second": "active"}
    plant.load(first={"above": 140.0, "clear_below": 130.0})
    plant.load(first={"above": 160.0, "clear_below": 145.0})
    assert plant.states() == {"first": "active"}, "between the limit and its hysteresis it stays"


def test_a_bad_value_is_looked_at_by_what_on_bad_says_now(plant: Plant) -> None:
    plant.load(hot={"above": 100.0, "on_bad": "hold"})
    plant.value(None, quality="BAD")
    assert plant.states() == {"hot": "cleared"}
    plant.load(hot={"above": 100.0, "on_bad": "raise"})
    assert plant.states() == {"hot": "active"}
    plant.load(hot={"above": 100.0, "on_bad": "hold"})
    assert plant.states() == {"hot": "active"}
    plant.load(hot={"above": 100.0, "on_bad": "clear"})
    assert plant.states() == {"hot": "cleared"}


def test_new_limits_of_a_device_that_is_being_changed_wait_for_its_gateway(plant: Plant) -> None:
    """The value that is known has the unit of before."""
    plant.load(hot={"above": 100.0})
    plant.value(50.0)
    configs = {"hot": {"tag": TAG, "above": 40.0}, "new": {"tag": TAG, "above": 40.0}}
    assert plant.alerting.load(configs, {}, held={"a/l/one"}) == [], "held is not gone"
    assert plant.states() == {"hot": "cleared"}
    plant.value(50.5)
    assert plant.states() == {"hot": "cleared"}, "still by the limits of before"
    plant.value(10.0)
    plant.alerting.load(configs, {})
    assert plant.states() == {"hot": "cleared", "new": "cleared"}


async def test_time_alone_never_raises_an_alert_for_a_tag_that_said_nothing(plant: Plant) -> None:
    """The condition held on the tag that the alert watched before."""
    plant.load(hot={"above": 100.0, "for_ms": 10_000}, pulse={"above": 100.0, "for_ms": 10_000})
    plant.value(150.0)
    plant.alerting.load({"hot": {"tag": "a/l/two/other", "above": 100.0, "for_ms": 10_000}}, {})
    plant.clock.advance(11.0)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(plant.alerting.run(stop))
        await until(lambda: plant.alerting.waiting == 0)
        assert plant.states() == {"hot": "cleared"} and plant.alerting.listing()[0].value is None
        plant.alerting.receive(TOPICS.tag("a/l/two/other"), b'{"value": 160.0, "quality": "GOOD"}')
        assert plant.states() == {"hot": "active"}
        stop.set()


LONG = "0" * 10**6 + "9"


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [
        (b'{"value": ' + b"[" * 500 + b"]" * 500 + b', "quality": "BAD"}', {"above": 5.0}),
        (f'{{"value": "{LONG}"}}'.encode(), {"equals": LONG}),
    ],
)
async def test_what_others_publish_stops_no_alert(plant: Plant, payload: bytes, wanted: dict[str, Any]) -> None:
    """A value that can be read may be nested too deep to be written, or too large for the broker."""
    plant.load(odd={**wanted, "on_bad": "raise"})
    plant.alerting.receive(TOPICS.tag(TAG), payload)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(plant.alerting.run(stop))
        await until(lambda: bool(plant.published))
        stop.set()
    name, facts = plant.published[-1]
    assert facts is not None and (name, facts["state"]) == ("odd", "active")
    assert len(orjson.dumps(facts)) < 5_000
    await plant.record.drain()
    assert plant.pool.rows == [("odd", "active")]


def test_a_stored_sample_never_overrules_a_live_value(plant: Plant) -> None:
    plant.load(hot={"above": 100.0}, label={"equals": "fault"})
    assert plant.alerting.unreceived() == [TAG]
    plant.alerting.load_stored(TAG, LastValue(2, "fault", 192))
    assert plant.states() == {"hot": "cleared", "label": "active"} and plant.alerting.unreceived() == []
    plant.value(150.0)
    plant.alerting.load_stored(TAG, LastValue(2, "fault", 192))
    assert plant.states() == {"hot": "active", "label": "cleared"}


async def test_what_changed_is_published_while_the_database_is_away_and_stored_in_order(plant: Plant) -> None:
    plant.pool.away = True
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(plant.alerting.run(stop))
        group.create_task(plant.record.run(stop))
        plant.load(hot={"above": 100.0})
        for value, state in ((150.0, "active"), (50.0, "cleared"), (160.0, "active")):
            plant.value(value)
            await until(lambda state=state: plant.published and plant.published[-1][1]["state"] == state)
        assert plant.pool.rows == [] and len(plant.record) == 3
        plant.pool.away = False
        await until(lambda: not len(plant.record))
        stop.set()
    assert plant.pool.rows == [("hot", "active"), ("hot", "cleared"), ("hot", "active")]


async def test_what_could_not_be_stored_is_found_by_the_next_life(plant: Plant, tmp_path: Path) -> None:
    plant.pool.away = True
    plant.load(hot={"above": 100.0})
    plant.value(150.0)
    await plant.record.drain()  # fails, and is kept
    plant.value(50.0)
    spool = (tmp_path / "unstored").read_bytes()
    (tmp_path / "unstored").write_bytes(spool + b'{"facts": {"name": "hot", "st')  # cut by a kill
    after = Plant(tmp_path)
    after.clock.advance(3600.0)
    found = after.record.recover()
    assert [change.facts.state for change in found] == ["active", "cleared"]
    after.alerting.recover(found)
    after.load(hot={"above": 100.0})
    assert after.alerting.listing() == [found[-1].facts]
    await after.record.drain()
    assert after.pool.rows == [("hot", "active"), ("hot", "cleared")]
    assert not (tmp_path / "unstored").exists()


async def test_a_control_that_leads_no_more_touches_no_file_of_its_successor(plant: Plant, tmp_path: Path) -> None:
    """Two controls of one home share the file; a stopped one goes on after another has led."""
    spool = tmp_path / "unstored"
    spool.write_bytes(b"the successor's\n")
    plant.load(hot={"above": 100.0})
    plant.pool.lost = True
    plant.value(150.0)
    await plant.record.drain()
    plant.value(50.0)
    await plant.record.drain()
    assert spool.read_bytes() == b"the successor's\n"
    assert plant.pool.rows == [] and len(plant.record) == 0


async def test_a_change_that_the_database_refuses_stops_no_other(plant: Plant) -> None:
    plant.load(odd={"above": 100.0}, hot={"above": 100.0})
    plant.pool.refuses = "odd"
    plant.value(150.0)
    await plant.record.drain()
    assert plant.pool.rows == [("hot", "active")] and plant.record.refused == 1


def test_the_queue_is_bounded_and_drops_the_oldest(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_record, "MAX_CHANGES", 3)
    for number in range(5):
        plant.record.add(Change(facts=replace(FACTS, name=str(number))))
    assert [each.facts.name for each in plant.record._waiting] == ["2", "3", "4"]
    assert plant.record.dropped == 2


async def test_every_alert_has_its_topic_from_the_start_and_follows_its_declaration(plant: Plant) -> None:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(plant.alerting.run(stop))
        plant.load(hot={"above": 100.0, "severity": "warning"})
        await until(lambda: len(plant.published) == 1)
        assert plant.published[0][1]["state"] == "cleared" and plant.published[0][1]["since"] > 0
        plant.load(hot={"above": 100.0, "severity": "critical"})
        await until(lambda: len(plant.published) == 2)
        assert plant.published[1][1]["severity"] == "critical"
        plant.load(hot={"above": 100.0, "severity": "critical"})
        plant.broker_away = True
        plant.value(150.0)
        plant.value(50.0)
        plant.value(151.0)
        plant.broker_away = False
        await until(lambda: plant.published[-1][1]["value"] == 151.0)
        stop.set()
    assert [each[1]["state"] for each in plant.published] == ["cleared", "cleared", "active"], "the newest counts"


async def test_an_alert_whose_tag_is_renamed_keeps_its_state_and_follows_the_new_name(plant: Plant) -> None:
    renamed = {"hot": {"tag": "a/l/one/heat", "above": 100.0}}
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(plant.alerting.run(stop))
        plant.load(hot={"above": 100.0})
        plant.value(150.0)
        await plant.alerting.acknowledge("hot", who="anna")
        await until(lambda: plant.published and plant.published[-1][1]["state"] == "acknowledged")
        assert plant.alerting.load(renamed, {}) == [], "the alert itself is not gone"
        assert plant.alerting.topics() == [TOPICS.tag("a/l/one/heat")]
        await until(lambda: plant.published[-1][1]["tag"] == "a/l/one/heat")
        assert plant.published[-1][1]["state"] == "acknowledged" and plant.published[-1][1]["acknowledged_by"] == "anna"
        plant.value(50.0)
        assert plant.states() == {"hot": "acknowledged"}, "the old name has no say"
        plant.alerting.receive(TOPICS.tag("a/l/one/heat"), b'{"value": 50.0, "quality": "GOOD"}')
        assert plant.states() == {"hot": "cleared"}
        stop.set()


@pytest.mark.parametrize(
    ("payload", "state"),
    [
        (b"150.5", "active"),
        (b'{"value": 150.5, "quality": 192}', "active"),
        (b'{"value": 150.5, "quality": "good"}', "active"),
        (b'{"value": 150.5, "timestamp": "yesterday"}', "active"),
        (b'{"value": "9223372036854775809"}', "active"),
        (b'{"value": "150.5"}', "cleared"),
        (b'{"value": 150.5, "quality": "bad"}', "cleared"),
        (b'{"temperature": 150.5}', "cleared"),
    ],
)
def test_an_alert_reads_what_the_record_reads(plant: Plant, payload: bytes, state: str) -> None:
    plant.load(hot={"above": 100.0})
    plant.alerting.receive(TOPICS.tag(TAG), payload)
    assert plant.states() == {"hot": state}


@pytest.mark.parametrize("quality", ["bad", 0, "Bad_CommFault"])
def test_a_bad_value_of_others_raises_where_that_is_declared(plant: Plant, quality: Any) -> None:
    plant.load(hot={"above": 100.0, "on_bad": "raise"})
    plant.value(5, quality=quality)
    assert plant.states() == {"hot": "active"}


def test_a_tag_that_can_not_be_read_is_told_once(plant: Plant, caplog: pytest.LogCaptureFixture) -> None:
    plant.load(hot={"above": 100.0})
    with caplog.at_level("INFO", logger="nexus.alerts"):
        for payload in (b"{", b"{", b"150", b"{"):
            plant.alerting.receive(TOPICS.tag(TAG), payload)
    said = [record.getMessage() for record in caplog.records if "read" in record.getMessage()]
    assert said == ["an alert's tag can't be read", "an alert's tag can be read again", "an alert's tag can't be read"]
    assert plant.states() == {"hot": "active"}


def test_a_pending_state_that_can_not_be_read_costs_only_its_wait(plant: Plant) -> None:
    stored = {
        name: StoredAlert("active", 7, 150.0, "", pending) for name, pending in (("hot", {"x": 5}), ("warm", None))
    }
    config = {"tag": TAG, "above": 100.0, "for_ms": 1000}
    plant.alerting.load({"hot": config, "warm": config}, stored)
    assert plant.states() == {"hot": "active", "warm": "active"}
