"""Retention classes belong to a site: what sites shared is divided between them, row by row where it must be.

A class that only one site uses keeps its table and nothing is copied. Where several sites used one class, it stays with
the site that has most series in it, and the rows of each other site move into a table of that site's own: no row is
lost or dropped. `keep` and `compress_after` become what each site declared; a site that declared nothing keeps its
samples for the longer of what held until now and the default.

Without TimescaleDB the default partition of a class becomes a table beside it, because PostgreSQL detaches partitions
without stopping writers only where there is none.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KEEP_DEFAULT_MS = 400 * 86_400_000
COLUMNS = '"time", series_id, value, value_exact, value_text, value_json, quality, status, source_time'
SHAPE = """(
  "time" timestamptz NOT NULL, series_id integer NOT NULL, value double precision, value_exact numeric(20,0),
  value_text text, value_json jsonb, quality smallint NOT NULL, status bigint, source_time timestamptz,
  UNIQUE ("time", series_id))"""
EMPTY_VIEW = """
CREATE OR REPLACE VIEW nexus.sample AS SELECT
  NULL::timestamptz AS "time", NULL::integer AS series_id, NULL::double precision AS value,
  NULL::numeric(20,0) AS value_exact, NULL::text AS value_text, NULL::jsonb AS value_json,
  NULL::smallint AS quality, NULL::bigint AS status, NULL::timestamptz AS source_time
WHERE false
"""
PARTITIONS = """
SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = CAST(:parent AS regclass) ORDER BY c.relname
"""
SITES_OF_CLASS = """
SELECT site, sum(series) AS series FROM (
  SELECT site, count(*) AS series FROM nexus.series WHERE retention = :name GROUP BY site
  UNION ALL SELECT site, 0 FROM nexus.resource WHERE address = 'retention.' || :name) AS used
GROUP BY site ORDER BY 2 DESC, 1
"""
SITES = "SELECT site FROM nexus.series UNION SELECT site FROM nexus.resource ORDER BY 1"
OF_SITE = "series_id IN (SELECT id FROM nexus.series WHERE site = :site)"


def _rows(statement: str, **values: Any) -> list[Any]:
    return list(op.get_bind().execute(sa.text(statement), values).mappings())


def _do(statement: str, **values: Any) -> None:
    op.get_bind().execute(sa.text(statement), values)


def upgrade() -> None:
    op.add_column("retention_class", sa.Column("site", sa.Text(), nullable=True), schema="nexus")
    op.drop_constraint("pk_retention_class", "retention_class", schema="nexus", type_="primary")
    _do(EMPTY_VIEW)
    every = [row["site"] for row in _rows(SITES)]
    for row in _rows("SELECT * FROM nexus.retention_class ORDER BY name"):
        if not row["hypertable"]:
            _set_free(row["table_name"])
        _divide(row, every)
    op.alter_column("retention_class", "site", nullable=False, schema="nexus")
    op.create_primary_key("pk_retention_class", "retention_class", ["site", "name"], schema="nexus")
    op.alter_column("retention_class", "name", comment="slug, as in the site file", schema="nexus")
    op.alter_column(
        "retention_class", "table_name", comment="where this site's samples of the class are", schema="nexus"
    )
    op.alter_column("series", "retention", comment="class of the site, see retention_class", schema="nexus")
    _view(rest=True)


def _set_free(table: str) -> None:
    """The default partition becomes a table of its own."""
    _do(f'ALTER TABLE nexus."{table}" DETACH PARTITION nexus."{table}_default"')
    _do(f'ALTER TABLE nexus."{table}_default" RENAME TO "{table}_rest"')


def _divide(row: Any, every: list[str]) -> None:
    """Give a class to its sites."""
    name, table = row["name"], row["table_name"]
    owners = [found["site"] for found in _rows(SITES_OF_CLASS, name=name)] or every[:1] or [""]
    if len(every) > 1:  # a series that changed its class left rows behind
        sources = [table] if row["hypertable"] else [table, f"{table}_rest"]
        held = " UNION ".join(f'SELECT series_id FROM nexus."{source}"' for source in sources)
        found = _rows(f"SELECT DISTINCT s.site FROM ({held}) AS held JOIN nexus.series s ON s.id = held.series_id")
        owners += sorted({each["site"] for each in found} - set(owners))
    for site in owners[1:]:
        other = _table_of(site, name)
        _insert(site, row, other)
        (_move_hyper if row["hypertable"] else _move_native)(site, table, other)
    keep_ms, compress_after_ms, rollups = _declared(owners[0], row)
    _do(
        "UPDATE nexus.retention_class SET site = :site, keep_ms = :keep, compress_after_ms = :compress,"
        " rollups = :rollups WHERE name = :name AND site IS NULL",
        site=owners[0],
        keep=keep_ms,
        compress=compress_after_ms,
        rollups=rollups,
        name=name,
    )
    if row["hypertable"] and keep_ms != row["keep_ms"]:
        _remove_retention(table)


def _declared(site: str, row: Any) -> tuple[int, int | None, list[str]]:
    """What a site says of its class."""
    found = _rows(
        "SELECT CAST(attributes AS text) AS attributes FROM nexus.resource WHERE site = :site AND address = :address",
        site=site,
        address=f"retention.{row['name']}",
    )
    said = json.loads(found[0]["attributes"]) if found else {}
    if "keep_ms" not in said:
        return max(row["keep_ms"], KEEP_DEFAULT_MS), row["compress_after_ms"], list(row["rollups"])
    return said["keep_ms"], said.get("compress_after_ms"), list(said.get("rollups") or ())


def _remove_retention(table: str) -> None:
    """The policy was another site's; the historian's upkeep adds the right one when it starts."""
    if _rows("SELECT 1 AS one WHERE current_setting('timescaledb.license', true) = 'timescale'"):
        _do(f"SELECT remove_retention_policy(CAST('nexus.\"{table}\"' AS regclass), if_exists => true)")


def _table_of(site: str, name: str) -> str:
    def folded(text: str) -> str:
        return re.sub(r"[^a-z0-9_]", "_", text.lower())

    base = f"sample_{folded(site)[:16]}_{folded(name)}"[:40]
    taken = {row["relname"] for row in _rows("SELECT relname FROM pg_class WHERE relname LIKE 'sample%'")}
    return next(each for each in (base, *(f"{base}_{number}" for number in range(2, 10_000))) if each not in taken)


def _insert(site: str, row: Any, table: str) -> None:
    keep_ms, compress_after_ms, rollups = _declared(site, row)
    _do(
        "INSERT INTO nexus.retention_class (site, name, table_name, keep_ms, compress_after_ms, rollups, hypertable)"
        " VALUES (:site, :name, :table, :keep, :compress, :rollups, :hyper)",
        site=site,
        name=row["name"],
        table=table,
        keep=keep_ms,
        compress=compress_after_ms,
        rollups=rollups,
        hyper=row["hypertable"],
    )


def _move_native(site: str, table: str, other: str) -> None:
    _do(f'CREATE TABLE nexus."{other}" {SHAPE} PARTITION BY RANGE ("time")')
    _do(f'CREATE TABLE nexus."{other}_rest" {SHAPE}')
    for found in _rows(PARTITIONS, parent=f'nexus."{table}"'):
        source = found["name"]
        if not _rows(f'SELECT 1 AS one FROM nexus."{source}" WHERE {OF_SITE} LIMIT 1', site=site):
            continue
        target = other + source[source.rindex("_p") :]
        _do(f'CREATE TABLE nexus."{target}" (LIKE nexus."{other}" INCLUDING ALL)')
        _take(source, target, site)
        _do(f'ALTER TABLE nexus."{other}" ATTACH PARTITION nexus."{target}" {found["bound"]}')
    _take(f"{table}_rest", f"{other}_rest", site)


def _move_hyper(site: str, table: str, other: str) -> None:
    chunk = _rows(
        "SELECT time_interval FROM timescaledb_information.dimensions"
        " WHERE hypertable_schema = 'nexus' AND hypertable_name = :table",
        table=table,
    )
    _do(f'CREATE TABLE nexus."{other}" {SHAPE}')
    _do(
        f"SELECT create_hypertable(CAST('nexus.\"{other}\"' AS regclass), 'time',"
        " chunk_time_interval => CAST(:chunk AS interval), create_default_indexes => false)",
        chunk=chunk[0]["time_interval"],
    )
    # The rows of one site are whole segments of a compressed chunk; the limit is for accidents.
    _do("SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)")
    _take(table, other, site)


def _take(source: str, target: str, site: str) -> None:
    _do(f'INSERT INTO nexus."{target}" ({COLUMNS}) SELECT {COLUMNS} FROM nexus."{source}" WHERE {OF_SITE}', site=site)
    _do(f'DELETE FROM nexus."{source}" WHERE {OF_SITE}', site=site)


def _view(*, rest: bool) -> None:
    tables: list[str] = []
    for row in _rows("SELECT table_name, hypertable FROM nexus.retention_class"):
        tables.append(row["table_name"])
        if rest and not row["hypertable"]:
            tables.append(f"{row['table_name']}_rest")
    if tables:
        union = " UNION ALL ".join(f'SELECT {COLUMNS} FROM nexus."{table}"' for table in sorted(tables))
        _do(f"CREATE OR REPLACE VIEW nexus.sample AS {union}")


def downgrade() -> None:
    _do(EMPTY_VIEW)
    for row in _rows("SELECT table_name FROM nexus.retention_class WHERE NOT hypertable"):
        table = row["table_name"]
        _do(f'ALTER TABLE nexus."{table}_rest" RENAME TO "{table}_default"')
        _do(f'ALTER TABLE nexus."{table}" ATTACH PARTITION nexus."{table}_default" DEFAULT')
    for row in _rows("SELECT name FROM nexus.retention_class GROUP BY name HAVING count(*) > 1 ORDER BY name"):
        _join(row["name"])
    op.drop_constraint("pk_retention_class", "retention_class", schema="nexus", type_="primary")
    op.drop_column("retention_class", "site", schema="nexus")
    op.create_primary_key("pk_retention_class", "retention_class", ["name"], schema="nexus")
    op.alter_column(
        "retention_class", "name", comment="slug; the table is sample_{name with - and . as _}", schema="nexus"
    )
    op.alter_column("retention_class", "table_name", comment=None, schema="nexus")
    op.alter_column("series", "retention", comment="class, names the table sample_{class}", schema="nexus")
    _view(rest=False)


def _join(name: str) -> None:
    """Sites share a class again: all rows in the oldest table, kept as long as any of them wanted."""
    found = _rows("SELECT * FROM nexus.retention_class WHERE name = :name ORDER BY created, site", name=name)
    home, keep_ms = found[0], max(row["keep_ms"] for row in found)
    for row in found[1:]:
        _do(f'INSERT INTO nexus."{home["table_name"]}" ({COLUMNS}) SELECT {COLUMNS} FROM nexus."{row["table_name"]}"')
        _do(f'DROP TABLE nexus."{row["table_name"]}"')
        _do("DELETE FROM nexus.retention_class WHERE site = :site AND name = :name", site=row["site"], name=name)
    _do("UPDATE nexus.retention_class SET keep_ms = :keep WHERE name = :name", keep=keep_ms, name=name)
    if home["hypertable"] and keep_ms != home["keep_ms"]:
        _remove_retention(home["table_name"])
