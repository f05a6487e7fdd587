"""What is missing in the database, against a real PostgreSQL: found, made again, and nothing found where nothing is missing."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest

from nexus_cli.database import migrate
from nexus_cli.database.class_table import DAY_MS, SampleClass
from nexus_cli.database.connect import Connection, connection
from nexus_cli.database.gap_kinds import KINDS, Gap
from nexus_cli.database.partitions import partition_name, period_of
from nexus_cli.database.rollup_tables import roll_up
from nexus_cli.database.sample_class import ensure_class
from nexus_cli.database.schema_gaps import missing_in
from nexus_cli.database.schema_objects import FILE, Objects, expected_objects, read_objects
from nexus_cli.database.schema_repair import put_back
from nexus_cli.settings import Settings
from tests.postgres import SITE

pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]
KEEP_MS = 10 * DAY_MS


async def gaps(conn: Connection) -> tuple[Gap, ...]:
    found = await missing_in(conn, site=SITE)
    assert found.unknown == "" and all(one.kind in KINDS for one in found.found)
    return found.found


async def a_class(conn: Connection, *, name: str = "fast") -> SampleClass:
    """A retention class with a sample of now and rollups."""
    made = await ensure_class(conn, name, site=SITE, keep_ms=KEEP_MS, compress_after_ms=DAY_MS, rollups=["1m"])
    await conn.execute(f"INSERT INTO nexus.{made.table} (time, series_id, value, quality) VALUES (now(), 1, 2.5, 192)")
    assert await roll_up(conn, made, now=datetime.now(UTC))
    return made


async def test_what_the_migrations_make_is_on_file(database: Settings) -> None:
    """`NEXUS_SNAPSHOT=1` writes the file again."""
    async with connection(database) as conn:
        there = await read_objects(conn)
    if os.environ.get("NEXUS_SNAPSHOT"):
        FILE.write_bytes(msgspec.json.format(msgspec.json.encode(there), indent=1) + b"\n")
        expected_objects.cache_clear()
    assert there == expected_objects()


async def test_nothing_is_missing_where_nothing_is(database: Settings) -> None:
    async with connection(database) as conn:
        assert await gaps(conn) == ()
        await a_class(conn)
        await a_class(conn, name="slow")
        await conn.execute("CREATE INDEX own_one ON nexus.audit (who)")  # an administrator may
        assert await gaps(conn) == ()


LOST = {
    "index": ("DROP INDEX nexus.ix_audit_site_at", "index", "database.audit/ix_audit_site_at"),
    "unique": (
        "ALTER TABLE nexus.series DROP CONSTRAINT uq_series_ulid",
        "constraint",
        "database.series/uq_series_ulid",
    ),
    "primary": ("ALTER TABLE nexus.audit DROP CONSTRAINT pk_audit", "constraint", "database.audit/pk_audit"),
    "trigger": ("DROP TRIGGER audit_no_row_change ON nexus.audit", "trigger", "database.audit/audit_no_row_change"),
    "disabled": (
        "ALTER TABLE nexus.audit DISABLE TRIGGER audit_no_truncate",
        "trigger",
        "database.audit/audit_no_truncate",
    ),
    "null": ("ALTER TABLE nexus.series ALTER COLUMN unit DROP NOT NULL", "column", "database.series/unit"),
}


@pytest.mark.parametrize("lost", LOST)
async def test_what_is_dropped_is_found_and_put_back(database: Settings, lost: str) -> None:
    statement, kind, path = LOST[lost]
    async with connection(database) as conn:
        await conn.execute("INSERT INTO nexus.audit (site, who, what) VALUES ($1, 'me', 'apply')", SITE)
        await conn.execute(statement)
        found = await gaps(conn)
        assert [(one.kind, one.path) for one in found] == [(kind, path)]
        assert await put_back(database, found) == {found[0]: ""}
        assert await gaps(conn) == () and await read_objects(conn) == expected_objects()
        assert await put_back(database, found[:0]) == {}


async def test_everything_that_a_statement_makes_is_put_back_as_it_was(database: Settings) -> None:
    """All indexes, constraints and triggers of the schema at once."""
    async with connection(database) as conn:
        there = await read_objects(conn)
        for table, one in there.tables.items():
            for trigger in one.triggers:
                await conn.execute(f'DROP TRIGGER "{trigger}" ON nexus."{table}"')
            for index in one.indexes:
                await conn.execute(f'DROP INDEX nexus."{index}"')
            for key in one.constraints:
                await conn.execute(f'ALTER TABLE nexus."{table}" DROP CONSTRAINT IF EXISTS "{key}" CASCADE')
        found = await gaps(conn)
        wanted = sum(len(one.triggers) + len(one.indexes) + len(one.constraints) for one in there.tables.values())
        assert len([one for one in found if one.kind in ("trigger", "index", "constraint")]) == wanted > 100
        assert set((await put_back(database, found)).values()) == {""}
        assert await gaps(conn) == () and await read_objects(conn) == there
    assert await migrate.check(database) == ()


async def test_an_index_that_was_interrupted_is_made_again(database: Settings) -> None:
    async with connection(database) as conn:
        await conn.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'nexus.ix_audit_site_at'::regclass"
        )
        (found,) = await gaps(conn)
        assert (found.kind, "interrupted" in found.text) == ("index", True)
        assert await put_back(database, [found]) == {found: ""}
        assert await gaps(conn) == ()


async def test_a_key_that_rows_violate_stays_missing_with_the_reason_and_is_put_back_later(database: Settings) -> None:
    """The half-made index of the first try is no obstacle."""
    async with connection(database) as conn:
        await conn.execute("ALTER TABLE nexus.series DROP CONSTRAINT uq_series_ulid")
        for path in ("a", "b"):
            await conn.execute(
                "INSERT INTO nexus.series (site, path, ulid, type, unit, retention)"
                " VALUES ($1, $2, 'same', 'float64', '', 'fast')",
                *(SITE, path),
            )
        (found,) = await gaps(conn)
        (why,) = (await put_back(database, [found])).values()
        assert "uq_series_ulid" in why
        assert await gaps(conn) == (found,)
        await conn.execute("UPDATE nexus.series SET ulid = path")
        assert await put_back(database, await gaps(conn)) == {found: ""}
        assert await gaps(conn) == ()


@pytest.mark.parametrize(
    ("statement", "kind", "path"),
    [
        ("ALTER TABLE nexus.gap DROP COLUMN reason", "column", "database.gap/reason"),
        ("ALTER TABLE nexus.gap ALTER COLUMN reason TYPE varchar(9)", "column", "database.gap/reason"),
        ("DROP TABLE nexus.gap", "table", "database.gap"),
        ("DROP VIEW nexus.sample", "view", "database.sample"),
        ("DROP FUNCTION nexus.fn_job_changed CASCADE", "function", "database.fn_job_changed"),
    ],
)
async def test_what_held_something_is_found_and_not_made_up(
    database: Settings, statement: str, kind: str, path: str
) -> None:
    async with connection(database) as conn:
        await conn.execute(statement)
        first = (await gaps(conn))[0]
        assert (first.kind, first.path, first.put_back) == (kind, path, ())


async def test_a_detached_partition_is_attached_again(database: Settings) -> None:
    async with connection(database) as conn:
        made = await a_class(conn)
        if made.hypertable:
            return  # its chunks are no partitions that anybody could detach
        name = partition_name(made.table, period_of(datetime.now(UTC), keep_ms=KEEP_MS)[0])
        await conn.execute(f"ALTER TABLE nexus.{made.table} DETACH PARTITION nexus.{name}")
        assert await conn.fetchval("SELECT count(*) FROM nexus.sample") == 0
        (found,) = await gaps(conn)
        assert (found.kind, found.path) == ("partition", f"database.{made.table}/{name}")
        # Upkeep detaches what is older than the class keeps, and drops it next: that is nobody's drift.
        later = datetime.now(UTC) + timedelta(milliseconds=KEEP_MS + 2 * DAY_MS)
        assert (await missing_in(conn, site=SITE, now=later)).found == ()
        assert (await missing_in(conn, site="acme/other")).found == ()
        assert await put_back(database, [found]) == {found: ""}
        assert await conn.fetchval("SELECT count(*) FROM nexus.sample") == 1
        assert await gaps(conn) == ()


async def test_a_table_of_a_class_is_missed(database: Settings) -> None:
    async with connection(database) as conn:
        made = await a_class(conn)
        lost = made.table if made.hypertable else made.rest
        await conn.execute(f"DROP TABLE nexus.{lost} CASCADE")  # and the view
        found = {one.path: one for one in await gaps(conn)}
        assert found[f"database.{lost}"].kind == "table" and not found[f"database.{lost}"].put_back
        assert found["database.sample"].kind == "view"


async def test_a_rollup_is_computed_again(database: Settings) -> None:
    async with connection(database) as conn:
        made = await a_class(conn)
        row = await conn.fetchrow("SELECT relation, continuous FROM nexus.rollup WHERE width = '1m'")
        what = "MATERIALIZED VIEW" if row["continuous"] else "TABLE"
        await conn.execute(f'DROP {what} nexus."{row["relation"]}"')
        (found,) = await gaps(conn)
        assert (found.kind, found.path) == ("rollup", f"database.{made.table}/{row['relation']}")
        assert await put_back(database, [found]) == {found: ""}
        later = datetime.now(UTC) + timedelta(hours=1)
        assert await roll_up(conn, made, now=later) and await gaps(conn) == ()
        assert await conn.fetchval(f'SELECT sum(n) FROM nexus."{row["relation"]}"') == 1


async def test_a_policy_of_timescale_is_added_again(database: Settings) -> None:
    async with connection(database) as conn:
        made = await a_class(conn)
        if not made.hypertable or await conn.fetchval("SELECT current_setting('timescaledb.license')") == "apache":
            assert await gaps(conn) == ()
            return
        for policy in ("retention", "compression"):
            await conn.execute(f"SELECT remove_{policy}_policy('nexus.{made.table}')")
        found = await gaps(conn)
        assert [(one.kind, one.name) for one in found] == [("policy", "retention"), ("policy", "compression")]
        assert set((await put_back(database, found)).values()) == {""}
        assert await gaps(conn) == ()


async def test_rights_that_were_taken_from_the_own_role_are_found_and_granted_by_an_owner(database: Settings) -> None:
    async with connection(database) as conn:
        role = f"nexus_drift_{os.getpid()}"
        await conn.execute(f"CREATE ROLE {role}")
        try:
            await conn.execute(f"GRANT USAGE ON SCHEMA nexus TO {role}")
            await conn.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA nexus TO {role}")
            await conn.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA nexus TO {role}")
            await conn.execute(f"SET ROLE {role}")
            assert await gaps(conn) == ()
            await conn.execute("RESET ROLE")
            await conn.execute(f"REVOKE DELETE ON nexus.gap FROM {role}")
            await conn.execute(f"REVOKE UPDATE, DELETE ON nexus.audit FROM {role}")  # nobody does either there
            await conn.execute(f"SET ROLE {role}")
            found = await gaps(conn)
            assert [(one.kind, one.path) for one in found] == [("grant", "database.gap/DELETE")]
            await conn.execute("RESET ROLE")
            assert await put_back(database, found) == {found[0]: ""}
            await conn.execute(f"REVOKE USAGE ON SCHEMA nexus FROM {role}")
            await conn.execute(f"SET ROLE {role}")
            (one,) = await gaps(conn)
            assert (one.path, one.put_back) == ("database.nexus/USAGE", ())
        finally:
            await conn.execute("RESET ROLE")
            await conn.execute(f"DROP OWNED BY {role}")
            await conn.execute(f"DROP ROLE {role}")


async def test_a_schema_of_another_version_is_not_compared(database: Settings) -> None:
    async with connection(database) as conn:
        await conn.execute("UPDATE nexus.alembic_version SET version_num = '0004'")
        found = await missing_in(conn, site=SITE)
        assert found.found == () and "revision 0004" in found.unknown


async def test_looking_writes_nothing(database: Settings) -> None:
    async with connection(database) as conn:
        await conn.execute("SET default_transaction_read_only = on")
        assert await gaps(conn) == ()
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await conn.execute("DELETE FROM nexus.gap")


def test_the_file_is_of_the_newest_migration() -> None:
    """It has what the last one made, too."""
    assert isinstance(expected_objects(), Objects) and "rollout" in expected_objects().tables
