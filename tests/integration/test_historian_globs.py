"""New topics under the globs of external devices: made in crowds, off the way of our own frames, exactly up to the bound."""

from __future__ import annotations

import asyncio
import time

import pytest

from nexus_cli.database.connect import connection
from nexus_cli.database.series import GLOB_LOCK
from nexus_cli.model.config import DeviceConfig
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.integration.historian_rig import TOPICS, SmallOutbox, declare, device, historian, outbox_settings, query
from tests.integration.test_historian_others import record
from tests.postgres import SITE
from tests.servers import TestBroker
from tests.waiting import until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
CELL = "packaging/line-1/cell"


def cell(most: int, path: str = CELL) -> DeviceConfig:
    return DeviceConfig(path=path, protocol="external", connection={"globs": [f"{path}/**"], "max_series": most})


async def publish(broker: TestBroker, paths: list[str], *, times: int = 1) -> None:
    client = BrokerClient(settings=outbox_settings(broker), client_id=f"cell-{time.monotonic_ns()}")
    async with client.session():
        for number in range(times):
            for path in paths:
                await client.publish(TOPICS.tag(path), str(number).encode())


async def made(settings: Settings) -> list[str]:
    rows = await query(settings, "SELECT path FROM nexus.series WHERE external ORDER BY path")
    return [row["path"] for row in rows]


async def test_new_topics_load_nothing_and_lose_no_message(database: Settings, broker: TestBroker) -> None:
    await record(database, cell(1_000))
    paths = [f"{CELL}/t{number}" for number in range(100)]
    async with historian(database, broker) as role:
        loads = role.counters.series_loads
        await publish(broker, paths, times=5)
        await until(lambda: role.counters.external_rows >= 500, "every message")
        assert role.counters.series_loads == loads
        assert (role.counters.undeclared, role.counters.dropped_external) == (0, 0)
        assert len(role.series) == 100
    rows = await query(
        database,
        "SELECT s.path, array_agg(x.value ORDER BY x.time) AS found FROM nexus.sample x "
        "JOIN nexus.series s ON s.id = x.series_id GROUP BY s.path",
    )
    assert {row["path"] for row in rows} == set(paths)
    assert {tuple(row["found"]) for row in rows} == {(0.0, 1.0, 2.0, 3.0, 4.0)}  # in the order of their arrival


async def test_our_own_frames_do_not_wait_for_new_series(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(a="float64"))
    await record(database, cell(1_000))
    outbox = SmallOutbox(outbox_settings(broker))
    async with historian(database, broker) as role, outbox.running():
        async with connection(database) as conn, conn.transaction():
            await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, $2))", f"{SITE}/{CELL}", GLOB_LOCK)
            await publish(broker, [f"{CELL}/t1", f"{CELL}/t2"], times=3)
            await until(lambda: len(role.new_series) == 6, "the messages wait")
            for seq in range(1, 51):
                outbox.frame(seq, {"a": float(seq)})
            await outbox.drained()
            assert role.counters.external_rows == 0
        await until(lambda: role.counters.external_rows == 6, "the messages, once the way is free")
    assert await made(database) == [f"{CELL}/t1", f"{CELL}/t2"]


async def test_the_bound_holds_among_historians_that_make_series_at_once(
    database: Settings, broker: TestBroker
) -> None:
    other = "packaging/line-1/other"
    await record(database, cell(40), cell(7, other))
    paths = [f"{each}/t{number}" for number in range(150) for each in (CELL, other)]
    async with historian(database, broker, name="one") as one, historian(database, broker, name="two") as two:
        async with asyncio.TaskGroup() as group:
            for start in range(3):
                group.create_task(publish(broker, paths[start::3], times=2))
        roles = (one, two)
        await until(
            lambda: sum(role.counters.external_rows + role.counters.undeclared for role in roles) >= 2 * len(paths),
            "every message stored or counted",
        )
    found = await made(database)
    assert len([path for path in found if path.startswith(CELL)]) == 40
    assert len([path for path in found if path.startswith(other)]) == 7
    rows = await query(database, "SELECT count(*) AS n, count(DISTINCT series_id) AS series FROM nexus.sample")
    assert (rows[0]["series"], rows[0]["n"]) == (47, 94)


async def test_a_glob_of_a_device_that_was_removed_makes_nothing(database: Settings, broker: TestBroker) -> None:
    await record(database, cell(10))
    async with historian(database, broker) as role:
        await until(lambda: role.following._listening is not None, "its first look, from which on it gets notices")
        async with connection(database) as conn, conn.transaction():
            await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, $2))", f"{SITE}/{CELL}", GLOB_LOCK)
            await publish(broker, [f"{CELL}/t1"])
            await until(lambda: len(role.new_series) == 1)
            await query(database, "DELETE FROM nexus.resource")
            await query(database, "SELECT pg_notify('nexus_recorded', $1)", SITE)
            await until(lambda: role.external_topics.filters == [], "the removal")
        await until(lambda: role.counters.undeclared == 1)
    assert await query(database, "SELECT * FROM nexus.sample") == []
