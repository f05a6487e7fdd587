"""Migration 0004: databases of one site and of several, as earlier versions left them, up and down without a lost row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from nexus_cli.database import migrate
from nexus_cli.database.class_table import DAY_MS, KEEP_DEFAULT_MS
from nexus_cli.database.connect import Connection, connection
from nexus_cli.database.retention import keep_up
from nexus_cli.database.sample_class import load_classes
from nexus_cli.database.timescale import has_timescale
from nexus_cli.settings import Settings

pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]
HERE, THERE = "acme/chicago", "acme/dallas"
NOW = datetime.now(UTC).replace(microsecond=0)
MONDAY = (NOW - timedelta(days=NOW.weekday())).replace(hour=0, minute=0, second=0)
SHAPE = """("time" timestamptz NOT NULL, series_id integer NOT NULL, value double precision, value_exact numeric(20,0),
  value_text text, value_json jsonb, quality smallint NOT NULL, status bigint, source_time timestamptz,
  UNIQUE ("time", series_id))"""
ROWS = 'SELECT "time", series_id, value FROM nexus.sample ORDER BY 1, 2'

KEPT = f"""SELECT "time", series_id, value FROM nexus.sample JOIN nexus.series s ON s.id = series_id
  WHERE s.site = '{HERE}' OR "time" > now() - interval '20 days' ORDER BY 1, 2"""


async def shared_class(conn: Connection, name: str, *, keep_days: int) -> None:
    """A class as revision 0003 has it: one table for all sites, natively with weekly partitions and a default one."""
    table, hyper = f"sample_{name}", await has_timescale(conn)
    if hyper:
        await conn.execute(f"CREATE TABLE nexus.{table} {SHAPE}")
        await conn.execute(
            f"SELECT create_hypertable('nexus.{table}', 'time', chunk_time_interval => interval '7 days',"
            " create_default_indexes => false)"
        )
        await conn.execute(
            f"ALTER TABLE nexus.{table} SET (timescaledb.compress, timescaledb.compress_segmentby = 'series_id',"
            " timescaledb.compress_orderby = '\"time\"')"
        )
        await conn.execute(  # not scheduled: the test wants to see what is there, not what the server drops meanwhile
            f"SELECT alter_job(add_retention_policy('nexus.{table}', drop_after => interval '{keep_days} days'),"
            " scheduled => false)"
        )
    else:
        await conn.execute(f'CREATE TABLE nexus.{table} {SHAPE} PARTITION BY RANGE ("time")')
        await conn.execute(f"CREATE TABLE nexus.{table}_default PARTITION OF nexus.{table} DEFAULT")
        for back in range(4):
            start = MONDAY - timedelta(weeks=back)
            await conn.execute(
                f"CREATE TABLE nexus.{table}_p{start:%Y%m%d} PARTITION OF nexus.{table}"
                f" FOR VALUES FROM ('{start.isoformat()}') TO ('{(start + timedelta(weeks=1)).isoformat()}')"
            )
    await conn.execute(
        "INSERT INTO nexus.retention_class (name, table_name, keep_ms, compress_after_ms, hypertable)"
        " VALUES ($1, $2, $3, $4, $5)",
        *(name, table, keep_days * DAY_MS, 7 * DAY_MS if hyper else None, hyper),
    )
    tables = [row["table_name"] for row in await conn.fetch("SELECT table_name FROM nexus.retention_class")]
    columns = '"time", series_id, value, value_exact, value_text, value_json, quality, status, source_time'
    union = " UNION ALL ".join(f"SELECT {columns} FROM nexus.{each}" for each in sorted(tables))
    await conn.execute(f"CREATE OR REPLACE VIEW nexus.sample AS {union}")


async def old_site(conn: Connection, site: str, classes: dict[str, int | None]) -> None:
    """A site of that time: its series, its recorded `keep` in days (None: not declared), and rows of all ages."""
    deployment = await conn.fetchval(
        "INSERT INTO nexus.deployment (site, number, who, outcome, base_digest, desired_digest, plan)"
        " VALUES ($1, 1, 'me', 'applied', '', '', '{}') RETURNING id",
        site,
    )
    for name, keep_days in classes.items():
        if keep_days is not None:
            body = {"keep_ms": keep_days * DAY_MS, "compress_after_ms": 3 * DAY_MS, "rollups": []}
            await conn.execute(
                "INSERT INTO nexus.resource (site, address, digest, attributes, deployment_id)"
                " VALUES ($1, $2, '', $3, $4)",
                *(site, f"retention.{name}", orjson.dumps(body).decode(), deployment),
            )
        for tag in range(2):
            ident = await conn.fetchval(
                "INSERT INTO nexus.series (site, ulid, path, type, retention) VALUES ($1, $2, $3, 'float64', $4)"
                " RETURNING id",
                *(site, f"{site}{name}{tag}", f"a/l/d/{name}-{tag}", name),
            )
            for age in (0, 8, 15, 100, 200, -60):
                await conn.execute(
                    f"INSERT INTO nexus.sample_{name} (time, series_id, value, quality) VALUES ($1, $2, $3, 192)",
                    *(NOW - timedelta(days=age), ident, float(age)),
                )


async def old_database(settings: Settings, sites: dict[str, dict[str, int | None]]) -> list[Any]:
    """At revision 0003, with these sites; gives its rows."""
    await migrate.upgrade(settings, revision="0003")
    async with connection(settings) as conn:
        for name in sorted({name for classes in sites.values() for name in classes}):
            await shared_class(conn, name, keep_days=30)  # what the site that applied last left for all
        for site, classes in sites.items():
            await old_site(conn, site, classes)
        if await has_timescale(conn):
            await conn.execute(
                "SELECT compress_chunk(c) FROM show_chunks('nexus.sample_process', older_than => interval '10 days') c"
            )
        return [tuple(row) for row in await conn.fetch(ROWS)]


async def rows_of(conn: Connection, site: str) -> dict[str, set[Any]]:
    """What is in the tables of each class of a site, by the site that its series belongs to."""
    seen = {}
    for name, made in (await load_classes(conn, site=site)).items():
        tables = [made.table] if made.hypertable else [made.table, made.rest]
        union = " UNION ALL ".join(f"SELECT series_id FROM nexus.{table}" for table in tables)
        found = await conn.fetch(f"SELECT s.site FROM ({union}) t JOIN nexus.series s ON s.id = series_id")
        seen[name] = {row["site"] for row in found}
    return seen


async def test_a_database_of_one_site_keeps_its_tables(empty_database: Settings) -> None:
    before = await old_database(empty_database, {HERE: {"process": 400, "default": None}})
    await migrate.upgrade(empty_database)
    assert await migrate.check(empty_database) == ()
    async with connection(empty_database) as conn:
        classes = await load_classes(conn, site=HERE)
        assert {name: (made.table, made.keep_ms) for name, made in classes.items()} == {
            "process": ("sample_process", 400 * DAY_MS),
            "default": ("sample_default", KEEP_DEFAULT_MS),
        }
        assert [tuple(row) for row in await conn.fetch(ROWS)] == before
        done = await keep_up(conn, site=HERE, now=NOW)
        assert done is not None
        assert (done.dropped, done.deleted_rows, done.postponed) == ((), 0, ())
        assert [tuple(row) for row in await conn.fetch(ROWS)] == before
    await migrate.downgrade(empty_database, revision="0003")
    async with connection(empty_database) as conn:
        assert [tuple(row) for row in await conn.fetch(ROWS)] == before
        assert await conn.fetchval("SELECT count(*) FROM nexus.retention_class") == 2
    await migrate.upgrade(empty_database)
    async with connection(empty_database) as conn:
        assert [tuple(row) for row in await conn.fetch(ROWS)] == before


async def test_a_database_of_several_sites_is_divided(empty_database: Settings) -> None:
    sites: dict[str, dict[str, int | None]] = {
        HERE: {"process": 400, "default": None},
        THERE: {"process": 30, "default": 60, "own": 90},
    }
    before = await old_database(empty_database, sites)
    await migrate.upgrade(empty_database)
    assert await migrate.check(empty_database) == ()
    async with connection(empty_database) as conn:
        keeps = {
            site: {name: made.keep_ms // DAY_MS for name, made in (await load_classes(conn, site=site)).items()}
            for site in (HERE, THERE)
        }
        assert keeps == {
            HERE: {"process": 400, "default": 400},
            THERE: {"process": 30, "default": 60, "own": 90},
        }
        assert [tuple(row) for row in await conn.fetch(ROWS)] == before
        assert await rows_of(conn, HERE) == {"process": {HERE}, "default": {HERE}}
        assert await rows_of(conn, THERE) == {"process": {THERE}, "default": {THERE}, "own": {THERE}}
        if await has_timescale(conn):  # no policy says any more what another site declared
            ages = await conn.fetch(
                "SELECT (config->>'drop_after')::interval AS age FROM timescaledb_information.jobs"
                " WHERE proc_name = 'policy_retention' AND hypertable_schema = 'nexus'"
            )
            assert {row["age"].days for row in ages} <= {30}
        for site in (HERE, THERE):
            assert await keep_up(conn, site=site, now=NOW) is not None
        left = [tuple(row) for row in await conn.fetch(KEPT)]
        assert len(left) == 2 * 2 * 6 + 3 * 2 * 4  # nothing of 400 days went with the 30 of the other
    await migrate.downgrade(empty_database, revision="0003")
    async with connection(empty_database) as conn:
        assert [tuple(row) for row in await conn.fetch(KEPT)] == left
        keeps_days = await conn.fetch("SELECT name, keep_ms / 86400000 AS days FROM nexus.retention_class")
        assert {row["name"]: row["days"] for row in keeps_days} == {"process": 400, "default": 400, "own": 90}
    await migrate.upgrade(empty_database)
    async with connection(empty_database) as conn:
        assert [tuple(row) for row in await conn.fetch(KEPT)] == left


async def test_a_class_that_nobody_uses_and_rows_of_nobody_are_kept(empty_database: Settings) -> None:
    await migrate.upgrade(empty_database, revision="0003")
    async with connection(empty_database) as conn:
        await shared_class(conn, "process", keep_days=30)
        await conn.execute(
            "INSERT INTO nexus.sample_process (time, series_id, value, quality) VALUES (now(), 77, 1, 192)"
        )
    await migrate.upgrade(empty_database)
    async with connection(empty_database) as conn:
        assert await conn.fetchval("SELECT count(*) FROM nexus.sample") == 1
    await migrate.downgrade(empty_database, revision="base")
