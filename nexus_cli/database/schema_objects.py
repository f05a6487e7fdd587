"""The objects of schema `nexus` as the catalogue of PostgreSQL has them, and as the migrations of this version make them.

The second are in `expected_schema.json`: what a database has right after `nexus db upgrade`. A test makes it from one and compares,
so that a migration can't be forgotten. Control reads it without SQLAlchemy and Alembic. The tables of retention classes and rollups
are not in it; see `schema_gaps`.

See docs/decisions/0116.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA

FILE = Path(__file__).with_name("expected_schema.json")


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Type, as `format_type` names it, and whether NULL is refused."""

    type: str
    required: bool


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table and what belongs to it, by name.

    Attributes:
        columns: In order of their names.
        constraints: Definitions: primary and unique keys, foreign keys, checks.
        indexes: Statements that make them; those of constraints are not here.
        triggers: Statements that make them.
    """

    columns: dict[str, Column] = {}
    constraints: dict[str, str] = {}
    indexes: dict[str, str] = {}
    triggers: dict[str, str] = {}


class Objects(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A schema.

    Attributes:
        tables: By name.
        functions: Names.
        views: Names.
        broken: Indexes that PostgreSQL does not use, because making them was interrupted, and triggers that are disabled:
            `TABLE/NAME`.
    """

    tables: dict[str, Table]
    functions: list[str]
    views: list[str]
    broken: list[str] = []


@cache
def expected_objects() -> Objects:
    """What the migrations of this version make."""
    return msgspec.json.decode(FILE.read_bytes(), type=Objects)


_TABLES = """
SELECT c.relname AS name, c.relkind = 'v' AS view FROM pg_class c
WHERE c.relnamespace = to_regnamespace($1) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition ORDER BY 1
"""
_COLUMNS = """
SELECT c.relname AS owner, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = to_regnamespace($1) AND c.relname = ANY($2::text[]) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2
"""
_CONSTRAINTS = """
SELECT c.relname AS owner, k.conname AS name, pg_get_constraintdef(k.oid) AS text
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE c.relnamespace = to_regnamespace($1) AND c.relname = ANY($2::text[]) AND k.contype IN ('p', 'u', 'f', 'c', 'x') ORDER BY 1, 2
"""
"""Without those of NOT NULL, which PostgreSQL 18 lists as well: they are properties of columns here."""
_INDEXES = """
SELECT c.relname AS owner, x.relname AS name, pg_get_indexdef(x.oid) AS text, NOT i.indisvalid AS broken
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
WHERE c.relnamespace = to_regnamespace($1) AND c.relname = ANY($2::text[])
AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x')) ORDER BY 1, 2
"""
_TRIGGERS = """
SELECT c.relname AS owner, t.tgname AS name, pg_get_triggerdef(t.oid) AS text, t.tgenabled = 'D' AS broken
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = to_regnamespace($1) AND c.relname = ANY($2::text[]) AND NOT t.tgisinternal ORDER BY 1, 2
"""
_FUNCTIONS = "SELECT DISTINCT proname AS name FROM pg_proc WHERE pronamespace = to_regnamespace($1) ORDER BY 1"


async def read_objects(conn: Connection) -> Objects:
    """What the database has; of the tables of retention classes, their partitions and rollups nothing."""
    relations = await conn.fetch(_TABLES, SCHEMA)
    names = [row["name"] for row in relations if not row["view"] and not row["name"].startswith("sample_")]
    tables = {name: Table(columns={}, constraints={}, indexes={}, triggers={}) for name in names}
    for row in await conn.fetch(_COLUMNS, SCHEMA, names):
        tables[row["owner"]].columns[row["name"]] = Column(row["type"], row["required"])
    for row in await conn.fetch(_CONSTRAINTS, SCHEMA, names):
        tables[row["owner"]].constraints[row["name"]] = row["text"]
    broken: list[str] = []
    for statement, attribute in ((_INDEXES, "indexes"), (_TRIGGERS, "triggers")):
        for row in await conn.fetch(statement, SCHEMA, names):
            getattr(tables[row["owner"]], attribute)[row["name"]] = row["text"]
            if row["broken"]:
                broken.append(f"{row['owner']}/{row['name']}")
    return Objects(
        tables=tables,
        functions=[row["name"] for row in await conn.fetch(_FUNCTIONS, SCHEMA)],
        views=[row["name"] for row in relations if row["view"] and not row["name"].startswith("sample_")],
        broken=broken,
    )
