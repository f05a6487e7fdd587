"""The tables `device_walk` and `device_walk_piece`: discoveries that the worker does, and what they found so far.

The pieces are lines of a walk's journal, up to a beat: the next worker continues there. Each try has a token, as an export has.

See docs/decisions/0099.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from nexus_cli.database import job_rows, jobs
from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds, write_audit
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.nul import storable
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.control_discoveries import DeviceDiscovery

KIND, TABLE = "discover", "device_walk"
DONE = "done"
KEEP_DAYS = 30
MOST_LISTED = 200
MOST_BYTES = 64 << 20
"""Of the pieces of one walk, compressed: some 2,000,000 values."""
LONGEST_REASON = 500
_SHOWN = (
    "id, who, device, gateway, protocol, wanted::text AS wanted, state, created, begun, ended, expires, found, skipped,"
    " waiting, reason"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWalk:
    """What is asked for; without anything of the device's connection."""

    id: str
    who: str
    device: str
    gateway: str
    protocol: str
    wanted: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunWalk:
    """A walk that a try has, and how many pieces were stored before."""

    who: str
    device: str
    gateway: str
    protocol: str
    wanted: Mapping[str, Any]
    pieces: int


def key_of(walk: str) -> str:
    """The key of its job."""
    return f"{KIND} {walk}"


async def add_walk(conn: Connection, site: str, new: NewWalk) -> DeviceDiscovery:
    """Note a discovery and put its job in, in one transaction.

    Raises:
        NexusError: NX6612, one of this device waits or runs.
    """
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{site} discover {new.device}")
        other = await conn.fetchval(
            f"SELECT id FROM {SCHEMA}.device_walk WHERE site = $1 AND state IN ('waiting', 'running') AND device = $2",
            *(site, new.device),
        )
        if other is not None:
            raise NexusError(
                f"The discovery {other} of '{new.device}' waits or runs.",
                code="NX6612",
                hint=f"nexus discoveries show {other}",
            )
        row = await conn.fetchrow(
            f"""INSERT INTO {SCHEMA}.device_walk (site, id, who, device, gateway, protocol, wanted, state)
                VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, 'waiting') RETURNING {_SHOWN}""",
            *(
                site,
                new.id,
                new.who,
                new.device,
                new.gateway,
                new.protocol,
                storable(orjson.dumps(new.wanted).decode()),
            ),
        )
        await jobs.enqueue(conn, site, KIND, {"discovery": new.id}, priority=jobs.LATER, key=key_of(new.id))
    return _walk(row)


async def list_walks(conn: Connection, site: str, *, limit: int = 50) -> list[DeviceDiscovery]:
    """The newest first."""
    rows = await conn.fetch(
        f"SELECT {_SHOWN} FROM {SCHEMA}.device_walk WHERE site = $1 AND state <> 'removed' ORDER BY id DESC LIMIT $2",
        *(site, max(1, min(limit, MOST_LISTED))),
    )
    return [_walk(row) for row in rows]


async def find_walk(conn: Connection, site: str, walk: str) -> DeviceDiscovery | None:
    """One discovery; None when there is none of this id."""
    row = await conn.fetchrow(
        f"SELECT {_SHOWN} FROM {SCHEMA}.device_walk WHERE site = $1 AND id = $2 AND state <> 'removed'", site, walk
    )
    return None if row is None else _walk(row)


async def piece_of(conn: Connection, site: str, walk: str, number: int) -> bytes | None:
    """The lines of one piece, from 1; None when there is none of this number."""
    data = await conn.fetchval(
        f"SELECT lines FROM {SCHEMA}.device_walk_piece WHERE site = $1 AND walk = $2 AND number = $3",
        *(site, walk, number),
    )
    return None if data is None else zlib.decompress(data)


async def begin(conn: Connection, site: str, walk: str, *, token: str) -> BegunWalk | None:
    """Give a discovery to this try; None when it is done, or there is none any more."""
    row = await conn.fetchrow(
        f"""UPDATE {SCHEMA}.device_walk SET state = 'running', token = $3, begun = now(), ended = NULL, expires = NULL
            WHERE site = $1 AND id = $2 AND state IN ('waiting', 'running', 'failed')
            RETURNING who, device, gateway, protocol, wanted::text AS wanted, pieces""",
        *(site, walk, token),
    )
    if row is None:
        return None
    return BegunWalk(**{**dict(row), "wanted": orjson.loads(row["wanted"])})


async def start_again(conn: Connection, site: str, walk: str, *, token: str) -> None:
    """Forget what earlier tries found, of a protocol that can't continue there."""
    async with conn.transaction():
        mine = await conn.fetchval(
            f"""UPDATE {SCHEMA}.device_walk SET pieces = 0, bytes = 0, found = 0, skipped = 0, waiting = 0
                WHERE site = $1 AND id = $2 AND token = $3 AND state = 'running' RETURNING id""",
            *(site, walk, token),
        )
        if mine is not None:
            await conn.execute(f"DELETE FROM {SCHEMA}.device_walk_piece WHERE site = $1 AND walk = $2", site, walk)


async def save(
    conn: Connection, site: str, walk: str, *, token: str, lines: bytes, found: int, skipped: int, waiting: int
) -> bool:
    """Store what was found since the last time. False when a later try has the walk, or it was removed.

    Raises:
        NexusError: NX6613, it is more than `MOST_BYTES`.
    """
    data = zlib.compress(lines, 6) if lines else b""
    async with conn.transaction():
        row = await conn.fetchrow(
            f"""UPDATE {SCHEMA}.device_walk SET found = $4, skipped = $5, waiting = $6, bytes = bytes + $7,
                  pieces = pieces + CASE WHEN $7 > 0 THEN 1 ELSE 0 END
                WHERE site = $1 AND id = $2 AND token = $3 AND state = 'running' RETURNING pieces, bytes""",
            *(site, walk, token, found, skipped, waiting, len(data)),
        )
        if row is None:
            return False
        if row["bytes"] > MOST_BYTES:
            raise NexusError(
                f"The device offers more than {MOST_BYTES >> 20} MiB of tags.",
                code="NX6613",
                hint="--include, --start or --depth take a part of it",
            )
        if data:
            await conn.execute(
                f"INSERT INTO {SCHEMA}.device_walk_piece (site, walk, number, lines) VALUES ($1, $2, $3, $4)",
                *(site, walk, row["pieces"], data),
            )
    return True


async def settle(conn: Connection, site: str, walk: str, *, token: str, ended: str) -> bool:
    """Say that the walk is done; `ended` says why early. False when a later try has it, or it was removed."""
    async with conn.transaction():
        row = await conn.fetchrow(
            f"""UPDATE {SCHEMA}.device_walk SET state = 'done', reason = $4, ended = now(), expires = now() + $5
                WHERE site = $1 AND id = $2 AND token = $3 AND state = 'running' RETURNING who, device, gateway, found""",
            *(site, walk, token, ended, timedelta(days=KEEP_DAYS)),
        )
        if row is None:
            return False
        detail = {"count": row["found"], "gateway": row["gateway"], "detail": f"{walk}: {row['found']} found"}
        await write_audit(conn, site, who=row["who"], what="discover", subject=row["device"], detail=detail)
    return True


async def fail(conn: Connection, site: str, walk: str, *, token: str, reason: str, last: bool) -> None:
    """Say why this try failed; it waits for the next one, or has failed for good."""
    await conn.execute(
        f"""UPDATE {SCHEMA}.device_walk SET state = CASE WHEN $5 THEN 'failed' ELSE 'waiting' END, reason = $4,
              ended = now(), expires = CASE WHEN $5 THEN now() + $6::interval END
            WHERE site = $1 AND id = $2 AND token = $3 AND state = 'running'""",
        *(site, walk, token, storable(reason[:LONGEST_REASON]), last, timedelta(days=KEEP_DAYS)),
    )


async def remove(conn: Connection, site: str, walk: str) -> None:
    """Remove a discovery: what it found, and its job if it waits; a worker that has it ends."""
    async with conn.transaction():
        await conn.execute(f"DELETE FROM {SCHEMA}.device_walk WHERE site = $1 AND id = $2", site, walk)
        await jobs.withdraw(conn, site, KIND, key=key_of(walk))


async def keep_up(conn: Connection, site: str) -> None:
    """Hold discoveries against their jobs, and remove those whose time is over."""
    await job_rows.compare_with_jobs(conn, site, table=TABLE, kind=KIND, keep_days=KEEP_DAYS)
    for walk in await job_rows.expired(conn, site, table=TABLE):
        async with conn.transaction():
            if await job_rows.forget(conn, site, walk, table=TABLE):
                await jobs.withdraw(conn, site, KIND, key=key_of(walk))


def _walk(row: Any) -> DeviceDiscovery:
    said: dict[str, Any] = dict(row)
    for name in ("created", "begun", "ended", "expires"):
        said[name] = None if said[name] is None else microseconds(said[name])
    return DeviceDiscovery(**{**said, "wanted": orjson.loads(said["wanted"])})
