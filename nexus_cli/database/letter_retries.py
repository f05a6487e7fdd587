"""Dead letters that are given back to the historian, and what became of them.

Control marks them; the historian, the only writer of samples, stores what can be stored now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import write_audit
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.series import RECORDED_CHANNEL
from nexus_cli.model.calendar import microseconds

MOST_NAMED = 1000
"""Numbers that a line of the audit trail names."""


@dataclass(frozen=True, slots=True)
class AskedLetter:
    """A letter that waits for the historian; `time_us` is when its first message came."""

    id: int
    topic: str
    reason: str
    payload: str
    count: int
    time_us: int


@dataclass(frozen=True, slots=True)
class LetterLeft:
    """What a letter says after a retry that did not store all of it."""

    topic: str
    reason: str
    detail: str
    payload: str
    count: int


class RetryState(NamedTuple):
    """What became of letters that were given back: those that wait, and why others stay."""

    waiting: list[int]
    kept: dict[int, str]


async def write_choice_audit(
    conn: Connection, site: str, rows: Sequence[Mapping[str, object]], *, who: str, what: str
) -> list[int]:
    """One line of the audit trail for each topic and reason of these letters; gives their numbers, ascending."""
    folded: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        folded.setdefault((str(row["topic"]), str(row["reason"])), []).append(int(str(row["id"])))
    for (about, why), numbers in sorted(folded.items()):
        detail = {"reason": why, "ids": sorted(numbers)[:MOST_NAMED], "count": len(numbers)}
        await write_audit(conn, site, who=who, what=what, subject=about, detail=detail)
    return sorted(number for numbers in folded.values() for number in numbers)


async def ask_again(
    conn: Connection, site: str, *, ids: Sequence[int], topic: str, reason: str, all_: bool, who: str
) -> list[int]:
    """Give letters back to the historian; arguments as of `discard_dead_letters`. Gives their numbers, ascending."""
    if not (ids or topic or reason or all_):
        return []
    async with conn.transaction():
        rows = await conn.fetch(
            f"""UPDATE {SCHEMA}.dead_letter SET asked = coalesce(asked, now())
                WHERE site = $1 AND (cardinality($2::bigint[]) = 0 OR id = ANY($2))
                  AND ($3 = '' OR topic = $3 OR starts_with(topic, $3 || '/')) AND ($4 = '' OR reason = $4)
                RETURNING id, topic, reason""",
            *(site, list(ids), topic.strip("/"), reason),
        )
        await conn.execute("SELECT pg_notify($1, $2)", RECORDED_CHANNEL, letters_notice(site))
        return await write_choice_audit(conn, site, rows, who=who, what="retry-dead-letter")


async def retry_state(conn: Connection, site: str, *, ids: Sequence[int]) -> RetryState:
    """What became of letters that were given back; those that are neither waiting nor kept were stored."""
    rows = await conn.fetch(
        f"""SELECT id, reason, detail, asked IS NOT NULL AS waits FROM {SCHEMA}.dead_letter
            WHERE site = $1 AND id = ANY($2::bigint[]) ORDER BY id""",
        *(site, list(ids)),
    )
    waiting = [row["id"] for row in rows if row["waits"]]
    return RetryState(waiting, {row["id"]: f"{row['reason']}: {row['detail']}" for row in rows if not row["waits"]})


async def letters_wait(conn: Connection, site: str) -> bool:
    """True when letters wait for the historian."""
    query = f"SELECT EXISTS (SELECT FROM {SCHEMA}.dead_letter WHERE site = $1 AND asked IS NOT NULL)"
    return bool(await conn.fetchval(query, site))


def letters_notice(site: str) -> str:
    """What is notified on `RECORDED_CHANNEL` when letters were given back."""
    return f"{site} letters"


async def next_asked(conn: Connection, site: str, *, limit: int) -> list[AskedLetter]:
    """The first letters that wait for the historian."""
    rows = await conn.fetch(
        f"""SELECT id, topic, reason, payload, count, at FROM {SCHEMA}.dead_letter
            WHERE site = $1 AND asked IS NOT NULL ORDER BY id LIMIT $2""",
        *(site, limit),
    )
    return [
        AskedLetter(row["id"], row["topic"], row["reason"], row["payload"], row["count"], microseconds(row["at"]))
        for row in rows
    ]


async def take_asked(conn: Connection, *, number: int) -> int | None:
    """Lock a letter until the transaction ends; its count, None when another historian has it or had it."""
    count: int | None = await conn.fetchval(
        f"SELECT count FROM {SCHEMA}.dead_letter WHERE id = $1 AND asked IS NOT NULL FOR UPDATE SKIP LOCKED", number
    )
    return count


async def settle_asked(conn: Connection, *, number: int, left: Sequence[LetterLeft]) -> None:
    """End a retry, in the transaction that stored what could be stored.

    Args:
        conn: In a transaction.
        number: Of the letter.
        left: What is left of it: nothing removes it, the first takes its row, each further one gets a row of its own,
            with the time and the tries of the first.
    """
    if not left:
        await conn.execute(f"DELETE FROM {SCHEMA}.dead_letter WHERE id = $1", number)
        return
    first, *others = left
    await conn.execute(
        f"""UPDATE {SCHEMA}.dead_letter SET asked = NULL, tries = tries + 1,
              topic = $2, reason = $3, detail = $4, payload = $5, count = $6 WHERE id = $1""",
        *(number, first.topic, first.reason, first.detail, first.payload, first.count),
    )
    for one in others:
        await conn.execute(
            f"""INSERT INTO {SCHEMA}.dead_letter (at, site, tries, topic, reason, detail, payload, count)
                SELECT at, site, tries, $2, $3, $4, $5, $6 FROM {SCHEMA}.dead_letter WHERE id = $1""",
            *(number, one.topic, one.reason, one.detail, one.payload, one.count),
        )
