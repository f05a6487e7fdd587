"""Five thousand alarms at once, from topics to the webhook: nothing is lost, nobody gets five thousand messages."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import orjson
import pytest

from nexus_cli.database import jobs
from nexus_cli.database.connect import connection
from nexus_cli.runtime.worker.worker import run_worker
from nexus_cli.wire.client import BrokerClient
from tests.integration.control_world import TOPICS, World, applied, snapshot, world
from tests.integration.test_notifications import board
from tests.postgres import SITE
from tests.waiting import until_found

__all__ = ["world"]
pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker, pytest.mark.slow]
MANY, GROUPS = 5_000, 5
PATH = "a/l/others"


def plant(url: str) -> Any:
    """A device of others with a tag and an alarm each, in five groups, and a digest a second."""
    names = [f"t{number:04}" for number in range(MANY)]
    tags = {name: {"type": "float64", "published_type": "float64", "address": ""} for name in names}
    alarms = {
        f"alert__{name}": {
            "tag": f"{PATH}/{name}",
            "above": 50.0,
            "on_bad": "hold",
            "severity": "critical",
            "priority": "high",
            "group": f"group-{number % GROUPS}",
        }
        for number, name in enumerate(names)
    }
    return names, snapshot(
        {"path": PATH, "protocol": "external", "tags": tags},
        channel__board={"kind": "webhook", "url": url},
        route__all={"to": ["board"]},
        digest__alarms={"every_ms": 1000},
        **alarms,
    )


async def test_five_thousand_alarms(world: World) -> None:
    stop = asyncio.Event()
    async with world.control() as control, board() as (receiver, url):
        names, desired = plant(url)
        assert (await applied(control, desired)).outcome == "applied"
        working = asyncio.create_task(run_worker(replace(world.settings, http_port=0), stop=stop))
        try:
            await flood(world, names)
            async with connection(world.settings) as conn:
                await until_found(
                    lambda: conn.fetchval("SELECT count(*) FROM nexus.alert WHERE state = 'active'"),
                    lambda count: count == MANY,
                    deadline_s=300.0,
                )
                await until_found(lambda: jobs.listing(conn, SITE), lambda found: not found, deadline_s=300.0)
                lines = dict(await conn.fetch("SELECT kind, count(*) FROM nexus.alert_change GROUP BY kind"))
                noted = dict(await conn.fetch("SELECT state, count(*) FROM nexus.notification GROUP BY state"))
        finally:
            stop.set()
            await working
        first = [one for one in (await control.alerts()) if one.first_out]
    assert (lines["active"], lines["flood-begins"]) == (MANY, 1)
    assert noted == {"noted": MANY, "sent": MANY}
    singles = [each["name"] for each in receiver.documents if each["kind"] == "alarm"]
    digests = [each for each in receiver.documents if each["kind"] == "digest"]
    told = Counter([*singles, *(alarm["name"] for each in digests for alarm in each["alarms"])])
    assert told == Counter(names)  # each once: none is lost, none is told twice
    assert not any(each["repeated"] for each in receiver.documents)
    assert 1 <= len(singles) <= 10 and len(receiver.documents) < 500
    assert all(each["count"] == len(each["alarms"]) for each in digests)
    by_time = sorted((alarm for each in digests for alarm in each["alarms"]), key=lambda one: one["occurrence"])
    assert digests[0]["first"] == by_time[0]["name"]
    assert {one.group for one in first} == {f"group-{number}" for number in range(GROUPS)} and len(first) == GROUPS
    assert {one.name for one in first} <= set(names[: 2 * GROUPS])


async def flood(world: World, names: list[str]) -> None:
    """A value above its limit on each topic, in order."""
    client = BrokerClient(settings=replace(world.settings, principal="others"), client_id="others")
    payload = orjson.dumps({"value": 99.0, "quality": "GOOD"})
    async with client.session():
        for name in names:
            await client.publish(TOPICS.tag(f"{PATH}/{name}"), payload, retain=True)
