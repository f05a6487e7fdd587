"""Upkeep of a site's classes: old partitions go, the next ones come, those that are complete get an index, and rollups
are brought up to date.

What the archive takes (`archive:`) goes only when the archive has it exactly: see `archive_days.may_drop`. The rows of
protected series (`keep: always`) never go: see `kept_series`.

It waits for readers and blocks no other session. PostgreSQL grants locks in turn: an exclusive lock that waits for
a long query blocks every later request, the writer's included. A partition is therefore detached
concurrently and dropped only when it is detached, an index is built concurrently, and every wait has an end.
What could not be done now is done in the next round.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from nexus_cli.database.archive_days import drops_itself, mark_dropped, may_drop
from nexus_cli.database.archive_rows import days_with_rows, span_of
from nexus_cli.database.class_table import SampleClass
from nexus_cli.database.connect import Connection
from nexus_cli.database.errors import Trouble, trouble_of
from nexus_cli.database.kept_series import (
    KEPT,
    drop_but_protected,
    drops_chunks,
    has_others,
    holds_only_protected,
    save_rows,
)
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.partitions import (
    Partition,
    attach,
    ensure_partitions,
    partitions,
    period_of,
    periods_around,
)
from nexus_cli.database.rollup_tables import roll_up
from nexus_cli.database.sample_class import bring_policies, load_classes, refresh_view
from nexus_cli.database.timescale import old_chunks

LOCK_KEY = 0x6E6578_75730003
"""Advisory lock, with the site, of the historian that does the upkeep."""
DELETE_ROWS = 50_000
"""Rows deleted from a rest table at once."""
PATIENT_S = 10.0
"""How long to wait for readers of a partition that is dropped; no other session waits meanwhile."""
INDEX_S = 600.0
"""How long a finished index may wait for the transactions that are older than it; no other session waits meanwhile."""
_NAME = re.compile(r"_p(\d{8})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """The result of one round of upkeep.

    Attributes:
        dropped: Partitions that were dropped.
        created: How many were made ahead.
        indexed: Complete partitions that got their index by series.
        deleted_rows: Old rows deleted from rest tables.
        postponed: What a reader or another session excluded: the next round tries it again.
    """

    dropped: tuple[str, ...] = ()
    created: int = 0
    indexed: tuple[str, ...] = ()
    deleted_rows: int = 0
    postponed: tuple[str, ...] = ()


async def keep_up(conn: Connection, *, site: str, now: datetime) -> Upkeep | None:
    """One round over the classes of a site, under an advisory lock; None when another process is at it.

    Args:
        conn: An open connection, not in a transaction.
        site: `enterprise/site`; classes of other sites are never touched.
        now: The time to measure ages from.
    """
    if not await conn.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, $2))", site, LOCK_KEY):
        return None
    try:
        work = _Round(conn, now=now)
        classes = list((await load_classes(conn, site=site)).values())
        for made in classes:
            if not made.hypertable:
                await work.native(made)
            else:
                await work.hypertable(made)
        if not await refresh_view(conn):
            work.postponed.append("view sample")
        for made in classes:
            await work.rollups(made)
        return work.result()
    finally:
        if not conn.is_closed():
            await conn.execute("SELECT pg_advisory_unlock(hashtextextended($1, $2))", site, LOCK_KEY)


class _Round:
    """One round, and what it has done so far."""

    def __init__(self, conn: Connection, *, now: datetime) -> None:
        self._conn, self._now = conn, now
        self.dropped: list[str] = []
        self.indexed: list[str] = []
        self.postponed: list[str] = []
        self.created = self.deleted = 0

    def result(self) -> Upkeep:
        return Upkeep(
            dropped=tuple(self.dropped),
            created=self.created,
            indexed=tuple(self.indexed),
            deleted_rows=self.deleted,
            postponed=tuple(self.postponed),
        )

    async def native(self, made: SampleClass) -> None:
        """A class without TimescaleDB."""
        moments = [start for start, _ in periods_around(self._now, keep_ms=made.keep_ms)[1:]]
        try:
            self.created += len(await ensure_partitions(self._conn, made, moments))
        except asyncpg.PostgresError as error:
            self._postpone(error, f"partitions of {made.table}")
        await self._drop_old(made)
        await self._delete_old(made)
        await self._index_complete(made)

    async def hypertable(self, made: SampleClass) -> None:
        """A class with TimescaleDB: its policies, and its chunks where no policy drops them."""
        if not await bring_policies(self._conn, made):
            self.postponed.append(f"policies of {made.table}")
        elif await drops_chunks(self._conn, made):
            try:
                await self._drop_chunks(made)
            except asyncpg.PostgresError as error:
                self._postpone(error, f"old chunks of {made.table}")

    async def _drop_chunks(self, made: SampleClass) -> None:
        oldest = self._now - timedelta(milliseconds=made.keep_ms)
        for chunk in await old_chunks(self._conn, made.table, until=oldest):
            if not await self._may_drop(made, (made.table,), start=chunk.start, end=chunk.end):
                continue
            if await holds_only_protected(self._conn, made, chunk):
                continue
            async with self._conn.transaction():
                await self._conn.execute(f"SET LOCAL lock_timeout = '{round(PATIENT_S * 1000)}ms'")
                await self._conn.execute(f"LOCK TABLE {chunk.name} IN SHARE MODE")  # no row is added from here on
                verdict = await may_drop(self._conn, made, (made.table,), start=chunk.start, end=chunk.end)
                if not verdict.why:
                    await mark_dropped(self._conn, site=made.site, class_=made.name, days=verdict.days)
                    await drop_but_protected(self._conn, made, chunk)
                    self.dropped.append(chunk.name)

    async def _may_drop(
        self,
        made: SampleClass,
        relations: tuple[str, ...],
        *,
        start: datetime,
        end: datetime,
        known: tuple[str, ...] | None = None,
    ) -> bool:
        verdict = await may_drop(self._conn, made, relations, start=start, end=end, known=known)
        if verdict.why and (what := f"archive of {made.table}: {verdict.why}") not in self.postponed:
            self.postponed.append(what)
        return not verdict.why

    async def rollups(self, made: SampleClass) -> None:
        """Bring the rollups of a class up to date; a long history takes several rounds."""
        try:
            if not await roll_up(self._conn, made, now=self._now):
                self.postponed.append(f"rollups of {made.table}")
        except asyncpg.PostgresError as error:
            self._postpone(error, f"rollups of {made.table}")

    def _postpone(self, error: asyncpg.PostgresError, what: str) -> None:
        if trouble_of(error) not in (Trouble.BUSY, Trouble.SLOW):
            raise error
        self.postponed.append(what)

    async def _wait(self, limit_s: float) -> None:
        await self._conn.execute(f"SET lock_timeout = '{round(limit_s * 1000)}ms'")

    async def _drop_old(self, made: SampleClass) -> None:
        oldest = self._now - timedelta(milliseconds=made.keep_ms)
        there = await partitions(self._conn, made)
        before = await self._conn.fetchval("SELECT current_setting('lock_timeout')")
        await self._wait(PATIENT_S)
        try:
            for each in sorted(there, key=lambda some: not some.leaving):  # PostgreSQL lets one leave at a time
                if each.leaving or (each.end <= oldest and await self._gone(made, each)):
                    await self._detach(made, each)
            await self._settle_detached(made, {each.name for each in there}, oldest=oldest)
        except asyncpg.PostgresError as error:
            self._postpone(error, f"old partitions of {made.table}")
        finally:
            if not self._conn.is_closed():
                await self._conn.execute(f"SET lock_timeout = '{before}'")

    async def _detach(self, made: SampleClass, each: Partition) -> None:
        """Detach and drop; a detaching that was interrupted is finished.

        Source: PostgreSQL documentation, ALTER TABLE, "DETACH PARTITION name [ CONCURRENTLY | FINALIZE ]".
        """
        way = "FINALIZE" if each.leaving else "CONCURRENTLY"
        await self._conn.execute(f'ALTER TABLE {SCHEMA}."{made.table}" DETACH PARTITION {SCHEMA}."{each.name}" {way}')
        await self._drop(made, each)

    async def _gone(self, made: SampleClass, each: Partition) -> bool:
        """True when the rows of a partition may go. What the rest table has of its days belongs to them."""
        return await self._may_drop(made, (each.name,), start=each.start, end=each.end, known=(each.name, made.rest))

    async def _drop(self, made: SampleClass, each: Partition) -> None:
        """Drop a detached partition; it comes back when rows reached it, or its days, since it was looked at."""
        async with self._conn.transaction():
            verdict = await may_drop(
                self._conn, made, (each.name,), start=each.start, end=each.end, known=(each.name, made.rest)
            )
            if not verdict.why:
                await save_rows(self._conn, made, each.name)
                await mark_dropped(self._conn, site=made.site, class_=made.name, days=verdict.days)
                await self._conn.execute(f'DROP TABLE IF EXISTS {SCHEMA}."{each.name}"')
        if verdict.why:
            self.postponed.append(f"archive of {made.table}: {verdict.why}")
            await attach(self._conn, made, each)
        else:
            self.dropped.append(each.name)

    async def _settle_detached(self, made: SampleClass, known: set[str], *, oldest: datetime) -> None:
        """A round that ended between detaching and dropping left a table behind: old ones go, the others come back."""
        rows = await self._conn.fetch(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = $1::text::regnamespace AND c.relkind = 'r'"
            " AND NOT c.relispartition AND c.relname ~ ('^' || $2 || '_p[0-9]{8}$') ORDER BY 1",
            *(SCHEMA, made.table),
        )
        for row in rows:
            name = row["relname"]
            found = _NAME.search(name)
            if found is None or name in known:
                continue
            start, end = period_of(datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=UTC), keep_ms=made.keep_ms)
            each = Partition(name=name, start=start, end=end)
            if end <= oldest:
                await self._drop(made, each)
            else:  # `keep` was raised in between
                await attach(self._conn, made, each)

    async def _delete_old(self, made: SampleClass) -> None:
        """Rows that came later than their partition lived are in the rest table."""
        oldest = self._now - timedelta(milliseconds=made.keep_ms)
        if await drops_itself(self._conn, made):
            await self._delete_days(made, oldest)
            return
        while True:
            done: str = await self._conn.execute(
                f'DELETE FROM {SCHEMA}."{made.rest}" WHERE ctid = ANY(ARRAY('
                f'SELECT ctid FROM {SCHEMA}."{made.rest}" WHERE "time" < $1 AND series_id NOT IN ({KEPT} $2)'
                f" LIMIT {DELETE_ROWS}))",
                *(oldest, made.site),
            )
            count = int(done.split()[-1])
            self.deleted += count
            if count < DELETE_ROWS:
                return

    async def _delete_days(self, made: SampleClass, oldest: datetime) -> None:
        """Day by day, of a class whose days the archive has, or some of which are held."""
        for day in await days_with_rows(self._conn, (made.rest,), until=oldest):
            if not await has_others(self._conn, made, made.rest, day):
                continue
            start, end = span_of(day)
            try:
                # A row that arrives meanwhile is outside of the snapshot: neither counted nor deleted.
                async with self._conn.transaction(isolation="repeatable_read"):
                    if not await self._may_drop(
                        made, (made.rest,), start=start, end=end, known=(made.table, made.rest)
                    ):
                        continue
                    await mark_dropped(self._conn, site=made.site, class_=made.name, days=[day])
                    done: str = await self._conn.execute(
                        f'DELETE FROM {SCHEMA}."{made.rest}" WHERE "time" >= $1 AND "time" < $2'
                        f" AND series_id NOT IN ({KEPT} $3)",
                        *(start, end, made.site),
                    )
                self.deleted += int(done.split()[-1])
            except asyncpg.SerializationError:
                self.postponed.append(f"old rows of {made.table}")

    async def _index_complete(self, made: SampleClass) -> None:
        """Index by series what is written no more: the unique key begins with the time, which serves writing, not reading.

        While a partition is being written a second index would cost a third of the speed (decision 0009).
        """
        current, _ = period_of(self._now, keep_ms=made.keep_ms)
        complete = [
            each.name
            for each in await partitions(self._conn, made)
            if each.end <= current - timedelta(hours=1) and not each.leaving
        ]
        for name in complete:
            try:
                if await self._index(name):
                    self.indexed.append(name)
            except asyncpg.PostgresError as error:
                self._postpone(error, f"index of {name}")

    async def _index(self, name: str) -> bool:
        index = f"{name}_series"
        valid: bool | None = await self._conn.fetchval(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", f'{SCHEMA}."{index}"'
        )
        if valid:
            return False
        before = await self._conn.fetchval("SELECT current_setting('lock_timeout')")
        await self._wait(INDEX_S)
        try:
            if valid is not None:  # a round that was interrupted left it half
                await self._conn.execute(f'DROP INDEX CONCURRENTLY IF EXISTS {SCHEMA}."{index}"')
            await self._conn.execute(f'CREATE INDEX CONCURRENTLY "{index}" ON {SCHEMA}."{name}" (series_id, "time")')
        finally:
            if not self._conn.is_closed():
                await self._conn.execute(f"SET lock_timeout = '{before}'")
        return True
