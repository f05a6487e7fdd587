"""Parts killed under load: afterwards the rows equal the accepted frames, nothing lost and nothing doubled."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from nexus_cli.database import migrate
from nexus_cli.settings import Settings
from tests.integration.historian_rig import SmallOutbox, declare, device, historian, lane, outbox_settings, query
from tests.postgres import EmbeddedPostgres, settings_for
from tests.servers import TestBroker
from tests.waiting import until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]


@pytest.fixture
def own_database(own_postgres: EmbeddedPostgres, tmp_path: Path) -> Settings:
    """The schema on a server of the test's own."""
    settings = settings_for(own_postgres.url, tmp_path)
    asyncio.run(migrate.upgrade(settings))
    return settings


COUNT = "SELECT count(*) AS rows, count(DISTINCT (series_id, time)) AS keys, sum(value) AS total FROM nexus.sample"


async def feed(outbox: SmallOutbox, *, frames: int, pause_s: float) -> None:
    """Accept frames at a pace."""
    for seq in range(1, frames + 1):
        outbox.frame(seq, {"a": float(seq), "b": 2.0 * seq})
        if seq % 10 == 0:
            await asyncio.sleep(pause_s)


async def test_database_killed_twice_under_load(
    own_postgres: EmbeddedPostgres, own_database: Settings, broker: TestBroker
) -> None:
    await declare(own_database, device(a="float64", b="float64"))
    outbox, pick = SmallOutbox(outbox_settings(broker)), random.Random(7)
    async with historian(own_database, broker) as role, outbox.running(), asyncio.TaskGroup() as group:
        group.create_task(feed(outbox, frames=3000, pause_s=0.01))
        for _ in range(2):
            await asyncio.sleep(0.4 + pick.random() / 2)
            own_postgres.kill()
            await until(lambda: not role.ready()[0], "the loss is noticed")
            assert "database" in role.ready()[1]
            await asyncio.to_thread(own_postgres.start)
            await until(lambda: role.ready()[0], "the database is found again")
        await outbox.drained()
        assert lane(role).link.losses >= 2
    found = (await query(own_database, COUNT))[0]
    assert (found["rows"], found["keys"]) == (6000, 6000)
    assert found["total"] == 3 * sum(range(1, 3001))
    assert await query(own_database, "SELECT * FROM nexus.dead_letter") == []


async def test_broker_killed_with_its_state_lost(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(a="float64", b="float64"))
    outbox = SmallOutbox(outbox_settings(broker))
    async with historian(database, broker) as role, outbox.running(), asyncio.TaskGroup() as group:
        group.create_task(feed(outbox, frames=1500, pause_s=0.01))
        await asyncio.sleep(0.4)
        broker.kill()
        await until(lambda: not role.client.connected)
        await asyncio.to_thread(broker.start)
        await outbox.drained()
    found = (await query(database, COUNT))[0]
    assert (found["rows"], found["keys"]) == (3000, 3000)


async def test_historian_ends_and_another_goes_on(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(a="float64", b="float64"))
    outbox = SmallOutbox(outbox_settings(broker))
    async with outbox.running(), asyncio.TaskGroup() as group:
        group.create_task(feed(outbox, frames=1000, pause_s=0.01))
        for _ in range(2):
            async with historian(database, broker):
                await asyncio.sleep(0.5)
        async with historian(database, broker):
            await outbox.drained()
    found = (await query(database, COUNT))[0]
    assert (found["rows"], found["keys"]) == (2000, 2000)


async def test_a_full_queue_refuses_the_newest_and_the_gateway_sends_again(
    own_postgres: EmbeddedPostgres, own_database: Settings, broker: TestBroker
) -> None:
    await declare(own_database, device(a="float64", b="float64"))
    outbox = SmallOutbox(outbox_settings(broker), window=2000)
    async with historian(own_database, broker) as role, outbox.running():
        role.inbound_queue._most_messages = 50
        own_postgres.kill()
        for seq in range(1, 1001):
            outbox.frame(seq, {"a": float(seq), "b": 2.0 * seq})
        await until(lambda: role.counters.dropped_frames > 0, "a refused frame")
        assert len(role.inbound_queue) <= 50
        await asyncio.to_thread(own_postgres.start)
        await outbox.drained()
    found = (await query(own_database, COUNT))[0]
    assert (found["rows"], found["keys"]) == (2000, 2000)


async def test_database_down_at_start_is_waited_for(
    own_postgres: EmbeddedPostgres, own_database: Settings, broker: TestBroker
) -> None:
    await declare(own_database, device(a="float64"))
    own_postgres.kill()
    outbox = SmallOutbox(outbox_settings(broker))
    outbox.frame(1, {"a": 1.0})
    async with historian(own_database, broker, ready=False) as role, outbox.running():
        await until(lambda: "database" in role.ready()[1] or "broker" in role.ready()[1])
        await asyncio.to_thread(own_postgres.start)
        await outbox.drained()
    assert (await query(own_database, COUNT))[0]["rows"] == 1
