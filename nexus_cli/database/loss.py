"""Records of samples that were not stored: dead letters and gaps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from nexus_cli.database.connect import Connection
from nexus_cli.database.letter_retries import write_choice_audit
from nexus_cli.database.names import SCHEMA

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_US = 253_402_300_799_000_000
"""The last second of the year 9999: what a datetime can hold."""


def moment(time_us: int) -> datetime:
    """µs since 1970 UTC as a datetime; what lies outside the years 1970 to 9999 is drawn to their ends."""
    return _EPOCH + timedelta(microseconds=min(max(time_us, 0), _LATEST_US))


async def add_dead_letter(
    conn: Connection, *, site: str, topic: str, reason: str, detail: str, payload: str, count: int
) -> int:
    """Record a dead letter; gives its id."""
    number: int = await conn.fetchval(
        f"INSERT INTO {SCHEMA}.dead_letter (site, topic, reason, detail, payload, count)"
        " VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        *(site, topic, reason, detail, payload, min(count, 2**31 - 1)),
    )
    return number


async def raise_dead_letter(conn: Connection, *, number: int, topic: str, reason: str, count: int) -> bool:
    """Count more of a letter that is on record; False when its row is gone, or was retried since."""
    done: str = await conn.execute(
        f"""UPDATE {SCHEMA}.dead_letter SET count = least(count::bigint + $2::bigint, 2147483647)
            WHERE id = $1 AND topic = $3 AND reason = $4 AND tries = 0""",
        *(number, count, topic, reason),
    )
    return done == "UPDATE 1"


async def add_gap(
    conn: Connection,
    *,
    site: str,
    gateway: str,
    start_us: int,
    end_us: int | None,
    reason: str,
    device: str = "",
    frames: int = 0,
    epoch: str = "",
    seq: int = 0,
) -> int:
    """Record a gap; times in µs since 1970 UTC, `end_us` None while it lasts. Gives the id of its row.

    One that overlaps or continues the last one of the same device and reason is joined with it. It continues it when it
    begins in the next microsecond at most: then no row can lie between the two.
    """
    if end_us is not None and end_us < start_us:
        start_us, end_us = end_us, start_us
    count = min(max(frames, 0), 2**62)
    if end_us is not None:
        joined: int | None = await conn.fetchval(
            f"""UPDATE {SCHEMA}.gap SET start = least(start, $5), "end" = greatest("end", $6),
                  frames = least(frames::numeric + $7, {2**62})::bigint
                WHERE id = (SELECT id FROM {SCHEMA}.gap WHERE site = $1 AND gateway = $2 AND device = $3 AND reason = $4
                              AND start <= $6::timestamptz + interval '1 microsecond'
                              AND "end" >= $5::timestamptz - interval '1 microsecond'
                            ORDER BY start DESC LIMIT 1) RETURNING id""",
            *(site, gateway, device, reason, moment(start_us), moment(end_us), count),
        )
        if joined is not None:
            return joined
    number: int = await conn.fetchval(
        f'INSERT INTO {SCHEMA}.gap (site, gateway, device, start, "end", frames, reason, epoch, seq)'
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
        *(site, gateway, device, moment(start_us), None if end_us is None else moment(end_us)),
        *(count, reason, epoch, seq),
    )
    return number


async def last_rows_within(conn: Connection, *, site: str, spans: Sequence[tuple[str, int, int]]) -> dict[int, int]:
    """The time of the last stored row of a device within each span, µs since 1970 UTC, by the span's place in the list.

    Args:
        conn: A connection; rows of its open transaction count.
        site: `enterprise/site`.
        spans: Device, first and last moment in µs since 1970 UTC, both included.

    Returns:
        Spans without a row are left out.
    """
    if not spans:
        return {}
    starts, ends = [moment(start) for _, start, _ in spans], [moment(end) for _, _, end in spans]
    rows = await conn.fetch(
        f"""SELECT w.place::int AS place, max(x.at) AS at
            FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[]) WITH ORDINALITY AS w(device, since, until, place)
            JOIN {SCHEMA}.series r ON r.site = $1 AND NOT r.external AND substring(r.path from '^(.*)/[^/]*$') = w.device
            CROSS JOIN LATERAL (SELECT max("time") AS at FROM {SCHEMA}.sample s WHERE s.series_id = r.id
              AND s."time" BETWEEN w.since AND w.until AND s."time" BETWEEN $5 AND $6) x
            WHERE x.at IS NOT NULL GROUP BY w.place""",
        *(site, [device for device, _, _ in spans], starts, ends, min(starts), max(ends)),
    )
    return {row["place"] - 1: _microseconds(row["at"]) for row in rows}


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


async def prolong_gap(conn: Connection, *, number: int, end_us: int, frames: int) -> bool:
    """Let a gap on record end later and count more frames; False when its row is gone."""
    done: str = await conn.execute(
        f'UPDATE {SCHEMA}.gap SET "end" = greatest("end", $2), frames = frames + $3 WHERE id = $1',
        *(number, moment(end_us), frames),
    )
    return done == "UPDATE 1"


async def is_covered(conn: Connection, *, site: str, gateway: str, device: str, start_us: int, end_us: int) -> bool:
    """True when a gap on record covers this one: the same, or one that it was joined with."""
    found: bool = await conn.fetchval(
        f"""SELECT EXISTS (SELECT FROM {SCHEMA}.gap WHERE site = $1 AND gateway = $2 AND device = $3
              AND start <= $4 AND coalesce("end", 'infinity') >= $5)""",
        *(site, gateway, device, moment(start_us), moment(end_us)),
    )
    return found


async def is_numbered(conn: Connection, *, site: str, gateway: str, epoch: str, seq: int) -> bool:
    """True when a gap under this number is on record."""
    found: bool = await conn.fetchval(
        f"SELECT EXISTS (SELECT FROM {SCHEMA}.gap WHERE site = $1 AND gateway = $2 AND epoch = $3 AND seq = $4)",
        *(site, gateway, epoch, seq),
    )
    return found


async def discard_dead_letters(
    conn: Connection, site: str, *, ids: Sequence[int], topic: str, reason: str, all_: bool, who: str
) -> list[int]:
    """Remove dead letters; each topic and reason leaves a line in the audit trail.

    Args:
        conn: Where to; a transaction is opened.
        site: `enterprise/site`.
        ids: Of these numbers; without any, all that fit the rest.
        topic: Only of this topic, or below it; "" of any.
        reason: Only of this reason; "" of any.
        all_: Must be set when nothing else says which.
        who: Who asked.

    Returns:
        The numbers that went, ascending.
    """
    if not (ids or topic or reason or all_):
        return []
    async with conn.transaction():
        rows = await conn.fetch(
            f"""DELETE FROM {SCHEMA}.dead_letter WHERE site = $1 AND (cardinality($2::bigint[]) = 0 OR id = ANY($2))
                AND ($3 = '' OR topic = $3 OR starts_with(topic, $3 || '/')) AND ($4 = '' OR reason = $4)
                RETURNING id, topic, reason""",
            *(site, list(ids), topic.strip("/"), reason),
        )
        return await write_choice_audit(conn, site, rows, who=who, what="discard-dead-letter")
