"""What control measured of the things that a plan changes: counts that the samples confirm, links as gateways report them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from nexus_cli.database import sample_counts
from nexus_cli.database.connect import Connection, connection
from nexus_cli.database.rollup_tables import roll_up
from nexus_cli.database.sample_class import load_classes
from nexus_cli.database.sample_counts import stored_samples
from nexus_cli.database.series import sync_series
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.calendar import microseconds
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.plan.document import plan_document
from nexus_cli.plan.hazards import blocked
from nexus_cli.plan.measured_document import with_measures
from nexus_cli.plan.text import plan_text
from nexus_cli.project.measure import measure
from nexus_cli.runtime.control.routes import api
from nexus_cli.settings import Settings
from nexus_cli.wire.control_facts import AskedLink, Facts, FactsQuestion
from tests.integration.control_world import (
    PEOPLE,
    TOPICS,
    FakeGateway,
    World,
    applied,
    device,
    plan_against,
    snapshot,
    tag,
    world,
)
from tests.integration.test_history_rolled import put
from tests.postgres import SITE
from tests.waiting import until_found

__all__ = ["world"]

PATH = "packaging/line-1/filler"
NOW = datetime(2026, 10, 27, 12, 30, tzinfo=UTC)


async def declare(conn: Connection, *names: str) -> None:
    tags = {name: TagConfig(type="float64", published_type="float64") for name in names}
    found: dict[str, DeviceConfig | None] = {
        PATH: DeviceConfig(path=PATH, protocol="modbus", gateway="gw-1", tags=tags)
    }
    await sync_series(conn, site=SITE, devices=found)


def rows(start: datetime, count: int) -> list[tuple[Any, ...]]:
    return [(start + timedelta(minutes=at), float(at), 192) for at in range(count)]


@pytest.mark.needs_database
@pytest.mark.every_database
async def test_counts_are_those_of_the_samples_rolled_up_or_not(database: Settings) -> None:
    async with connection(database) as conn:
        await declare(conn, "a", "b", "empty")
        old, new = NOW - timedelta(hours=20), NOW - timedelta(minutes=20)
        await put(conn, "a", rows(old, 180))
        await put(conn, "b", rows(old, 7))
        paths = [f"{PATH}/{name}" for name in ("a", "b", "empty", "nowhere")]
        before = await stored_samples(conn, site=SITE, paths=paths)
        (made,) = (await load_classes(conn, site=SITE)).values()
        await roll_up(conn, made, now=NOW)
        await put(conn, "a", rows(new, 5))
        after = await stored_samples(conn, site=SITE, paths=paths)
        await put(conn, "b", rows(old + timedelta(seconds=30), 3))
        late = await stored_samples(conn, site=SITE, paths=paths)
        await roll_up(conn, made, now=NOW)
        again = await stored_samples(conn, site=SITE, paths=paths)
    a, b, empty = paths[:3]
    assert set(after) == {a, b, empty}, "a path without a series is left out"
    assert (before[a].samples, before[b].samples, before[empty].samples) == (180, 7, 0)
    assert (after[a].samples, after[a].exact, after[b].samples) == (185, True, 7)
    assert (after[a].first_us, after[a].last_us) == (microseconds(old), microseconds(new + timedelta(minutes=4)))
    assert after[empty].first_us is None and after[empty].exact
    assert (after[a].size_bytes or 0) > (after[b].size_bytes or 0) > 0
    assert not late[b].exact and "late" in late[b].why, "what is not rolled up again makes it an estimate, and says so"
    assert (again[b].samples, again[b].exact) == (10, True)


@pytest.mark.needs_database
async def test_a_count_that_takes_too_long_is_an_estimate_or_unknown(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connection(database) as conn:
        await declare(conn, "a")
        await put(conn, "a", rows(NOW - timedelta(hours=2), 50))
        (one,) = (await stored_samples(conn, site=SITE, paths=[f"{PATH}/a"], budget_s=0.0)).values()
        monkeypatch.setattr(sample_counts, "MOST_ESTIMATED", 0)
        (other,) = (await stored_samples(conn, site=SITE, paths=[f"{PATH}/a"], budget_s=0.0)).values()
    assert not one.exact and "took too long" in one.why and one.samples is not None
    assert other.samples is None and other.size_bytes is None and "took too long" in other.why


@pytest.mark.needs_database
async def test_counting_writes_nothing(database: Settings) -> None:
    async with connection(database) as conn:
        await declare(conn, "a")
        await put(conn, "a", rows(NOW - timedelta(hours=2), 5))
        await conn.execute("SET default_transaction_read_only = on")  # from here on a write is refused
        assert (await stored_samples(conn, site=SITE, paths=[f"{PATH}/a"]))[f"{PATH}/a"].samples == 5


@pytest.mark.needs_database
@pytest.mark.needs_broker
async def test_a_plan_shows_what_control_measured(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up() as fake:
        await applied(control, snapshot(device("a/l/one")))
        link = {"state": "connected", "since": 0, "devices": 1, "answering": 1, "cycle_ms": 12.5, "requests": 2}
        links = {"tcp:10.0.0.9:502": {**link, "connect_ms": 3.5, "request_ms": 6.25}}
        await fake.client.publish(TOPICS.health("gateway", "gw-1"), fake.said("running", links=links), retain=True)
        elsewhere = AskedLink(gateway="gw-2", link="tcp:10.0.0.9:502")
        question = FactsQuestion(links=[asked("tcp:10.0.0.9:502"), asked("tcp:10.0.0.10:502"), elsewhere])
        facts = await until_found(
            lambda: control.call("POST", "/plan/facts", Facts, body=question),
            lambda found: found.links[0].cycle_ms == 12.5,
        )
        assert (facts.links[0].requests, facts.links[0].time_per_request_ms, facts.links[0].connect_ms) == (
            2,
            6.25,
            3.5,
        )
        assert facts.links[1].cycle_ms is None and facts.links[1].why == "no running gateway reports it"
        assert facts.links[2].cycle_ms is None and facts.links[2].gateway == "gw-2", "a link is one of its gateway"
        assert facts.database is not None and facts.database.revision == facts.database.head

        async with connection(world.settings) as conn:
            ident = await conn.fetchval("SELECT id FROM nexus.series WHERE path = 'a/l/one/voltage'")
            (made,) = (await load_classes(conn, site="acme/chicago")).values()
            for time, value, quality in rows(NOW, 40):
                await conn.execute(
                    f'INSERT INTO nexus."{made.rest}" ("time", series_id, value, quality) VALUES ($1, $2, $3, $4)',
                    *(time, ident, value, quality),
                )
        smaller = device("a/l/one", tags={"energy": tag()})
        desired = snapshot(smaller, retention__long={"keep_ms": 864_000_000, "rollups": []})
        plan = await plan_against(control, desired)
        measured = await measure(plan, as_cli(world.settings))
        plain = plan_document(plan)
        document = with_measures(plain, plan.changes, measured)
    (series,) = document["measured"]["series"]
    assert (series["path"], series["samples"], series["exact"]) == ("a/l/one/voltage", 40, True)
    assert document["measured"]["database"]["tables"] == ["long"]
    assert list(document).index("measured") == list(document).index("defaults") + 1
    (hazard,) = document["hazards"]
    assert hazard["measured"].startswith("40 samples since 2026-10-27, about ")
    assert {key: value for key, value in hazard.items() if key != "measured"} == plain["hazards"][0]
    assert blocked(plan.hazards, ["data-loss=a/l/one/voltage"]) == (), "a consent does not depend on counts"
    text = plan_text(document, style=lambda each, _: each)
    assert "forgotten; its samples are kept: 40 samples since 2026-10-27" in text
    assert "they go when their retention ends, or by `nexus purge`" in text
    assert "tcp:10.0.0.9:502: a poll turn takes up to 12.5 ms for 2 requests" in text
    assert "live subscribers" in "\n".join(document["unknowns"])
    assert orjson.dumps(document)


def asked(link: str) -> AskedLink:
    return AskedLink(gateway="gw-1", link=link)


def as_cli(settings: Settings) -> Settings:
    return replace(settings, control_token="cli-token")


@pytest.mark.needs_database
@pytest.mark.needs_broker
async def test_who_may_not_read_the_state_gets_no_facts_and_a_bad_question_is_refused(world: World) -> None:
    async with world.control(), world.client("anna") as anna, world.client() as cli:
        assert "anna" in PEOPLE
        with pytest.raises(NexusError) as caught:
            await anna.call("POST", "/plan/facts", Facts, body=FactsQuestion(links=[asked("x")]))
        assert caught.value.code in ("NX6401", "NX6403")
        with pytest.raises(NexusError):
            await cli.call("POST", "/plan/facts", Facts, body=FactsQuestion(links=[asked("x")] * 2_000))
        assert (await cli.call("POST", "/plan/facts", Facts, body=FactsQuestion(series=["no/such/tag/here"]))).series[
            0
        ].samples == 0


@pytest.mark.needs_database
@pytest.mark.needs_broker
async def test_a_control_without_the_facts_costs_a_line_and_no_plan(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "add_facts_route", lambda *_, **__: None)
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(device("a/l/one")))
        plan = await plan_against(control, snapshot(device("a/l/two")))
        measured = await measure(plan, as_cli(world.settings))
    assert measured.facts is None
    (line,) = measured.unknowns
    assert line.startswith("what the runtime measured: ")
