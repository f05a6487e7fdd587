"""Alarms through control: people, holds, journal, audit, key figures, restarts, and the stored history."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from nexus_cli.cli.views.alarm_figures import figures_text
from nexus_cli.cli.views.alarms import journal_text, why_text
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.with_history import with_history
from nexus_cli.wire.control_alarms import Journal
from nexus_cli.wire.http_alarms import AlarmClient
from tests.integration.control_world import (
    API,
    TOPICS,
    FakeGateway,
    World,
    applied,
    device,
    rows,
    snapshot,
    world,
)
from tests.waiting import until_found

__all__ = ["world"]
TAG = "a/l/one/energy"


def alarm(above: float, **keys: Any) -> dict[str, Any]:
    return {"tag": TAG, "above": above, "on_bad": "hold", "severity": "critical", "priority": "high", **keys}


@asynccontextmanager
async def client(world: World) -> AsyncIterator[AlarmClient]:
    async with AlarmClient(dataclasses.replace(world.settings, control_token=API["nexus.cli"])) as found:
        yield found


async def publish(gateway: FakeGateway, value: float) -> None:
    payload = orjson.dumps({"value": value, "timestamp": 1, "quality": "GOOD"})
    await gateway.client.publish(TOPICS.tag(TAG), payload, retain=True)


async def until_state(control: AlarmClient, name: str, state: str) -> None:
    async def found() -> dict[str, str]:
        return {one.name: one.state for one in await control.alerts()}

    await until_found(found, lambda them: them.get(name) == state)


async def paged(alarms: AlarmClient) -> list[tuple[str, int]]:
    """The whole journal, read three lines at a time, the newest first."""
    found: list[tuple[str, int]] = []
    asked: dict[str, Any] = {"limit": "3"}
    while True:
        page = await alarms.call("GET", "/alerts/journal", Journal, params=asked)
        found = [(line.name, line.at) for line in page.lines] + found
        if not page.truncated:
            return found
        asked |= {"before": str(page.lines[0].at), "before_name": page.lines[0].name}


def plain(words: str, _name: str) -> str:
    return words


async def test_a_day_of_an_alarm_and_what_is_on_record_of_it(world: World) -> None:
    cause = alarm(1000.0, priority="")
    began_us = time.time_ns() // 1000
    hot = alarm(100.0, group="ovens", suppressed_by=["power"], response="Open the damper.", clear_below=90.0)
    async with world.control() as control, FakeGateway(world.settings).up() as gateway, client(world) as alarms:
        await applied(control, snapshot(device("a/l/one"), alert__hot=hot, alert__power=cause))
        await publish(gateway, 150.0)
        await until_state(alarms, "hot", "active")
        await publish(gateway, 50.0)
        await until_state(alarms, "hot", "returned")
        assert (await alarms.acknowledge("hot", reason="the fitter is on the way")).state == "cleared"
        with pytest.raises(NexusError) as refused:
            await alarms.acknowledge("hot")
        assert refused.value.code == "NX6407"
        with pytest.raises(NexusError) as refused:
            await alarms.acknowledge("hto")
        assert (refused.value.code, refused.value.hint) == ("NX6406", "did you mean 'hot'?")
        shelved = await alarms.shelve("hot", for_s=3600, reason="probe is being replaced")
        assert shelved.shelved_by == "nexus.cli" and shelved.shelved_until > shelved.changed
        await publish(gateway, 160.0)
        await until_state(alarms, "hot", "active")
        found = await alarms.unshelve("hot")
        assert (found.state, found.held, found.first_out) == ("active", False, True)
        with pytest.raises(NexusError) as refused:
            await alarms.unshelve("hot")
        assert refused.value.code == "NX6430"
        await alarms.take_alert_out("hot", reason="no probe this month")
        with pytest.raises(NexusError) as refused:
            await alarms.take_alert_out("hot", reason="again")
        assert refused.value.code == "NX6431"
        assert (await alarms.take_alert_in("hot")).out_of_service == 0
        await publish(gateway, 2000.0)
        await until_state(alarms, "power", "active")
        why = await alarms.why("hot")
        assert (why.condition, why.holds) == ("above 100, clears below 90", True)
        assert why.alert.suppressed_by == "power" and why.suppressors == {"power": "active"}
        assert [(one.path, one.value, one.quality) for one in why.watched] == [(TAG, 2000.0, "GOOD")]
        assert "suppressed by power" in why_text(why, style=plain)

        journal = await until_found(
            lambda: alarms.journal(since_us=0, names=["hot"]),
            lambda them: them.lines[-1:] and them.lines[-1].kind == "suppressed",
        )
        assert [line.kind for line in journal.lines] == [
            "active", "returned", "acknowledged", "shelved", "active", "unshelved", "active", "out-of-service",
            "in-service", "active", "suppressed",
        ]  # fmt: skip
        assert [line.reason for line in journal.lines if line.kind == "acknowledged"] == ["the fitter is on the way"]
        assert await paged(alarms) == [(line.name, line.at) for line in (await alarms.journal(since_us=0)).lines]
        assert [line.held for line in journal.lines if line.kind == "active"] == [False, True, False, False]
        assert "probe is being replaced" in journal_text(journal, since="1h", style=plain)
        only = await alarms.journal(since_us=0, kinds=["shelved", "suppressed"], groups=["ovens"], limit=1)
        assert [line.kind for line in only.lines] == ["suppressed"] and only.truncated
        trail = await alarms.audit(kind="alert")
        assert [(each.what, each.subject) for each in trail.entries] == [
            ("acknowledge", "hot"),
            ("shelve", "hot"),
            ("unshelve", "hot"),
            ("alert-out-of-service", "hot"),
            ("alert-in-service", "hot"),
        ]
        now_us = time.time_ns() // 1000
        figures = await alarms.key_figures(since_us=now_us - 86_400_000_000, until_us=now_us + 1_000_000, operators=1)
        assert (figures.alarms, figures.priorities["high"]) == (3, 3)
        assert figures.since >= began_us, "loads count from the site's first deployment"
        assert "most often" in figures_text(figures, style=plain)


async def test_what_is_held_is_held_after_a_restart(world: World) -> None:
    hot, other = alarm(100.0), alarm(100.0, clear_after_ms=3_600_000)
    async with FakeGateway(world.settings).up() as gateway, client(world) as alarms:
        async with world.control() as control:
            await applied(control, snapshot(device("a/l/one"), alert__hot=hot, alert__slow=other))
            await alarms.shelve("hot", for_s=3600, reason="probe")
            await alarms.take_alert_out("slow", reason="no probe")
            await publish(gateway, 150.0)
            await until_state(alarms, "slow", "active")
            await publish(gateway, 50.0)
            await until_state(alarms, "hot", "cleared")
            before = {one.name: one for one in await alarms.alerts()}
            query = "SELECT name FROM nexus.alert WHERE timers IS NOT NULL AND changed >= since ORDER BY name"
            await until_found(lambda: rows(world, query), lambda them: len(them) == 2)
        async with world.control():
            after = {one.name: one for one in await alarms.alerts()}
            assert after == before
            assert [one.what for one in (await alarms.why("slow")).running] == ["off-delay"]


async def test_an_expression_on_tags_of_two_devices(world: World) -> None:
    expr = "{a/l/one/energy} > 100 and {a/l/two/energy} > 100"
    both = {"expr": expr, "on_bad": "hold", "severity": "warning", "priority": "low"}
    async with world.control() as control, FakeGateway(world.settings).up() as gateway, client(world) as alarms:
        await applied(control, snapshot(device("a/l/one"), device("a/l/two"), alert__both=both))
        await publish(gateway, 150.0)
        await until_found(lambda: alarms.why("both"), lambda found: any(one.value == 150.0 for one in found.watched))
        assert (await alarms.why("both")).problem == "no value came of a/l/two/energy"
        payload = orjson.dumps({"value": 150.0, "timestamp": 1, "quality": "GOOD"})
        await gateway.client.publish(TOPICS.tag("a/l/two/energy"), payload, retain=True)
        await until_state(alarms, "both", "active")


async def test_old_lines_are_dropped_by_age_and_at_most_so_many_at_once(world: World, monkeypatch: Any) -> None:
    from nexus_cli.database import alert_journal
    from nexus_cli.database.connect import connection

    monkeypatch.setattr(alert_journal, "DROPPED_AT_ONCE", 3)
    insert = (
        "INSERT INTO nexus.alert_change (site, name, at, state, severity, tag) "
        "SELECT 'acme/chicago', 'hot', now() - make_interval(days => 398 + n, hours => -12), 'active', 'info', '' "
        "FROM generate_series(1, 8) AS n"
    )
    await rows(world, insert)
    async with connection(world.settings, application="test") as conn:
        assert [await alert_journal.drop_old(conn, "acme/chicago") for _ in range(4)] == [3, 3, 0, 0]
    assert (await rows(world, "SELECT count(*) AS n FROM nexus.alert_change"))[0]["n"] == 2


async def test_the_declared_rules_on_the_stored_history(world: World) -> None:
    """An hour of a value that swings around the limit every 10 s: `hot` chatters, `calm` is still, `late` stands."""
    desired = snapshot(
        device("a/l/one"),
        alert__hot=alarm(100.0),
        alert__calm=alarm(100.0, for_ms=60_000),
        alert__late=alarm(5.0, clear_below=0.0),
        alert__silent=alarm(1.0, tag="a/l/one/nothing"),
    )
    now = datetime(2026, 6, 10, tzinfo=UTC)
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(device("a/l/one")))
    series = (await rows(world, "SELECT id, path FROM nexus.series WHERE path = $1", TAG))[0]["id"]
    table = (await rows(world, "SELECT table_name FROM nexus.retention_class WHERE name = 'default'"))[0]["table_name"]
    for number in range(361):
        await rows(
            world,
            f'INSERT INTO nexus."{table}_rest" ("time", series_id, value, quality) VALUES ($1, $2, $3, 192)',
            *(now - timedelta(days=3) + timedelta(seconds=10 * number), series, 150.0 if number % 2 else 50.0),
        )
    said: list[str] = []
    tried = await with_history(desired, since="5d", now=now, settings=world.settings, zone=UTC, progress=said.append)
    assert (tried.rows, tried.alerts) == (361, 3)
    assert tried.figures.alarms == 180 + 1, "each swing of hot, and late once"
    by_code: dict[str, list[str]] = {}
    for each in tried.findings:
        by_code.setdefault(each.code, []).append(each.message)
    assert set(by_code) == {"NX6432", "NX6433", "NX6434", "NX6435", "NX6436"}
    assert by_code["NX6432"] == ["'hot' (above 100) would have come 180 times and chattered 1 time"]
    assert by_code["NX6433"] == ["'hot' (above 100) would have come 180 times, 36 a day"]
    assert by_code["NX6434"][0].startswith("'late' (above 5, clears below 0) would have stood for more than a day")
    assert "a flood in 181 alarms" in by_code["NX6435"][0] and "hot (180)" in by_code["NX6435"][0]
    assert by_code["NX6436"] == ["'silent' was not tried: nothing is stored of a/l/one/nothing"]
    clock = iter(range(10**6))
    cut = await with_history(
        desired,
        since="5d",
        now=now,
        settings=world.settings,
        zone=UTC,
        budget_s=-1.0,
        monotonic_s=lambda: float(next(clock)),
    )
    assert cut.rows == 361, "the clock is asked every 1,000 rows"
    moments = now - timedelta(days=9), now - timedelta(days=3) + timedelta(minutes=30)
    terms = [
        {"segment": n, "type": "float64", "unit": unit, "since": at.isoformat()}
        for n, (at, unit) in enumerate(zip(moments, ("MW", ""), strict=True), start=1)
    ]
    await rows(world, "UPDATE nexus.series SET segments = $1 WHERE id = $2", orjson.dumps(terms).decode(), series)
    seam = await with_history(desired, since="5d", now=now, settings=world.settings, zone=UTC)
    why = "a/l/one/energy was stored in MW until 2026-06-07 00:30 UTC, and the site says no unit"
    assert f"'hot' was not tried: {why}" in [each.message for each in seam.findings]
    later = now - timedelta(days=3, minutes=-31)
    assert (await with_history(desired, since=later.isoformat(), now=now, settings=world.settings)).alerts == 3


async def test_an_alarm_that_is_taken_out_of_the_site_stands_no_longer(world: World) -> None:
    from nexus_cli.database import alert_journal
    from nexus_cli.database.connect import connection

    async with world.control() as control, FakeGateway(world.settings).up() as gateway, client(world) as alarms:
        await applied(control, snapshot(device("a/l/one"), alert__hot=alarm(100.0)))
        await publish(gateway, 150.0)
        await until_state(alarms, "hot", "active")
        await applied(control, snapshot(device("a/l/one")))
        last = await until_found(
            lambda: rows(
                world, "SELECT kind, state, reason, priority FROM nexus.alert_change ORDER BY at DESC LIMIT 1"
            ),
            lambda found: found[0]["kind"] == "cleared",
        )
        assert dict(last[0]) == {
            "kind": "cleared",
            "state": "cleared",
            "reason": "no longer declared",
            "priority": alarm(100.0)["priority"],
        }
    async with connection(world.settings, application="test") as conn:
        assert await alert_journal.standing_at(conn, "acme/chicago", 2**52) == {}
