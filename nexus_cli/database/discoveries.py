"""The table `discovery`: runs of `nexus discover --via` and what they found. The newest of a site are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.nul import storable
from nexus_cli.model.calendar import microseconds, moment_of

KEPT = 200
"""Runs of a site that are kept."""
_COLUMNS = "id, who, gateway, target, started, ended, outcome, detail, found, skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDiscovery:
    """One run; times in µs since 1970 UTC.

    Attributes:
        id: ULID.
        who: Who ran it.
        gateway, target: Through which gateway; what was browsed, without passwords.
        outcome, detail: `done`, `stopped` or `failed`, and why.
        found, skipped: How many values were offered, and left out.
        values: `{path, address, type, unit, description}` of the first of them; left out of a list of runs.
        skipped_reasons: How many were left out for each reason; likewise.
    """

    id: str
    who: str
    gateway: str
    target: str
    started_us: int
    ended_us: int
    outcome: str
    detail: str = ""
    found: int = 0
    skipped: int = 0
    values: list[dict[str, str]] = field(default_factory=list)
    skipped_reasons: dict[str, int] = field(default_factory=dict)


async def add_discovery(conn: Connection, site: str, run: StoredDiscovery) -> None:
    """Record a run, and forget the oldest beyond `KEPT`."""
    result = orjson.dumps({"values": run.values, "skipped_reasons": run.skipped_reasons}).decode()
    async with conn.transaction():
        await conn.execute(
            f"INSERT INTO {SCHEMA}.discovery (site, {_COLUMNS}, result)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::jsonb) ON CONFLICT DO NOTHING",
            *(site, run.id, run.who, run.gateway, _plain(run.target), moment_of(run.started_us)),
            *(moment_of(run.ended_us), run.outcome, _plain(run.detail), run.found, run.skipped, _plain(result)),
        )
        await conn.execute(
            f"DELETE FROM {SCHEMA}.discovery WHERE site = $1 AND id NOT IN"
            f" (SELECT id FROM {SCHEMA}.discovery WHERE site = $1 ORDER BY id DESC LIMIT $2)",
            *(site, KEPT),
        )


async def load_discoveries(conn: Connection, *, site: str, limit: int) -> list[StoredDiscovery]:
    """Runs without their values, the newest first."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM {SCHEMA}.discovery WHERE site = $1 ORDER BY id DESC LIMIT $2", site, limit
    )
    return [_run(row, {}) for row in rows]


async def load_discovery(conn: Connection, *, site: str, run: str) -> StoredDiscovery | None:
    """One run with its values; None when there is none of this id."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS}, result FROM {SCHEMA}.discovery WHERE site = $1 AND id = $2", site, run
    )
    return None if row is None else _run(row, orjson.loads(row["result"]))


def _run(row: Any, result: dict[str, Any]) -> StoredDiscovery:
    return StoredDiscovery(
        id=row["id"],
        who=row["who"],
        gateway=row["gateway"],
        target=row["target"],
        started_us=microseconds(row["started"]),
        ended_us=microseconds(row["ended"]),
        outcome=row["outcome"],
        detail=row["detail"],
        found=row["found"],
        skipped=row["skipped"],
        values=result.get("values", []),
        skipped_reasons=result.get("skipped_reasons", {}),
    )


def _plain(text: str) -> str:
    """Text that PostgreSQL takes: a NUL has no place in it, and a device may have named something so."""
    return storable(text).replace("\x00", "\ufffd")
