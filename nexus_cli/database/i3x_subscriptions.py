"""Subscriptions of i3X clients: they outlive the process that serves them.

One web at a time has a subscription: who takes it raises `generation`, and what another one saves after that is refused. A
row has, for each tag, the time of the newest value that is in a stored batch or acknowledged: later values are read from the
history by the next one.

See docs/decisions/0078.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.nul import storable

_NONE: Mapping[str, int] = {}
_ALIVE = "touched > now() - $2::float8 * interval '1 second'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whose subscription: another principal or another client id does not find it."""

    site: str
    principal: str
    client: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One subscription as it is stored.

    Attributes:
        id: Its id.
        name: For people.
        generation: Rises each time that a web takes it.
        monitored: `maxDepth` by elementId, in the order of the registration.
        revision: Rises with every change of `monitored`.
        seen: Time (µs) of the newest value in a stored batch, by the path of the tag.
        next_sequence, acknowledged, sent: Of its queue.
        loss: `[first, last, since_us, until_us]` of what was dropped and is not acknowledged; empty for none.
        batches: `(number, updates)`; an update is `[element, path, value, quality, time_us]`.
    """

    id: str
    name: str
    generation: int
    monitored: dict[str, int] = field(default_factory=dict)
    revision: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    next_sequence: int = 1
    acknowledged: int = 0
    sent: int = 0
    loss: tuple[int, ...] = ()
    batches: list[tuple[int, list[Any]]] = field(default_factory=list)


async def create(
    conn: Connection, identity: Identity, *, id: str, name: str, owner: str, ttl_s: float, most: int
) -> bool:
    """Make one; False when the principal has `most` already."""
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"i3x {identity.site} {identity.principal}")
        count = await conn.fetchval(
            f"SELECT count(*) FROM {SCHEMA}.i3x_subscription WHERE site = $1 AND principal = $3 AND {_ALIVE}",
            *(identity.site, ttl_s, identity.principal),
        )
        if count >= most:
            return False
        await conn.execute(
            f"""INSERT INTO {SCHEMA}.i3x_subscription (site, id, principal, client_id, name, owner, generation)
                VALUES ($1, $2, $3, $4, $5, $6, 1)""",
            *(identity.site, id, identity.principal, identity.client, name, owner),
        )
    return True


async def listed(
    conn: Connection, identity: Identity, ids: Sequence[str], *, ttl_s: float
) -> dict[str, tuple[str, dict[str, int]]]:
    """Name and monitored objects of those of the ids that are this client's and have not ended."""
    rows = await conn.fetch(
        f"""SELECT id, name, monitored FROM {SCHEMA}.i3x_subscription
            WHERE site = $1 AND {_ALIVE} AND principal = $3 AND client_id = $4 AND id = ANY($5::text[])""",
        *(identity.site, ttl_s, identity.principal, identity.client, list(ids)),
    )
    return {row["id"]: (row["name"], _depths(row["monitored"])) for row in rows}


async def take(
    conn: Connection, identity: Identity, *, id: str, owner: str, ttl_s: float, from_stream: bool
) -> tuple[Stored | None, bool]:
    """Take a subscription over.

    Args:
        conn: An open connection.
        identity: Whose it is.
        id: Which.
        owner: The web that takes it.
        ttl_s: How long it lives without a sync or a stream.
        from_stream: Also from another web that has an open stream on it.

    Returns:
        What is stored, None when this client has none with the id or it was not taken; and whether another web has an open
        stream on it.
    """
    async with conn.transaction():
        row = await conn.fetchrow(
            f"""SELECT *, coalesce(streaming > now() AND owner <> $6, false) AS streamed
                FROM {SCHEMA}.i3x_subscription
                WHERE site = $1 AND {_ALIVE} AND principal = $3 AND client_id = $4 AND id = $5 FOR UPDATE""",
            *(identity.site, ttl_s, identity.principal, identity.client, id, owner),
        )
        if row is None or (row["streamed"] and not from_stream):
            return None, row is not None
        await conn.execute(
            f"""UPDATE {SCHEMA}.i3x_subscription SET owner = $3, generation = generation + 1, streaming = NULL
                WHERE site = $1 AND id = $2""",
            *(identity.site, id, owner),
        )
        batches = await conn.fetch(
            f"SELECT sequence, updates FROM {SCHEMA}.i3x_batch WHERE site = $1 AND subscription = $2 ORDER BY sequence",
            *(identity.site, id),
        )
    stored = Stored(
        id=id,
        name=row["name"],
        generation=row["generation"] + 1,
        monitored=_depths(row["monitored"]),
        revision=row["revision"],
        seen=dict(zip(row["tags"], _times(row["seen"]), strict=True)),
        next_sequence=int(row["next_sequence"]),
        acknowledged=int(row["acknowledged"]),
        sent=int(row["sent"]),
        loss=tuple(int(each) for each in row["loss"]),
        batches=[(int(each["sequence"]), orjson.loads(each["updates"])) for each in batches],
    )
    return stored, row["streamed"]


async def register(
    conn: Connection,
    identity: Identity,
    *,
    id: str,
    ttl_s: float,
    add: Mapping[str, int] = _NONE,
    drop: Sequence[str] = (),
) -> tuple[dict[str, int], int] | None:
    """Change what a subscription monitors.

    Args:
        conn: An open connection.
        identity: Whose it is.
        id: Which.
        ttl_s: How long it lives without a sync or a stream.
        add: `maxDepth` by elementId; of what is monitored already the depth stays.
        drop: elementIds.

    Returns:
        `monitored` and its revision afterwards; None when this client has none with the id.
    """
    async with conn.transaction():
        row = await conn.fetchrow(
            f"""SELECT monitored, revision FROM {SCHEMA}.i3x_subscription
                WHERE site = $1 AND {_ALIVE} AND principal = $3 AND client_id = $4 AND id = $5 FOR UPDATE""",
            *(identity.site, ttl_s, identity.principal, identity.client, id),
        )
        if row is None:
            return None
        old = _depths(row["monitored"])
        new = {element: depth for element, depth in {**add, **old}.items() if element not in set(drop)}
        if new == old:
            return old, row["revision"]
        await conn.execute(
            f"""UPDATE {SCHEMA}.i3x_subscription SET monitored = $3::text::jsonb, revision = revision + 1
                WHERE site = $1 AND id = $2""",
            *(identity.site, id, storable(orjson.dumps(list(new.items())).decode())),
        )
    return new, row["revision"] + 1


async def save(
    conn: Connection, site: str, state: Stored, *, ttl_s: float, touch: bool, streaming_s: float, with_tags: bool
) -> bool:
    """Save what waits, batches that are new among it; False when another web has it, or it has ended.

    Args:
        conn: An open connection.
        site: `enterprise/site`.
        state: Its `batches` are the new ones alone.
        ttl_s: How long it lives without a sync or a stream.
        touch: Whether this is one.
        streaming_s: For how long an open stream is noted; 0 notes that there is none.
        with_tags: Whether `seen` has other tags than at the last time.
    """
    async with conn.transaction():
        done = await conn.execute(
            f"""UPDATE {SCHEMA}.i3x_subscription SET next_sequence = $5, acknowledged = $6, sent = $7, loss = $8::bigint[],
                  tags = coalesce($9::text[], tags), seen = $10,
                  touched = CASE WHEN $11 THEN now() ELSE touched END,
                  streaming = CASE WHEN $12::float8 > 0 THEN now() + $12 * interval '1 second' END
                WHERE site = $1 AND {_ALIVE} AND id = $3 AND generation = $4""",
            *(site, ttl_s, state.id, state.generation),
            *(state.next_sequence, state.acknowledged, state.sent, list(state.loss)),
            *(list(state.seen) if with_tags else None, _packed(state.seen.values())),
            *(touch, streaming_s),
        )
        if done != "UPDATE 1":
            return False
        await conn.execute(
            f"DELETE FROM {SCHEMA}.i3x_batch WHERE site = $1 AND subscription = $2 AND sequence <= $3",
            *(site, state.id, max(state.acknowledged, state.loss[1] if state.loss else 0)),
        )
        await conn.executemany(
            f"INSERT INTO {SCHEMA}.i3x_batch (site, subscription, sequence, updates) VALUES ($1, $2, $3, $4::text::jsonb)",
            [(site, state.id, number, _text(updates)) for number, updates in state.batches],
        )
    return True


async def remove(conn: Connection, identity: Identity, ids: Sequence[str], *, ttl_s: float) -> set[str]:
    """Delete those of the ids that are this client's; which they were."""
    rows = await conn.fetch(
        f"""DELETE FROM {SCHEMA}.i3x_subscription
            WHERE site = $1 AND {_ALIVE} AND principal = $3 AND client_id = $4 AND id = ANY($5::text[]) RETURNING id""",
        *(identity.site, ttl_s, identity.principal, identity.client, list(ids)),
    )
    return {row["id"] for row in rows}


async def held(conn: Connection, site: str, generations: Mapping[str, int], *, ttl_s: float) -> dict[str, int]:
    """Those of the subscriptions that still have this generation, with their revision."""
    rows = await conn.fetch(
        f"""SELECT s.id, s.revision FROM {SCHEMA}.i3x_subscription s
            JOIN unnest($3::text[], $4::bigint[]) AS ours(id, generation) USING (id, generation)
            WHERE s.site = $1 AND {_ALIVE}""",
        *(site, ttl_s, list(generations), list(generations.values())),
    )
    return {row["id"]: row["revision"] for row in rows}


async def expire(conn: Connection, site: str, *, ttl_s: float) -> int:
    """Delete those without a sync or a stream since; how many."""
    done: str = await conn.execute(
        f"DELETE FROM {SCHEMA}.i3x_subscription WHERE site = $1 AND NOT ({_ALIVE})", site, ttl_s
    )
    return int(done.split()[-1])


def _text(updates: list[Any]) -> str:
    """JSON for a column of JSONB, which takes no NUL."""
    return storable(orjson.dumps(updates).decode(), instead="")


def _depths(stored: str) -> dict[str, int]:
    return {element: int(depth) for element, depth in orjson.loads(stored)}


def _packed(times: Any) -> bytes:
    return b"".join(int(each).to_bytes(8, "little", signed=True) for each in times)


def _times(packed: bytes) -> list[int]:
    return [int.from_bytes(packed[at : at + 8], "little", signed=True) for at in range(0, len(packed), 8)]
