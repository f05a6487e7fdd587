"""What is missing in the database: of the schema, of the tables of a site's retention classes, and of the rights of the own role.

Only the catalogue is read. What is there beside the schema is no fault: an administrator may add an index.

See docs/decisions/0116.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from nexus_cli.database.class_gaps import class_gaps
from nexus_cli.database.connect import Connection
from nexus_cli.database.gap_kinds import Gap
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.revision import VERSION_TABLE, revisions
from nexus_cli.database.schema_objects import Objects, Table, expected_objects, read_objects

APPENDED = {"audit": ("SELECT", "INSERT")}
READ_ONLY = (VERSION_TABLE, "audit_link", "audit_head")
"""Triggers with the owner's rights write the chain."""
_ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """The result of a look.

    Attributes:
        found: What is missing, in the order in which it can be put back.
        unknown: Why it could not be looked at; "" when it was.
    """

    found: tuple[Gap, ...] = ()
    unknown: str = ""


async def missing_in(conn: Connection, *, site: str, now: datetime | None = None) -> Gaps:
    """Compare the database with what this version and the site's retention classes need.

    What is missing is looked at twice, and counts when it is missing both times: the historian may make or drop a table between
    two questions. Control's connections are in a transaction already, so that no snapshot can be asked for here.

    Args:
        conn: An open connection.
        site: `enterprise/site`: of other sites' classes nothing is said.
        now: What is older than a class keeps is about to go anyway; the present time without it.
    """
    moment = now or datetime.now(UTC)
    first = await _look(conn, site=site, now=moment)
    if not first.found:
        return first
    again = await _look(conn, site=site, now=moment)
    return Gaps(found=tuple(gap for gap in first.found if gap in again.found), unknown=again.unknown)


async def _look(conn: Connection, *, site: str, now: datetime) -> Gaps:
    usage = await conn.fetchval(
        "SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = $1", SCHEMA
    )
    if usage is False:
        return Gaps(found=(_usage(),))
    if usage is None or not await conn.fetchval("SELECT to_regclass($1) IS NOT NULL", f"{SCHEMA}.{VERSION_TABLE}"):
        return Gaps(unknown="the table with its revision is not there")
    if not await conn.fetchval("SELECT has_table_privilege($1, 'SELECT')", f"{SCHEMA}.{VERSION_TABLE}"):
        return Gaps(found=tuple(await _rights(conn)))
    at, head = await conn.fetchval(f"SELECT version_num FROM {SCHEMA}.{VERSION_TABLE}"), revisions()[-1]
    if at != head:
        return Gaps(unknown=f"its schema is revision {at}, this version compares {head}")
    found = list(compared(expected_objects(), await read_objects(conn)))
    rights = await _rights(conn)
    gone = {gap.table for gap in found if gap.kind in ("table", "column")}
    unreadable = {gap.table for gap in rights if gap.name == "SELECT"}
    needed = {"retention_class", "rollup", "kept_series", "archive_day", "resource"}
    if not needed & (gone | unreadable):
        found += await class_gaps(conn, site=site, now=now)
    return Gaps(found=(*found, *rights))


def compared(expected: Objects, there: Objects) -> Iterator[Gap]:
    """What the schema has to have and does not, tables by name; of a table that is gone that alone. Pure."""
    for name in expected.functions:
        if name not in there.functions:
            yield Gap("function", name, "", f"the function {name} is gone")
    for name in expected.views:
        if name not in there.views:
            yield Gap("view", name, "", f"the view {name} is gone")
    for name, table in sorted(expected.tables.items()):
        if name not in there.tables:
            yield Gap("table", name, "", f"the table {name} is gone")
        else:
            yield from _of_table(name, table, there.tables[name], set(there.broken))


def _of_table(name: str, wanted: Table, there: Table, broken: set[str]) -> Iterator[Gap]:
    relation = f'{SCHEMA}."{name}"'
    lost: list[Gap] = []
    for column, of in wanted.columns.items():
        has = there.columns.get(column)
        if has is None:
            lost.append(Gap("column", name, column, f"the column {column} of {name} is gone"))
        elif has.type != of.type:
            lost.append(Gap("column", name, column, f"the column {column} of {name} is {has.type}, not {of.type}"))
        elif of.required and not has.required:
            put_back = (f'ALTER TABLE {relation} ALTER COLUMN "{column}" SET NOT NULL',)
            yield Gap("column", name, column, f"the column {column} of {name} takes NULL", put_back)
    yield from lost
    for key, text in sorted(wanted.constraints.items(), key=lambda one: (not one[1].startswith("PRIMARY"), one[0])):
        if key not in there.constraints:
            gap = f"the constraint {key} of {name} is gone: {text}"
            yield Gap("constraint", name, key, gap, () if lost else _constraint(relation, key, text))
    for index, text in wanted.indexes.items():
        if index not in there.indexes:
            yield Gap("index", name, index, f"the index {index} of {name} is gone", () if lost else (concurrent(text),))
        elif f"{name}/{index}" in broken:
            again = (f'DROP INDEX CONCURRENTLY IF EXISTS {SCHEMA}."{index}"', concurrent(text))
            yield Gap(
                "index", name, index, f"the index {index} of {name} is not used: making it was interrupted", again
            )
    for trigger, text in wanted.triggers.items():
        if trigger not in there.triggers:
            yield Gap("trigger", name, trigger, f"the trigger {trigger} of {name} is gone", () if lost else (text,))
        elif f"{name}/{trigger}" in broken:
            enable = (f'ALTER TABLE {relation} ENABLE TRIGGER "{trigger}"',)
            yield Gap("trigger", name, trigger, f"the trigger {trigger} of {name} is disabled", enable)


def concurrent(text: str) -> str:
    """The statement that makes an index, so that it holds up no writer and may be repeated."""
    for start in ("CREATE UNIQUE INDEX ", "CREATE INDEX "):
        if text.startswith(start):
            return f"{start}CONCURRENTLY IF NOT EXISTS {text.removeprefix(start)}"
    raise ValueError(text)


def _constraint(relation: str, key: str, text: str) -> tuple[str, ...]:
    """Statements that add it again and hold up writers as little as can be: rows are read without a lock on them."""
    for kind in ("PRIMARY KEY", "UNIQUE"):
        if text.startswith(f"{kind} ("):
            columns = text.removeprefix(kind).strip()
            return (
                f'DROP INDEX CONCURRENTLY IF EXISTS {SCHEMA}."{key}"',  # half made, by a try that was killed
                f'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "{key}" ON {relation} {columns}',
                f'ALTER TABLE {relation} ADD CONSTRAINT "{key}" {kind} USING INDEX "{key}"',
            )
    if text.startswith(("FOREIGN KEY", "CHECK")):
        return (
            f'ALTER TABLE {relation} ADD CONSTRAINT "{key}" {text} NOT VALID',
            f'ALTER TABLE {relation} VALIDATE CONSTRAINT "{key}"',
        )
    return (f'ALTER TABLE {relation} ADD CONSTRAINT "{key}" {text}',)


async def _rights(conn: Connection) -> list[Gap]:
    """Rights on tables and on the sequences of their columns that the own role lacks."""
    rows = await conn.fetch(
        """SELECT c.relname AS name, c.relkind::text AS kind, quote_ident(current_user) AS role, p.privilege
           FROM pg_class c CROSS JOIN LATERAL unnest(CASE WHEN c.relkind = 'S' THEN '{USAGE}'::text[]
             WHEN c.relkind = 'v' THEN '{SELECT}'::text[] ELSE $2::text[] END) AS p(privilege)
           WHERE c.relnamespace = to_regnamespace($1) AND c.relkind IN ('r', 'p', 'v', 'S') AND NOT c.relispartition
             AND (c.relkind <> 'S' OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                  AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'))
             AND NOT CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, p.privilege)
                          ELSE has_table_privilege(c.oid, p.privilege) END ORDER BY 1, 4""",
        *(SCHEMA, list(_ALL)),
    )
    found: list[Gap] = []
    for row in rows:
        name, right = row["name"], row["privilege"]
        if right not in (("SELECT", "USAGE") if name in READ_ONLY else APPENDED.get(name, (*_ALL, "USAGE"))):
            continue
        kind = "SEQUENCE " if row["kind"] == "S" else ""
        put_back = (f'GRANT {right} ON {kind}{SCHEMA}."{name}" TO {row["role"]}',)
        found.append(Gap("grant", name, right, f"the role {row['role']} has no {right} on {name}", put_back))
    return found


def _usage() -> Gap:
    return Gap("grant", SCHEMA, "USAGE", f"the own role has no USAGE on the schema {SCHEMA}")
