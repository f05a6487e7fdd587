"""Locks, stopped peers and slow statements: the historian goes on with what it can store, and gives nothing up for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from nexus_cli.database import stopped
from nexus_cli.database.class_table import DAY_MS, table_name
from nexus_cli.database.connect import NO_LIMITS, WRITING, Limits, connection, open_connection
from nexus_cli.database.copy import PLAIN_COLUMNS
from nexus_cli.database.stopped import be_known, end_stopped
from nexus_cli.runtime.historian import deferred_batches as aside
from nexus_cli.runtime.historian.database_link import DatabaseLink, StoppedError
from nexus_cli.runtime.historian.historian import Historian
from nexus_cli.settings import Settings
from tests.integration.historian_rig import (
    START_US,
    SmallOutbox,
    declare,
    device,
    historian,
    lane,
    outbox_settings,
    query,
)
from tests.postgres import SITE
from tests.servers import TestBroker
from tests.waiting import PATIENCE_S, until, until_found

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker, pytest.mark.every_database]
TABLE = table_name("default", site=SITE)
LATE_US = START_US - 12 * DAY_MS * 1000
COUNT = "SELECT count(*), count(DISTINCT (series_id, time)) FROM nexus.sample"


async def counted(database: Settings) -> tuple[int, int]:
    """Rows, and different keys among them."""
    row = (await query(database, COUNT))[0]
    return row[0], row[1]


@asynccontextmanager
async def holding(database: Settings, *statements: str) -> AsyncIterator[Any]:
    """Somebody else's transaction that ran these statements and does not end."""
    conn = await open_connection(database, application="somebody-else")
    try:
        async with conn.transaction():
            for statement in statements:
                await conn.execute(statement)
            yield conn
    finally:
        await conn.close()


async def waiting_less_for_locks(role: Historian) -> None:
    """Give up a lock sooner than it does in a plant; for its next connection, the first."""
    lane(role).link._limits = replace(WRITING, lock_s=WRITING.lock_s / 4)
    await until(lambda: role.ready()[0], "readiness")


async def no_letters(database: Settings) -> None:
    assert await query(database, "SELECT topic, reason, detail FROM nexus.dead_letter") == []


async def part_of(database: Settings, moment_us: int) -> str:
    """The partition or chunk that holds the rows of a moment."""
    rows = await query(
        database,
        f"SELECT DISTINCT tableoid::regclass::text AS part FROM nexus.{TABLE}"
        " WHERE time = to_timestamp($1::float8 / 1000000)",
        float(moment_us),
    )
    assert len(rows) == 1
    return str(rows[0]["part"])


async def test_a_locked_table_is_waited_for_and_nothing_is_given_up(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(a="float64"))
    outbox = SmallOutbox(outbox_settings(broker))
    async with historian(database, broker, ready=False) as role, outbox.running():
        await waiting_less_for_locks(role)
        outbox.frame(1, {"a": 1.0})
        await outbox.drained()
        async with holding(database, f"LOCK TABLE nexus.{TABLE} IN ACCESS EXCLUSIVE MODE"):
            for seq in range(2, 102):
                outbox.frame(seq, {"a": float(seq)})
            await until(lambda: lane(role).link.losses >= 2, "the second wait that ended")
            assert not role.ready()[0]
            assert "lock" in role.ready()[1]
        await outbox.drained()
        await until(lambda: role.ready()[0], "readiness")
    assert await counted(database) == (101, 101)
    await no_letters(database)


async def test_late_samples_that_meet_a_lock_wait_aside_and_the_new_ones_go_on(
    database: Settings, broker: TestBroker
) -> None:
    """What a chunk that is being compressed does while a report reads it: writing into it waits, for hours if need be."""
    await declare(database, device(a="float64"))
    outbox = SmallOutbox(outbox_settings(broker), window=1000)
    async with historian(database, broker, ready=False) as role, outbox.running():
        await waiting_less_for_locks(role)
        outbox.frame(1, {"a": 1.0}, time=LATE_US)
        outbox.frame(2, {"a": 2.0})
        await outbox.drained()
        late = await part_of(database, LATE_US)
        async with holding(database, f"LOCK TABLE {late} IN EXCLUSIVE MODE"):
            for seq in range(3, 103):
                outbox.frame(seq, {"a": float(seq)}, time=(LATE_US if seq % 10 == 0 else START_US) + seq * 1000)
            await until(lambda: len(outbox.waiting) == 10, "the receipts of the new ones")
            await until(lambda: lane(role).placement.waiting == 10, "the late ones aside")
            assert role.ready() == (True, "")
            for seq in range(103, 203):
                outbox.frame(seq, {"a": float(seq)})
            await until(lambda: len(outbox.waiting) == 10, "the receipts of what came after")
        await outbox.drained()
        await until(lambda: lane(role).placement.waiting == 0, "nothing aside")
    assert await counted(database) == (202, 202)
    await no_letters(database)


async def test_the_server_ends_a_writer_that_says_nothing_inside_its_transaction(
    database: Settings, broker: TestBroker
) -> None:
    await declare(database, device(a="float64"))
    outbox = SmallOutbox(outbox_settings(broker))
    soon = replace(WRITING, idle_in_transaction_s=WRITING.idle_in_transaction_s / 5)
    stuck = await asyncpg.connect(
        database.database_url, password=database.database_password, server_settings=soon.settings()
    )
    async with historian(database, broker), outbox.running():
        outbox.frame(1, {"a": 1.0})
        await outbox.drained()
        await stuck.execute("BEGIN")
        await stuck.execute("UPDATE nexus.committed SET updated = now()")
        outbox.frame(2, {"a": 2.0})
        await outbox.drained()  # with a transaction that never ends it would never come
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)):
        await stuck.execute("COMMIT")
    assert await counted(database) == (2, 2)
    await no_letters(database)


async def test_a_writer_stopped_in_the_middle_of_its_copy_is_ended_by_the_one_it_holds_up(
    database: Settings, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopped, "STOPPED_S", 4.0)
    await declare(database, device(a="float64"))
    outbox = SmallOutbox(outbox_settings(broker))
    conn = await asyncpg.connect(
        database.database_url, password=database.database_password, server_settings=WRITING.settings()
    )

    async def silent() -> AsyncIterator[bytes]:
        yield b"PGCOPY\n\xff\r\n\x00" + bytes(8)
        await asyncio.Event().wait()

    async def stuck() -> None:
        await be_known(conn, site=SITE)
        async with conn.transaction():
            await conn.execute("UPDATE nexus.committed SET updated = now()")
            await conn.copy_to_table(
                TABLE, schema_name="nexus", columns=list(PLAIN_COLUMNS), source=silent(), format="binary"
            )

    async with historian(database, broker), outbox.running():
        outbox.frame(1, {"a": 1.0})
        await outbox.drained()
        holder = asyncio.ensure_future(stuck())
        busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active' AND pid = $1"
        pid = conn.get_server_pid()
        while not (await query(database, busy, pid))[0][0]:
            await asyncio.sleep(0.05)
        outbox.frame(2, {"a": 2.0})
        await outbox.drained()
        assert (await query(database, busy, pid))[0][0] == 0
        conn.terminate()
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)
    assert await counted(database) == (2, 2)
    await no_letters(database)


async def test_only_writers_of_the_same_site_that_are_too_old_are_ended(database: Settings) -> None:
    alive = [await open_connection(database, application=name) for name in ("mine", "theirs", "reader", "me")]
    mine, theirs, reader, me = alive
    try:
        await be_known(mine, site=SITE)
        await be_known(theirs, site="acme/dallas")
        async with asyncio.TaskGroup() as group:
            for conn in (mine, theirs, reader):
                group.create_task(_sleeps(conn))
            while await me.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)'") < 3:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0)
            assert await end_stopped(me, site=SITE, older_than_s=3600.0) == []
            ended = await end_stopped(me, site=SITE, older_than_s=0.0)
            assert [each.application for each in ended] == ["mine"]
            for conn in (theirs, reader):
                conn.terminate()
    finally:
        for conn in alive:
            conn.terminate()


async def _sleeps(conn: Any) -> None:
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await conn.execute("SELECT pg_sleep(600)")


async def test_a_client_that_goes_away_leaves_no_backend_behind(database: Settings) -> None:
    long = Limits(statement_s=600.0)  # none of these limits would end it while the test runs
    link = DatabaseLink(database, application="gone", on_change=lambda: None, limits=long)
    stop = asyncio.Event()
    await declare(database, device(a="float64"))
    async with connection(database) as conn, holding(database, "LOCK TABLE nexus.series IN ACCESS EXCLUSIVE MODE"):
        waits = asyncio.ensure_future(
            link.use(lambda taken: taken.execute("UPDATE nexus.series SET active = true"), stop=stop)
        )
        mine = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gone'"
        await until_found(lambda: conn.fetchval(mine + " AND wait_event_type = 'Lock'"))
        stop.set()
        with pytest.raises(StoppedError):
            await waits
        await until_found(lambda: conn.fetchval(mine), lambda count: count == 0)  # the lock is still held


async def test_work_without_an_answer_ends_with_the_stop(database: Settings) -> None:
    link = DatabaseLink(database, application="hung", on_change=lambda: None, limits=NO_LIMITS)
    stop, begun = asyncio.Event(), asyncio.Event()

    async def never(conn: Any) -> None:
        async with conn.transaction():
            begun.set()
            await asyncio.Event().wait()

    waits = asyncio.ensure_future(link.use(never, stop=stop))
    await begun.wait()
    stop.set()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(StoppedError):
            await waits


SLOW_ROWS = f"""
CREATE TABLE public.slow (value float8 PRIMARY KEY, seconds float8);
CREATE FUNCTION public.be_slow() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE found float8;
BEGIN
  SELECT seconds INTO found FROM public.slow WHERE value IN (NEW.value, -1) ORDER BY value DESC LIMIT 1;
  IF found < 0 THEN RAISE EXCEPTION 'no such value here' USING ERRCODE = '22003'; END IF;
  IF found > 0 THEN PERFORM pg_sleep(found); END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER be_slow BEFORE INSERT ON nexus.{TABLE} FOR EACH ROW EXECUTE FUNCTION public.be_slow();
"""


def hasty(role: Historian) -> None:
    """Limits that a test can wait for."""
    lane(role).link._limits = Limits(lock_s=0.5, statement_s=2.0, idle_in_transaction_s=10.0)


async def test_one_row_that_is_too_slow_and_one_that_is_refused_cost_themselves(
    database: Settings, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "FIRST_S", 0.2)
    await declare(database, device(a="float64", b="float64"))
    async with connection(database) as conn:
        await conn.execute(SLOW_ROWS)
        await conn.execute("INSERT INTO public.slow VALUES (666, 60), (13, -1)")
    outbox = SmallOutbox(outbox_settings(broker), window=1000)
    async with historian(database, broker, ready=False) as role, outbox.running():
        hasty(role)
        await until(lambda: role.ready()[0], "readiness")
        for seq in range(1, 61):
            outbox.frame(seq, {"a": {20: 666.0, 40: 13.0}.get(seq, float(seq + 1000)), "b": -2.0})
        await until(lambda: len(outbox.waiting) <= 1, "the receipts of the others")
        seq = 60
        while outbox.waiting:
            seq += 1
            outbox.frame(seq, {"a": 5000.0 + seq, "b": -2.0})
            await until(lambda: len(outbox.waiting) <= 1, "the newest receipt")
            assert seq < 2000
            await asyncio.sleep(0.1)
    assert await counted(database) == (2 * seq - 2, 2 * seq - 2)
    letters = await query(database, "SELECT topic, reason, detail, count FROM nexus.dead_letter")
    assert {row["reason"] for row in letters} == {"refused_by_database"}
    assert sum(row["count"] for row in letters) == 2
    assert role.counters.dead_letters == 2


async def test_a_database_that_is_slow_for_everything_costs_nothing(
    database: Settings, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "FIRST_S", 0.1)
    monkeypatch.setattr(aside, "CAP_S", 0.1)
    await declare(database, device(a="float64"))
    async with connection(database) as conn:
        await conn.execute(SLOW_ROWS)
        await conn.execute("INSERT INTO public.slow VALUES (-1, 60)")
    outbox = SmallOutbox(outbox_settings(broker))
    async with historian(database, broker, ready=False) as role, outbox.running():
        lane(role).link._limits = replace(WRITING, statement_s=0.5)
        await until(lambda: role.ready()[0], "readiness")
        for seq in range(1, 4):
            outbox.frame(seq, {"a": float(seq)})
        await until(lambda: lane(role).placement.waiting == 3, "all of them aside")
        pieces = lane(role).placement._deferred._pieces
        await until(lambda: all(piece.slow > 2 * aside.MOST_SLOW for piece in pieces), "many tries")
        await no_letters(database)
        async with connection(database) as conn:
            await conn.execute("DELETE FROM public.slow")
        await outbox.drained()
    assert await counted(database) == (3, 3)
    await no_letters(database)
