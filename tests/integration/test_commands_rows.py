"""Reports of commands as rows: whatever they hold, once each, and never in the way of the samples of their batch."""

from __future__ import annotations

import asyncpg
import orjson
import pytest

from nexus_cli.database.connect import connection
from nexus_cli.runtime.historian.command_rows import record_reports
from nexus_cli.runtime.historian.dead_letters import DeadLetters
from nexus_cli.settings import Settings
from nexus_cli.wire.command import Report, Response, State
from tests.command_rows import commands

pytestmark = pytest.mark.needs_database
SITE = "acme/chicago"


def report(name: str, asked: object, *, path: str = "a/l/d/t", principal: str = "desk", **more: object) -> Report:
    response = Response(id=name, state=State.REFUSED, path=path, time=1_700_000_000_000_000, code="NX6806", **more)  # type: ignore[arg-type]
    return Report(
        epoch="e", seq=1, gateway="gw", principal=principal, received=1, response=response, asked=asked  # type: ignore[arg-type]
    )  # fmt: skip


async def store(settings: Settings, *reports: Report) -> DeadLetters:
    letters = DeadLetters()
    async with connection(settings) as conn, conn.transaction():
        await record_reports(conn, SITE, reports, letters)
    return letters


async def test_values_that_a_database_does_not_like(database: Settings) -> None:
    values = [None, True, 2**64 - 1, 10**30, -(2**70), 1.5, "a\0b", ["x", 10**40], {"k\0": "v\0"}, "ü"]
    letters = await store(database, *(report(f"c{n}", value, detail="d\0") for n, value in enumerate(values)))
    assert len(letters) == 0
    async with connection(database) as conn:
        found = {one["id"]: one for one in await commands(conn, SITE, limit=100)}
        assert len(found) == len(values)
        assert await conn.fetchval("SELECT count(*) FROM nexus.audit WHERE what = 'command'") == len(values)
    assert found["c0"]["value"] is None and found["c2"]["value"] == 2**64 - 1 and found["c3"]["value"] == str(10**30)


def nested(levels: int) -> object:
    """A value in so many arrays."""
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


async def test_what_is_nested_too_deep_costs_its_own_report_alone(database: Settings) -> None:
    levels = [100, 254, 600, *range(900, 990, 3)]
    letters = await store(database, *(report(f"d{n}", nested(n)) for n in levels), report("last", 1))
    async with connection(database) as conn:
        found = {one["id"] for one in await commands(conn, SITE, limit=100)}
    assert {"d100", "last"} <= found
    assert len(found) + letters.count == len(levels) + 1
    assert {reason for (_, reason), _ in letters.items()} == {"refused_by_database"}


async def test_a_command_is_on_record_once_whoever_reports_it_again(database: Settings) -> None:
    await store(database, report("one", 1), report("one", 1))
    await store(database, report("one", 2))
    # The same id of another person, or on another gateway's tag, is another command.
    await store(database, report("one", 3, principal="other"), report("one", 4, path="a/l/e/t"))
    async with connection(database) as conn:
        rows = await conn.fetch("SELECT principal, path, value::text AS value FROM nexus.command ORDER BY value")
        assert [(row["principal"], row["path"], orjson.loads(row["value"])) for row in rows] == [
            ("desk", "a/l/d/t", 1),
            ("other", "a/l/d/t", 3),
            ("desk", "a/l/e/t", 4),
        ]
        assert await conn.fetchval("SELECT count(*) FROM nexus.audit") == 3


async def test_what_could_not_be_read_stands_in_the_audit_trail(database: Settings) -> None:
    await store(database, report("", None, detail="not JSON"), report("", None, detail="not JSON"))
    async with connection(database) as conn:
        assert await conn.fetchval("SELECT count(*) FROM nexus.command") == 0
        assert await conn.fetchval("SELECT count(*) FROM nexus.audit WHERE what = 'command'") == 2
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await conn.execute("DELETE FROM nexus.audit")
