"""What is on record beside the samples, for people: commands, dead letters, and how large the database is. Newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA
from nexus_cli.model.calendar import microseconds, moment_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCommand:
    """How a command ended; `time_us` is when, µs since 1970 UTC; `via` sent it for `principal`, "" for itself."""

    id: str
    path: str
    principal: str
    via: str
    value: Any
    state: str
    detail: dict[str, Any]
    time_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLetter:
    """Messages of one topic that could not be stored for one reason.

    Attributes:
        id: Of the row.
        topic: Of the messages.
        reason, detail: One word, and what is wrong.
        payload: Of the first.
        count: How many there were.
        time_us: When the first came, µs since 1970 UTC.
        tries: Retries that did not store it.
        waiting: Given back to the historian, which has not looked at it yet.
    """

    id: int
    topic: str
    reason: str
    detail: str
    payload: str
    count: int
    time_us: int
    tries: int = 0
    waiting: bool = False


async def commands_before(
    conn: Connection, *, site: str, path: str, before_us: int | None, limit: int, skip: int = 0
) -> list[StoredCommand]:
    """Commands of a site.

    Args:
        conn: An open connection.
        site: `enterprise/site`.
        path: Of a tag, or of what is above tags; "" is all.
        before_us: Only older ones, µs since 1970 UTC.
        limit: At most so many.
        skip: So many of them are left out first.
    """
    rows = await conn.fetch(
        f"""SELECT id, path, principal, asked_by, value, state, detail, at FROM {SCHEMA}.command
            WHERE site = $1 AND ($2 = '' OR path = $2 OR starts_with(path, $2 || '/'))
              AND ($3::timestamptz IS NULL OR at < $3)
            ORDER BY at DESC, principal, id, path LIMIT $4 OFFSET $5""",
        *(site, path, None if before_us is None else moment_of(before_us), limit, skip),
    )
    return [
        StoredCommand(
            id=row["id"],
            path=row["path"],
            principal=row["asked_by"] or row["principal"],
            via=row["principal"] if row["asked_by"] else "",
            value=orjson.loads(row["value"]),
            state=row["state"],
            detail=orjson.loads(row["detail"]),
            time_us=microseconds(row["at"]),
        )
        for row in rows
    ]


async def dead_letters_before(
    conn: Connection,
    *,
    site: str,
    limit: int,
    before: int | None = None,
    reason: str = "",
    topic: str = "",
    since_us: int | None = None,
) -> list[StoredLetter]:
    """Dead letters of a site.

    Args:
        conn: An open connection.
        site: `enterprise/site`.
        limit: At most so many.
        before: Only those whose `id` is lower.
        reason: Only of this reason.
        topic: Only of this topic, or of topics below it.
        since_us: Only since then, µs since 1970 UTC.
    """
    rows = await conn.fetch(
        f"""SELECT id, topic, reason, detail, payload, count, at, tries, asked IS NOT NULL AS waiting FROM {SCHEMA}.dead_letter
            WHERE site = $1 AND ($2::bigint IS NULL OR id < $2) AND ($3 = '' OR reason = $3)
              AND ($4 = '' OR topic = $4 OR starts_with(topic, $4 || '/')) AND ($5::timestamptz IS NULL OR at >= $5)
            ORDER BY id DESC LIMIT $6""",
        *(site, before, reason, topic, None if since_us is None else moment_of(since_us), limit),
    )
    return [
        StoredLetter(**{key: row[key] for key in row.keys() if key != "at"}, time_us=microseconds(row["at"]))  # noqa: SIM118
        for row in rows
    ]


async def database_bytes(conn: Connection) -> int:
    """Size of the database on its disk."""
    return int(await conn.fetchval("SELECT pg_database_size(current_database())"))
