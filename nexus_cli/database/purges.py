"""The tables `purge` and `purge_series`: removals of forgotten series with their samples, and how far each is.

Samples go in batches, each in a transaction that counts it: a worker that dies in between loses no count, and the next one continues.
A series that was declared again, or is protected (`keep: always`), is left.

See docs/decisions/0108.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from nexus_cli.database import job_rows, jobs
from nexus_cli.database.connect import Connection
from nexus_cli.database.corrections import relations_of_site
from nexus_cli.database.deployments import microseconds, write_audit
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.nul import storable
from nexus_cli.database.timescale import behind_aggregate, decompress_any
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.wording import counted
from nexus_cli.wire.control_purges import MOST_SERIES, ForgottenSeries, Purge, PurgePreview

KIND, TABLE = "purge", "purge"
KEEP_DAYS = 400
"""How long the row of a purge that ended is kept; the audit trail keeps the act."""
MOST_LISTED = 200
LONGEST_REASON = 500
BATCH = timedelta(hours=6)
"""Samples that one transaction removes: those of a series within so long."""
COUNT_MS = 3_000
"""Longest counting of one series, in milliseconds."""
_SHOWN = f"""p.id, p.who, p.why, p.selectors, p.state, p.created, p.begun, p.ended, p.reason,
  (SELECT count(*) FROM {SCHEMA}.purge_series s WHERE s.site = p.site AND s.purge = p.id) AS series,
  (SELECT count(*) FROM {SCHEMA}.purge_series s WHERE s.site = p.site AND s.purge = p.id AND s.state = 'done') AS removed,
  (SELECT count(*) FROM {SCHEMA}.purge_series s WHERE s.site = p.site AND s.purge = p.id AND s.state = 'left') AS left,
  (SELECT coalesce(sum(s.samples), 0)::bigint FROM {SCHEMA}.purge_series s
    WHERE s.site = p.site AND s.purge = p.id) AS samples"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A purge that a try has, and the series that wait: ids by path."""

    who: str
    why: str
    selectors: Sequence[str]
    waiting: dict[str, int]


Takes = Callable[[str], bool]
"""Whether the selectors of a purge take a path."""


async def preview(conn: Connection, site: str, takes: Takes) -> PurgePreview:
    """What a purge would remove, by path. Counting a long series ends after `COUNT_MS`: then its count is not known.

    Raises:
        NexusError: NX4140, nothing forgotten has such a path; NX4141, they are more than `MOST_SERIES`.
    """
    rows = await conn.fetch(
        f"""SELECT s.id, s.path, s.active, s.retention, EXISTS (
              SELECT FROM {SCHEMA}.kept_series k WHERE k.site = s.site AND k.series_id = s.id) AS protected
            FROM {SCHEMA}.series s WHERE s.site = $1 ORDER BY s.path COLLATE "C" """,
        site,
    )
    chosen = [row for row in rows if takes(row["path"])]
    gone = [row for row in chosen if not row["active"]]
    living = [row["path"] for row in chosen if row["active"]]
    if not gone:
        forgotten = len(rows) - sum(row["active"] for row in rows)
        raise NexusError(
            "No forgotten series has such a path.",
            code="NX4140",
            cause=_why_nothing(len(living), forgotten),
            hint="remove the tag from the site file and apply, then purge" if living else "",
        )
    if len(gone) > MOST_SERIES:
        raise NexusError(f"{len(gone):,} series are more than {MOST_SERIES:,}.", code="NX4141")
    relations = await relations_of_site(conn, site)
    days = await _archived_days(conn, site)
    return PurgePreview(series=[await _counted(conn, row, relations, days) for row in gone], living=living)


def _why_nothing(living: int, elsewhere: int) -> str:
    """What is at the paths of a purge that finds nothing forgotten there, and whether anything is forgotten elsewhere."""
    use = "is declared: its series is in use" if living == 1 else "are declared: their series are in use"
    there = f"{counted(living, 'tag')} there {use}" if living else ""
    found = "1 series is" if elsewhere == 1 else f"{elsewhere:,} series are"
    others = f"{found} forgotten at other paths" if elsewhere else "the site has no forgotten series"
    return "; ".join(filter(None, (there, others)))


async def _counted(
    conn: Connection, row: Any, relations: Sequence[tuple[str, str]], days: Sequence[Any]
) -> ForgottenSeries:
    union = " UNION ALL ".join(
        f'SELECT "time" FROM {SCHEMA}."{relation}" WHERE series_id = $1' for _, relation in relations
    )
    count = first = last = None
    try:
        async with conn.transaction():
            await conn.execute(f"SET LOCAL statement_timeout = {COUNT_MS}")
            found = await conn.fetchrow(
                f'SELECT count(*) AS n, min("time") AS a, max("time") AS z FROM ({union}) t', row["id"]
            )
        count, first, last = found["n"], found["a"], found["z"]
    except asyncpg.QueryCanceledError:
        pass
    held = [each for each in days if each["class"] == row["retention"] and (last is None or each["day"] <= last.date())]
    return ForgottenSeries(
        path=row["path"],
        samples=count,
        first=None if first is None else microseconds(first),
        last=None if last is None else microseconds(last),
        archived_days=len(held),
        protected=row["protected"],
    )


async def _archived_days(conn: Connection, site: str) -> list[Any]:
    found: list[Any] = await conn.fetch(
        f"SELECT class, day FROM {SCHEMA}.archive_day WHERE site = $1 AND manifest <> '{{}}'", site
    )
    return found


async def add_purge(
    conn: Connection,
    site: str,
    purge: str,
    *,
    who: str,
    why: str,
    selectors: Sequence[str],
    takes: Takes,
    paths: Sequence[str],
) -> Purge:
    """Note a purge and put its job in, in one transaction. Protected series among the paths are left from the start.

    Raises:
        NexusError: NX4142, what the selectors take is not what was shown; NX4143, one waits or runs.
    """
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{site} purge")
        other = await conn.fetchval(
            f"SELECT id FROM {SCHEMA}.purge WHERE site = $1 AND state IN ('waiting', 'running')", site
        )
        if other is not None:
            raise NexusError(f"Purge {other} waits or runs.", code="NX4143", hint=f"nexus purge show {other}")
        rows = await conn.fetch(
            f"""SELECT id, path FROM {SCHEMA}.series s WHERE s.site = $1 AND NOT s.active
                AND NOT EXISTS (SELECT FROM {SCHEMA}.kept_series k WHERE k.site = s.site AND k.series_id = s.id)""",
            site,
        )
        chosen = {row["path"]: row["id"] for row in rows if takes(row["path"])}
        if set(chosen) != set(paths):
            raise NexusError("What would be removed is not what was shown.", code="NX4142")
        await conn.execute(
            f"""INSERT INTO {SCHEMA}.purge (site, id, who, why, selectors, state)
                VALUES ($1, $2, $3, $4, $5::text[], 'waiting')""",
            *(site, purge, who, storable(why), [storable(each) for each in selectors]),
        )
        await conn.executemany(
            f"INSERT INTO {SCHEMA}.purge_series (site, purge, series_id, path) VALUES ($1, $2, $3, $4)",
            [(site, purge, id_, path) for path, id_ in chosen.items()],
        )
        detail = {"purge": purge, "count": len(chosen), "selectors": list(selectors), "reason": why}
        await write_audit(conn, site, who=who, what="purge", subject=selectors[0], detail=detail)
        await jobs.enqueue(conn, site, KIND, {"purge": purge}, priority=jobs.LATER, key=f"{KIND} {purge}")
    found = await find_purge(conn, site, purge)
    assert found is not None, "it was just written"
    return found


async def list_purges(conn: Connection, site: str, *, limit: int = 50) -> list[Purge]:
    """The newest first."""
    rows = await conn.fetch(
        f"SELECT {_SHOWN} FROM {SCHEMA}.purge p WHERE p.site = $1 ORDER BY p.id DESC LIMIT $2",
        *(site, max(1, min(limit, MOST_LISTED))),
    )
    return [_purge(row) for row in rows]


async def find_purge(conn: Connection, site: str, purge: str) -> Purge | None:
    """One purge; None when there is none of this id."""
    row = await conn.fetchrow(f"SELECT {_SHOWN} FROM {SCHEMA}.purge p WHERE p.site = $1 AND p.id = $2", site, purge)
    return None if row is None else _purge(row)


async def begin(conn: Connection, site: str, purge: str, *, token: str) -> Begun | None:
    """Give a purge to this try; None when it is done, or there is none any more."""
    row = await conn.fetchrow(
        f"""UPDATE {SCHEMA}.purge SET state = 'running', token = $3, begun = now(), ended = NULL, expires = NULL
            WHERE site = $1 AND id = $2 AND state IN ('waiting', 'running', 'failed') RETURNING who, why, selectors""",
        *(site, purge, token),
    )
    if row is None:
        return None
    waiting = await conn.fetch(
        f"""SELECT path, series_id FROM {SCHEMA}.purge_series
            WHERE site = $1 AND purge = $2 AND state = 'waiting' ORDER BY path COLLATE "C" """,
        *(site, purge),
    )
    return Begun(
        who=row["who"],
        why=row["why"],
        selectors=row["selectors"],
        waiting={each["path"]: each["series_id"] for each in waiting},
    )


async def remove_some(
    conn: Connection, site: str, purge: str, series_id: int, *, token: str, relations: Sequence[tuple[str, str]]
) -> bool | None:
    """Remove the oldest samples of a series in one transaction, and the series itself when none is left.

    Returns:
        True when the series is dealt with, False when there is more to do, None when another try has the purge.
    """
    async with conn.transaction():
        if not await _has(conn, site, purge, token=token):
            return None
        series = await conn.fetchrow(
            f"SELECT active, path, retention FROM {SCHEMA}.series WHERE site = $1 AND id = $2 FOR UPDATE",
            site,
            series_id,
        )
        protected = await conn.fetchval(
            f"SELECT EXISTS (SELECT FROM {SCHEMA}.kept_series WHERE site = $1 AND series_id = $2)", site, series_id
        )
        if series is None or series["active"] or protected:
            why = "it is gone" if series is None else "it is protected" if protected else "it was declared again"
            await _settle_series(conn, site, purge, series_id, state="left", reason=why)
            return True
        await decompress_any(conn)
        for _, relation in relations:
            oldest: datetime | None = await conn.fetchval(
                f'SELECT min("time") FROM {SCHEMA}."{relation}" WHERE series_id = $1', series_id
            )
            if oldest is None:
                continue
            gone: str = await conn.execute(
                f'DELETE FROM {SCHEMA}."{relation}" WHERE series_id = $1 AND "time" >= $2 AND "time" < $3',
                *(series_id, oldest, oldest + BATCH),
            )
            await conn.execute(
                f"""UPDATE {SCHEMA}.purge_series SET samples = samples + $4
                    WHERE site = $1 AND purge = $2 AND series_id = $3""",
                *(site, purge, series_id, int(gone.split()[-1])),
            )
            return False
        await _remove_series(conn, site, series_id)
        await _settle_series(conn, site, purge, series_id, state="done", reason="")
    return True


async def _has(conn: Connection, site: str, purge: str, *, token: str) -> bool:
    return bool(
        await conn.fetchval(
            f"""SELECT EXISTS (SELECT FROM {SCHEMA}.purge
                WHERE site = $1 AND id = $2 AND token = $3 AND state = 'running' FOR SHARE)""",
            *(site, purge, token),
        )
    )


async def _remove_series(conn: Connection, site: str, series_id: int) -> None:
    """Its rollups, and the series: its name may be taken by a new one."""
    rows = await conn.fetch(
        f"""SELECT r.relation, r.continuous FROM {SCHEMA}.rollup r
            JOIN {SCHEMA}.retention_class c ON c.table_name = r.table_name WHERE c.site = $1""",
        site,
    )
    for row in rows:
        relation: str | None = f'{SCHEMA}."{row["relation"]}"'
        if row["continuous"]:
            relation = await behind_aggregate(conn, row["relation"])
        if relation is not None:
            await conn.execute(f"DELETE FROM {relation} WHERE series_id = $1", series_id)
    await conn.execute(f"DELETE FROM {SCHEMA}.series WHERE site = $1 AND id = $2", site, series_id)


async def _settle_series(conn: Connection, site: str, purge: str, series_id: int, *, state: str, reason: str) -> None:
    await conn.execute(
        f"""UPDATE {SCHEMA}.purge_series SET state = $4, reason = $5
            WHERE site = $1 AND purge = $2 AND series_id = $3""",
        *(site, purge, series_id, state, reason),
    )


async def settle(conn: Connection, site: str, purge: str, *, token: str) -> bool:
    """Say that it is done, and how much was removed. False when another try has it."""
    async with conn.transaction():
        row = await conn.fetchrow(
            f"""UPDATE {SCHEMA}.purge SET state = 'done', reason = '', ended = now(), expires = now() + $4
                WHERE site = $1 AND id = $2 AND token = $3 AND state = 'running' RETURNING who""",
            *(site, purge, token, timedelta(days=KEEP_DAYS)),
        )
        if row is None:
            return False
        found = await find_purge(conn, site, purge)
        assert found is not None, "its row was just written"
        detail = {
            "purge": purge,
            "count": found.samples,
            "detail": f"{found.removed} of {found.series} series and {found.samples} samples removed",
        }
        await write_audit(conn, site, who=row["who"], what="purged", subject=found.selectors[0], detail=detail)
    return True


async def fail(conn: Connection, site: str, purge: str, *, token: str, reason: str, last: bool) -> None:
    """Say why this try failed; it waits for the next one, or has failed for good."""
    await conn.execute(
        f"""UPDATE {SCHEMA}.purge SET state = CASE WHEN $5 THEN 'failed' ELSE 'waiting' END, reason = $4,
              ended = now(), expires = CASE WHEN $5 THEN now() + $6::interval END
            WHERE site = $1 AND id = $2 AND token = $3 AND state = 'running'""",
        *(site, purge, token, storable(reason[:LONGEST_REASON]), last, timedelta(days=KEEP_DAYS)),
    )


async def keep_up(conn: Connection, site: str) -> None:
    """Hold purges against their jobs, and remove rows whose time is over."""
    await job_rows.compare_with_jobs(conn, site, table=TABLE, kind=KIND, keep_days=KEEP_DAYS)
    for purge in await job_rows.expired(conn, site, table=TABLE):
        async with conn.transaction():
            if await job_rows.forget(conn, site, purge, table=TABLE):
                await jobs.withdraw(conn, site, KIND, key=f"{KIND} {purge}")


def _purge(row: Any) -> Purge:
    said: dict[str, Any] = dict(row)
    for name in ("created", "begun", "ended"):
        said[name] = None if said[name] is None else microseconds(said[name])
    return Purge(**{**said, "selectors": list(said["selectors"])})
