"""The table `export`: who asked for which samples in a file, and how far the worker is.

An export and its job come into being together. Each try has a token and a file of its own: of two tries the later one counts, and
what an earlier one says is refused. A row whose job is gone has failed.

See docs/decisions/0099.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from nexus_cli.database import job_rows, jobs
from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds, write_audit
from nexus_cli.database.names import SCHEMA
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.web_exports import Export

KIND = TABLE = "export"
WAITING, RUNNING, DONE, FAILED, REMOVED = "waiting", "running", "done", "failed", "removed"
MOST_WAITING = 10
"""Exports of one caller that wait or run at a time."""
MOST_LISTED = 500
LONGEST_REASON = 500
_SHOWN = (
    'id, who, state, format, selectors, start, "end", cardinality(series) AS tags, created, begun, ended, expires,'
    " rows, bytes, sha256, reason"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewExport:
    """What is asked for; `series` are the ids that who asks may read."""

    id: str
    who: str
    format: str
    selectors: Sequence[str]
    series: Sequence[int]
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An export that a try has."""

    format: str
    series: list[int]
    start: datetime
    end: datetime


def key_of(export: str) -> str:
    """The key of its job: there is one at a time."""
    return f"{KIND} {export}"


async def add_export(conn: Connection, site: str, new: NewExport) -> Export:
    """Note an export and put its job in, in one transaction.

    Raises:
        NexusError: NX6487, too many of this caller wait or run.
    """
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{site} export {new.who}")
        waiting = await conn.fetchval(
            f"SELECT count(*) FROM {SCHEMA}.export WHERE site = $1 AND state IN ('waiting', 'running') AND who = $2",
            *(site, new.who),
        )
        if waiting >= MOST_WAITING:
            raise NexusError(f"{waiting} exports of {new.who} wait or run.", code="NX6487")
        row = await conn.fetchrow(
            f"""INSERT INTO {SCHEMA}.export (site, id, who, state, format, selectors, series, start, "end")
                VALUES ($1, $2, $3, 'waiting', $4, $5, $6, $7, $8) RETURNING {_SHOWN}""",
            *(site, new.id, new.who, new.format, list(new.selectors), list(new.series), new.start, new.end),
        )
        await jobs.enqueue(conn, site, KIND, {"export": new.id}, priority=jobs.LATER, key=key_of(new.id))
    return _export(row)


async def list_exports(conn: Connection, site: str, *, who: str | None, limit: int = 50) -> list[Export]:
    """The newest first; of `who` alone, None is of everybody."""
    rows = await conn.fetch(
        f"""SELECT {_SHOWN} FROM {SCHEMA}.export WHERE site = $1 AND state <> 'removed' AND ($2::text IS NULL OR who = $2)
            ORDER BY id DESC LIMIT $3""",
        *(site, who, max(1, min(limit, MOST_LISTED))),
    )
    return [_export(row) for row in rows]


async def find_export(conn: Connection, site: str, export: str) -> Export | None:
    """One export; None when there is none of this id."""
    row = await conn.fetchrow(
        f"SELECT {_SHOWN} FROM {SCHEMA}.export WHERE site = $1 AND id = $2 AND state <> 'removed'", site, export
    )
    return None if row is None else _export(row)


async def content_of(conn: Connection, site: str, export: str) -> tuple[str, list[str]]:
    """The name of its file, and the present paths of the tags in it; those of series that were purged are missing."""
    row = await conn.fetchrow(f"SELECT file, series FROM {SCHEMA}.export WHERE site = $1 AND id = $2", site, export)
    if row is None:
        return "", []
    paths = await series_paths(conn, site, only=row["series"])
    return row["file"], list(paths.values())


async def series_paths(conn: Connection, site: str, *, only: Sequence[int] | None = None) -> dict[int, str]:
    """Paths of the series of a site by id."""
    rows = await conn.fetch(
        f"SELECT id, path FROM {SCHEMA}.series WHERE site = $1 AND ($2::int[] IS NULL OR id = ANY($2))",
        *(site, None if only is None else list(only)),
    )
    return {row["id"]: row["path"] for row in rows}


async def begin(conn: Connection, site: str, export: str, *, token: str) -> Begun | None:
    """Give an export to this try; None when it is done, or there is none any more."""
    row = await conn.fetchrow(
        f"""UPDATE {SCHEMA}.export SET state = 'running', token = $3, begun = now(), ended = NULL, expires = NULL
            WHERE site = $1 AND id = $2 AND state IN ('waiting', 'running', 'failed')
            RETURNING format, series, start, "end\"""",
        *(site, export, token),
    )
    return None if row is None else Begun(**dict(row))


async def settle(
    conn: Connection,
    site: str,
    export: str,
    *,
    token: str,
    file: str,
    rows: int,
    size: int,
    sha256: str,
    keep_days: int,
) -> bool:
    """Say that the file is there. False when a later try has the export, or it was removed: this result does not count."""
    async with conn.transaction():
        row = await conn.fetchrow(
            f"""UPDATE {SCHEMA}.export SET state = 'done', file = $4, rows = $5, bytes = $6, sha256 = $7, reason = '',
                  ended = now(), expires = now() + $8
                WHERE site = $1 AND id = $2 AND token = $3 AND state = 'running' RETURNING {_SHOWN}""",
            *(site, export, token, file, rows, size, sha256, timedelta(days=keep_days)),
        )
        if row is None:
            return False
        await audit(conn, site, _export(row), who=row["who"], what="export")
    return True


async def fail(
    conn: Connection, site: str, export: str, *, token: str, reason: str, last: bool, keep_days: int
) -> None:
    """Say why this try failed; it waits for the next one, or has failed for good."""
    await conn.execute(
        f"""UPDATE {SCHEMA}.export SET state = CASE WHEN $5 THEN 'failed' ELSE 'waiting' END, reason = $4, ended = now(),
              expires = CASE WHEN $5 THEN now() + $6::interval END
            WHERE site = $1 AND id = $2 AND token = $3 AND state = 'running'""",
        *(site, export, token, reason[:LONGEST_REASON], last, timedelta(days=keep_days)),
    )


async def remove(conn: Connection, site: str, export: str, *, who: str) -> None:
    """Remove an export: it is gone for everybody, its job if it waits, and its file when a worker comes by."""
    async with conn.transaction():
        row = await conn.fetchrow(
            f"""UPDATE {SCHEMA}.export SET state = 'removed', token = '', expires = now()
                WHERE site = $1 AND id = $2 AND state <> 'removed' RETURNING {_SHOWN}""",
            *(site, export),
        )
        if row is not None:
            await jobs.withdraw(conn, site, KIND, key=key_of(export))
            await audit(conn, site, _export(row), who=who, what="delete-export")


async def compare_with_jobs(conn: Connection, site: str, *, keep_days: int) -> int:
    """See `job_rows.compare_with_jobs`."""
    return await job_rows.compare_with_jobs(conn, site, table=TABLE, kind=KIND, keep_days=keep_days)


async def expired(conn: Connection, site: str) -> list[str]:
    """Exports whose row and file are to be removed."""
    return await job_rows.expired(conn, site, table=TABLE)


async def forget(conn: Connection, site: str, export: str) -> None:
    """Remove the row of an expired export, whose file is gone, and its job where that failed."""
    async with conn.transaction():
        if await job_rows.forget(conn, site, export, table=TABLE):
            await jobs.withdraw(conn, site, KIND, key=key_of(export))


async def audit(conn: Connection, site: str, export: Export, *, who: str, what: str, via: str = "") -> None:
    """A line of the audit trail about an export: who, what, and how many samples."""
    chosen = ", ".join(export.selectors) or "**"
    span = " to ".join(_iso(each) for each in (export.start, export.end))
    detail: dict[str, Any] = {
        "count": export.rows,
        "detail": f"{export.rows} samples of {export.tags} tags: {chosen[:500]} from {span}, {export.format}",
        "sha256": export.sha256,
        "of": export.who,
    }
    await write_audit(conn, site, who=who, what=what, subject=export.id, detail=detail | ({"via": via} if via else {}))


def _iso(time_us: int) -> str:
    moment = datetime(1970, 1, 1) + timedelta(microseconds=time_us)
    return moment.isoformat() + "Z"


def _export(row: Any) -> Export:
    found = dict(row)
    times = {name: found.pop(name) for name in ("start", "end", "created", "begun", "ended", "expires")}
    said: dict[str, Any] = {name: None if value is None else microseconds(value) for name, value in times.items()}
    size = found.pop("bytes")
    return Export(**found, size=size, **said)
