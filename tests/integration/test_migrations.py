"""The schema against a real PostgreSQL: up, down, up again; `check` is clean; the audit refuses changes."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from nexus_cli.database import migrate, revision
from nexus_cli.database.assignment import load_assignments
from nexus_cli.database.class_table import DAY_MS
from nexus_cli.database.committed import OutboxKey, load_custody
from nexus_cli.database.connect import MIGRATING, WRITING, Limits, connection, open_connection
from nexus_cli.database.rollup_tables import roll_up
from nexus_cli.database.sample_class import ensure_class, load_classes
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.layout import EXTERNAL, Home, Runtime
from nexus_cli.project import up
from nexus_cli.settings import Settings
from tests.postgres import SITE
from tests.servers import free_port

pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]


async def test_up_down_up_and_check_is_clean_each_time(empty_database: Settings) -> None:
    assert (await revision.current(empty_database)).current is None
    first = await migrate.upgrade(empty_database)
    assert revision.revisions() == first == tuple(f"{number:04}" for number in range(1, 29))
    assert await migrate.check(empty_database) == ()
    async with connection(empty_database) as conn:
        made = await ensure_class(conn, "process-fast", site=SITE, keep_ms=10 * DAY_MS)
        assert made.table == "sample_acme_chicago_process_fast"
        await conn.execute(
            f"INSERT INTO nexus.{made.table} (time, series_id, value, quality) VALUES (now(), 1, 2.5, 192)"
        )
        assert await conn.fetchval("SELECT value FROM nexus.sample") == 2.5
        assert await roll_up(conn, made, now=datetime.now(UTC))
        assert await conn.fetchval("SELECT count(*) FROM nexus.rollup") == 1
    assert await migrate.check(empty_database) == ()
    assert await migrate.upgrade(empty_database) == ()
    assert (await migrate.downgrade(empty_database, revision="base"))[-1] == "0001"
    assert (await revision.current(empty_database)).current is None
    async with connection(empty_database) as conn:
        left = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'nexus'")
        assert {row["tablename"] for row in left} <= {"alembic_version"}
    assert await migrate.upgrade(empty_database) == first
    assert await migrate.check(empty_database) == ()


async def test_check_names_a_difference(database: Settings) -> None:
    async with connection(database) as conn:
        await conn.execute("ALTER TABLE nexus.gap DROP COLUMN reason")
    found = await migrate.check(database)
    assert len(found) == 1
    assert "reason" in found[0]


async def test_a_schema_that_is_behind_says_so(empty_database: Settings) -> None:
    with pytest.raises(NexusError) as caught:
        await revision.require_current(empty_database)
    assert caught.value.code == "NX6201"
    assert "nexus db upgrade" in caught.value.hint
    await migrate.upgrade(empty_database)
    await revision.require_current(empty_database)


async def test_a_schema_from_the_future_is_left_alone(database: Settings) -> None:
    async with connection(database) as conn:
        await conn.execute("UPDATE nexus.alembic_version SET version_num = '9999'")
    with pytest.raises(NexusError) as caught:
        await migrate.upgrade(database)
    assert caught.value.code == "NX6204"


@pytest.mark.parametrize(
    "statement", ["UPDATE nexus.audit SET who = 'x'", "DELETE FROM nexus.audit", "TRUNCATE nexus.audit"]
)
async def test_audit_refuses_change(database: Settings, statement: str) -> None:
    async with connection(database) as conn:
        await conn.execute("INSERT INTO nexus.audit (site, who, what) VALUES ('acme/chicago', 'me', 'apply')")
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await conn.execute(statement)
        assert await conn.fetchval("SELECT count(*) FROM nexus.audit") == 1


async def test_classes_share_the_view_and_names_that_fold_together_get_tables_of_their_own(database: Settings) -> None:
    async with connection(database) as conn:
        for name in ("a-b", "a.b", "default", "a-b"):
            await ensure_class(conn, name, site=SITE)
        classes = await load_classes(conn, site=SITE)
        base = "sample_acme_chicago"
        assert {made.table for made in classes.values()} == {f"{base}_a_b", f"{base}_a_b_2", f"{base}_default"}
        for made in classes.values():
            await conn.execute(f"INSERT INTO nexus.{made.table} (time, series_id, quality) VALUES (now(), 1, 0)")
        assert await conn.fetchval("SELECT count(*) FROM nexus.sample") == 3


async def test_unreachable_refused_and_unconfigured_are_plain_sentences(database: Settings) -> None:
    away = dataclasses.replace(database, database_url=f"postgresql://nexus@127.0.0.1:{free_port()}/postgres")
    wrong = dataclasses.replace(database, database_password="not-it")
    nothing = dataclasses.replace(database, database_url="")
    for settings, code in ((away, "NX6200"), (wrong, "NX6202"), (nothing, "NX6203")):
        with pytest.raises(NexusError) as caught:
            async with connection(settings):
                pass
        assert caught.value.code == code
        assert "not-it" not in caught.value.cause + caught.value.message


async def test_a_read_only_server_is_told_and_asked_nothing_that_it_need_not_do(database: Settings) -> None:
    async with connection(database) as conn:
        name = await conn.fetchval("SELECT current_database()")
        await conn.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert await migrate.upgrade(database) == ()
    assert await migrate.check(database) == ()
    with pytest.raises(NexusError) as caught:
        await migrate.downgrade(database, revision="base")
    assert (caught.value.code, caught.value.retriable) == ("NX6206", True)
    with pytest.raises(NexusError) as caught:
        async with connection(database) as conn:
            await ensure_class(conn, "process", site=SITE)
    assert caught.value.code == "NX6206"


async def test_up_refuses_a_read_only_server_before_it_starts_anything(
    database: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEXUS_DATABASE_URL", database.database_url)
    monkeypatch.setenv("NEXUS_DATABASE_PASSWORD", database.database_password)
    given = Runtime(site=SITE, database_kind=EXTERNAL, database_url=database.database_url)
    await asyncio.to_thread(up._ask_servers, Home(tmp_path), given)
    async with connection(database) as conn:
        name = await conn.fetchval("SELECT current_database()")
        await conn.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(NexusError) as caught:
        await asyncio.to_thread(up._ask_servers, Home(tmp_path), given)
    assert (caught.value.code, caught.value.exit_code) == ("NX6206", 6)


async def test_a_migration_does_not_wait_behind_a_reader_for_ever(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes later would wait behind it, the writer among them."""
    monkeypatch.setattr(migrate, "MIGRATING", Limits(lock_s=0.3, idle_in_transaction_s=60.0))
    monkeypatch.setattr(migrate, "LOCK_TRIES", 2)
    monkeypatch.setattr(migrate, "LOCK_PAUSE_S", 0.0)
    reader = await open_connection(database, application="report")
    try:
        async with reader.transaction():
            await reader.fetchval("SELECT count(*) FROM nexus.sample")
            with pytest.raises(NexusError) as caught:
                await migrate.downgrade(database, revision="base")
            assert caught.value.code == "NX6208"
    finally:
        await reader.close()
    assert (await migrate.downgrade(database, revision="base"))[-1] == "0001"


async def test_writers_pass_between_the_tries_of_a_migration(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report reads for long: the migration waits for it in short pieces, and is done when the report is."""
    assert MIGRATING.lock_s < WRITING.lock_s, "a writer that waits behind it still gets its own lock"
    monkeypatch.setattr(migrate, "MIGRATING", Limits(lock_s=0.3, idle_in_transaction_s=60.0))
    reader = await open_connection(database, application="report")
    writer = await open_connection(database, application="writer", limits=WRITING)
    reading = reader.transaction()
    await reading.start()
    await reader.fetchval("SELECT count(*) FROM nexus.sample")
    passed: list[str] = []

    async def let_pass() -> None:
        passed.append(await writer.execute("UPDATE nexus.series SET active = true"))
        if len(passed) == 3:
            await reading.rollback()

    monkeypatch.setattr(migrate, "_let_pass", let_pass)
    try:
        assert (await migrate.downgrade(database, revision="base"))[-1] == "0001"
    finally:
        await reader.close()
        await writer.close()
    assert passed == ["UPDATE 0"] * 3


async def test_0005_knows_who_spoke_for_the_devices_of_before(empty_database: Settings) -> None:
    await migrate.upgrade(empty_database)
    await migrate.downgrade(empty_database, revision="0004")
    async with connection(empty_database) as conn:
        await conn.execute(
            "INSERT INTO nexus.deployment (site, number, who, outcome, base_digest, desired_digest, plan) "
            "VALUES ('acme/chicago', 1, 'me', 'applied', '', '', '{}')"
        )
        await conn.executemany(
            "INSERT INTO nexus.resource (site, address, digest, gateway, attributes, deployment_id) "
            "SELECT 'acme/chicago', $1, '', $2, '{}', id FROM nexus.deployment",
            [("device.a/l/one", "gw-1"), ("device.a/l/scale", ""), ("gateway.gw-1", "")],
        )
        lineage = '{"gateway": "%s", "device": "%s", "protocol": "modbus"}'
        await conn.executemany(
            "INSERT INTO nexus.series (site, ulid, path, former_paths, type, retention, active, lineage) "
            "VALUES ('acme/chicago', $1, $2, $3, 'float64', 'default', $4, $5)",
            [
                ("1", "a/l/one/t", ["a/l/first/t"], True, lineage % ("gw-1", "a/l/one")),
                ("2", "a/l/gone/t", [], False, lineage % ("gw-2", "a/l/gone")),
                ("3", "a/l/scale/t", [], True, lineage % ("", "a/l/scale")),
            ],
        )
        await conn.execute(
            "INSERT INTO nexus.committed (site, gateway, epoch, ranges) VALUES ('acme/chicago', 'gw-1', 'E', '[[1, 9]]')"
        )
    await migrate.upgrade(empty_database)
    assert await migrate.check(empty_database) == ()
    async with connection(empty_database) as conn:
        found = await load_assignments(conn, site="acme/chicago")
        assert {(each.device, each.gateway, each.until_us is None) for each in found} == {
            ("a/l/one", "gw-1", True),
            ("a/l/gone", "gw-2", False),
            ("a/l/first", "gw-1", False),
        }
        custody = await load_custody(conn, site="acme/chicago", keys=[OutboxKey("gw-1", "E")])
    stored = custody[OutboxKey("gw-1", "E")]
    assert stored.ranges.ranges == [(1, 9)]
    assert stored.is_replay(5, 1_700_000_000_000_000)
    assert not stored.is_replay(5, 4_000_000_000_000_000)
