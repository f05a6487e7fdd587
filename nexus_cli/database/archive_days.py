"""The table `archive_day`: what is in the archive, and which days of the database may therefore go.

A day is `open` (to be archived), `writing`, `verified` (the archive has exactly what the database has) or `dropped`. A day whose
rows differ from what was verified becomes open again: nothing of a class with an archive goes before it is verified.

See docs/decisions/0095.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson

from nexus_cli.database.archive_rows import Rows, days_with_rows, relations_of, rows_by_day
from nexus_cli.database.class_table import SampleClass
from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA

OPEN, WRITING, VERIFIED, DROPPED = "open", "writing", "verified", "dropped"
LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedDay:
    """A row of `archive_day`."""

    class_: str
    day: date
    state: str
    stored: int
    digest: str
    complete: bool
    rows: int
    manifest: Mapping[str, Any]
    error: str
    hold_until: datetime | None
    verified: datetime | None
    dropped: datetime | None
    held: bool


_SELECT = f"""SELECT class, day, state, stored, digest, complete, rows, manifest::text AS manifest, error, hold_until,
  verified, dropped, coalesce(hold_until > now(), false) AS held FROM {SCHEMA}.archive_day"""


def _day(row: Mapping[str, Any]) -> ArchivedDay:
    fields = {**row, "class_": row["class"], "manifest": orjson.loads(row["manifest"])}
    del fields["class"]
    return ArchivedDay(**fields)


async def store_config(conn: Connection, *, site: str) -> dict[str, Any] | None:
    """The recorded resource that says where the archive is; None when the site has none."""
    found = await conn.fetchval(
        f"SELECT attributes::text FROM {SCHEMA}.resource WHERE site = $1 AND address = 'archive.store'", site
    )
    return None if found is None else dict(orjson.loads(found))


async def archived_days(
    conn: Connection, *, site: str, class_: str = "", start: date = date.min, end: date = date.max
) -> list[ArchivedDay]:
    """The days of a site by class and day, from `start` to before `end`; of one class, or of all."""
    rows = await conn.fetch(
        f"{_SELECT} WHERE site = $1 AND ($2 = '' OR class = $2) AND day >= $3 AND day < $4 ORDER BY class, day",
        *(site, class_, start, end),
    )
    return [_day(dict(row)) for row in rows]


async def any_archived(conn: Connection, *, site: str) -> bool:
    """True when the archive of a site has a day."""
    return bool(
        await conn.fetchval(
            f"SELECT EXISTS (SELECT FROM {SCHEMA}.archive_day WHERE site = $1 AND manifest <> '{{}}')", site
        )
    )


async def find_day(conn: Connection, *, site: str, class_: str, day: date) -> ArchivedDay | None:
    """One day; None when the archive knows nothing of it."""
    row = await conn.fetchrow(f"{_SELECT} WHERE site = $1 AND class = $2 AND day = $3", site, class_, day)
    return None if row is None else _day(dict(row))


async def to_archive(conn: Connection, made: SampleClass, *, until: datetime) -> list[date]:
    """Days of a class that end by `until`, have rows and are not in the archive as they are known, the oldest first."""
    known = {each.day: each for each in await archived_days(conn, site=made.site, class_=made.name)}
    wanted = []
    for day in await days_with_rows(conn, relations_of(made), until=until):
        found = known.get(day)
        if found is None or not (found.state == VERIFIED or found.held):
            wanted.append(day)
    return wanted


async def begin(conn: Connection, *, site: str, class_: str, day: date, token: str) -> None:
    """A try begins: from now on another one's result is refused."""
    await conn.execute(
        f"""INSERT INTO {SCHEMA}.archive_day (site, class, day, state, token) VALUES ($1, $2, $3, '{WRITING}', $4)
            ON CONFLICT (site, class, day) DO UPDATE SET state = '{WRITING}', token = $4, changed = now()""",
        *(site, class_, day, token),
    )


async def fence(conn: Connection, *, site: str, class_: str, day: date, token: str) -> bool:
    """Lock the day until the caller's transaction ends; False when a later try has it."""
    found = await conn.fetchval(
        f"""SELECT 1 FROM {SCHEMA}.archive_day
            WHERE site = $1 AND class = $2 AND day = $3 AND token = $4 AND state = '{WRITING}' FOR UPDATE""",
        *(site, class_, day, token),
    )
    return found is not None


async def settle(
    conn: Connection, *, site: str, class_: str, day: date, stored: Rows, rows: int, manifest: bytes
) -> None:
    """The archive has the day as the database had it."""
    await conn.execute(
        f"""UPDATE {SCHEMA}.archive_day SET state = '{VERIFIED}', stored = $4, digest = $5, rows = $6,
              manifest = $7::text::jsonb, error = '', verified = clock_timestamp(), changed = clock_timestamp()
            WHERE site = $1 AND class = $2 AND day = $3""",
        *(site, class_, day, stored.count, stored.digest, rows, manifest.decode()),
    )


async def failed(conn: Connection, *, site: str, class_: str, day: date, token: str, why: str) -> None:
    """A try failed; the day is open again."""
    await conn.execute(
        f"""UPDATE {SCHEMA}.archive_day SET state = '{OPEN}', error = $5, changed = now()
            WHERE site = $1 AND class = $2 AND day = $3 AND token = $4 AND state = '{WRITING}'""",
        *(site, class_, day, token, why[:LONGEST_ERROR]),
    )


async def reopen(conn: Connection, *, site: str, class_: str, days: Iterable[date], why: str) -> None:
    """The database has other rows than the archive, or the archive's copy is damaged: the days are archived again."""
    await conn.execute(
        f"""UPDATE {SCHEMA}.archive_day SET state = '{OPEN}', error = $4, changed = now()
            WHERE site = $1 AND class = $2 AND day = ANY($3::date[]) AND state = '{VERIFIED}'""",
        *(site, class_, list(days), why),
    )


async def mark_dropped(conn: Connection, *, site: str, class_: str, days: Iterable[date]) -> None:
    """The rows of these days go with the caller's transaction; later rows are added to the archive."""
    await conn.execute(
        f"""UPDATE {SCHEMA}.archive_day SET state = '{DROPPED}', complete = false, stored = 0, digest = '0',
              hold_until = NULL, dropped = now(), changed = now()
            WHERE site = $1 AND class = $2 AND day = ANY($3::date[])""",
        *(site, class_, list(days)),
    )


async def hold(conn: Connection, *, site: str, class_: str, day: date, until: datetime) -> None:
    """Nothing of the day is dropped before."""
    await conn.execute(
        f"""UPDATE {SCHEMA}.archive_day SET hold_until = $4, changed = now()
            WHERE site = $1 AND class = $2 AND day = $3""",
        *(site, class_, day, until),
    )


async def restored(
    conn: Connection, *, site: str, class_: str, day: date, stored: Rows, rows: int, skipped: int
) -> None:
    """The rows of a day are back. Where the database has others, too, or the archive's copy is damaged, the day is archived again."""
    whole = skipped == 0
    state = VERIFIED if whole and stored.count == rows else OPEN
    await conn.execute(
        f"""UPDATE {SCHEMA}.archive_day SET complete = $5, stored = $6, digest = $7, changed = now(),
              state = CASE WHEN state = '{OPEN}' AND error <> '' THEN state ELSE $4 END
            WHERE site = $1 AND class = $2 AND day = $3""",
        *(site, class_, day, state, whole, stored.count, stored.digest),
    )


async def forget(conn: Connection, *, site: str, class_: str, day: date) -> None:
    """The day is no longer in the archive."""
    await conn.execute(
        f"DELETE FROM {SCHEMA}.archive_day WHERE site = $1 AND class = $2 AND day = $3", site, class_, day
    )


async def drops_itself(conn: Connection, made: SampleClass) -> bool:
    """True when upkeep drops the chunks of a hypertable: the archive must have them first, or some are held."""
    return made.archive_after_ms is not None or bool(
        await conn.fetchval(
            f"SELECT EXISTS (SELECT FROM {SCHEMA}.archive_day WHERE site = $1 AND class = $2 AND hold_until > now())",
            *(made.site, made.name),
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the rows between two moments may go.

    Attributes:
        days: Those that have rows.
        why: What holds them; "" when they may go.
    """

    days: tuple[date, ...] = ()
    why: str = ""


async def may_drop(
    conn: Connection,
    made: SampleClass,
    relations: Sequence[str],
    *,
    start: datetime,
    end: datetime,
    known: Sequence[str] | None = None,
) -> Verdict:
    """Whether what these relations hold between two moments may go; a day that changed since it was verified is reopened.

    Args:
        conn: An open connection.
        made: The class.
        relations: Whose rows would go.
        start: Inclusive.
        end: Exclusive.
        known: The relations that held the days' rows when they were verified; None is `relations`.
    """
    first, last = start.date(), end.date()  # periods begin and end at midnight UTC
    held = await conn.fetchval(
        f"""SELECT max(hold_until)::text FROM {SCHEMA}.archive_day
            WHERE site = $1 AND class = $2 AND day >= $3 AND day < $4 AND hold_until > now()""",
        *(made.site, made.name, first, last),
    )
    if held is not None:
        return Verdict(why=f"held until {held}")
    if made.archive_after_ms is None:
        return Verdict()
    days = await days_with_rows(conn, relations, since=start, until=end)
    found = {each.day: each for each in await archived_days(conn, site=made.site, class_=made.name, start=first)}
    missing = [day for day in days if day not in found or found[day].state != VERIFIED]
    if missing:
        return Verdict(days=tuple(days), why=f"{missing[0]} is not in the archive")
    now = await rows_by_day(conn, known or relations, start=start, end=end)
    changed = [day for day in days if now.get(day, Rows()) != Rows(count=found[day].stored, digest=found[day].digest)]
    if changed:
        await reopen(conn, site=made.site, class_=made.name, days=changed, why="rows were added or changed since")
        return Verdict(days=tuple(days), why=f"{changed[0]} changed since it was archived")
    return Verdict(days=tuple(days))
