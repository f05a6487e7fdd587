"""What is missing of the tables of a site's retention classes: partitions, policies of TimescaleDB, rollups."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from nexus_cli.database.class_table import SampleClass
from nexus_cli.database.connect import Connection
from nexus_cli.database.gap_kinds import Gap
from nexus_cli.database.kept_series import drops_chunks
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.partitions import period_of
from nexus_cli.database.rollup_tables import load_rollups
from nexus_cli.database.sample_class import load_classes
from nexus_cli.database.timescale import has_timescale, policies_missing

_DAY = re.compile(r"_p(\d{8})\Z")


async def class_gaps(conn: Connection, *, site: str, now: datetime) -> list[Gap]:
    """Those of every class of a site."""
    classes = await load_classes(conn, site=site)
    names = [row["name"] for row in await conn.fetch(_RELATIONS, SCHEMA)]
    found: list[Gap] = []
    timescale = await has_timescale(conn)
    for made in classes.values():
        found += _tables(made, names)
        if made.table not in names:
            continue
        if not made.hypertable:
            found += await _detached(conn, made, now=now)
        elif timescale:
            found += await _policies(conn, made)
        for one in await load_rollups(conn, [made.table]):
            if one.relation not in names:
                text = f"the rollup {one.relation} of {made.table} is gone"
                found.append(Gap("rollup", made.table, one.relation, text, (_forget_rollup(one.table, one.width),)))
    return found


_RELATIONS = """
SELECT relname AS name FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p', 'v', 'm')
"""


def _tables(made: SampleClass, names: Collection[str]) -> list[Gap]:
    wanted = [made.table] if made.hypertable else [made.table, made.rest]
    return [
        Gap("table", table, "", f"the table {table} of the retention class {made.name} is gone")
        for table in wanted
        if table not in names
    ]


async def _detached(conn: Connection, made: SampleClass, *, now: datetime) -> list[Gap]:
    """Partitions whose table is there and that no query sees; upkeep detaches one only when its time is over."""
    rows = await conn.fetch(
        "SELECT relname AS name FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'"
        " AND NOT relispartition AND relname ~ ('^' || $2 || '_p[0-9]{8}$') ORDER BY 1",
        *(SCHEMA, made.table),
    )
    found: list[Gap] = []
    for row in rows:
        day = _DAY.search(row["name"])
        try:
            first = datetime.strptime(day[1] if day else "", "%Y%m%d").replace(tzinfo=UTC)
        except ValueError:
            continue
        start, end = period_of(first, keep_ms=made.keep_ms)
        if end <= now - timedelta(milliseconds=made.keep_ms):
            continue
        attach = (
            f'ALTER TABLE {SCHEMA}."{made.table}" ATTACH PARTITION {SCHEMA}."{row["name"]}"'
            f" FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')"
        )
        text = f"the partition {row['name']} is detached: queries do not see its samples"
        found.append(Gap("partition", made.table, row["name"], text, (attach,)))
    return found


async def _policies(conn: Connection, made: SampleClass) -> list[Gap]:
    own = await drops_chunks(conn, made)
    keep_ms = None if own else made.keep_ms
    missing = await policies_missing(conn, made.table, keep_ms=keep_ms, compress_after_ms=made.compress_after_ms)
    return [
        Gap("policy", made.table, name, f"the {name} policy of {made.table} is gone", (add,))
        for name, add in missing.items()
    ]


def _forget_rollup(table: str, width: str) -> str:
    """Upkeep makes a rollup that is not on record, and computes all of it from the samples."""
    return f"DELETE FROM {SCHEMA}.rollup WHERE table_name = '{table}' AND width = '{width}'"
