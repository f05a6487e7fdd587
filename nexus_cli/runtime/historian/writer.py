"""Stores a batch in one transaction: rows and custody together, so that receipts are correct and replays are
detected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from nexus_cli.database.committed import Custody, OutboxKey, RangeSet, load_custody, replace_custody
from nexus_cli.database.errors import DATA_ERRORS, one_line
from nexus_cli.database.raised import AlreadyStored, NoPartition, TooSlow
from nexus_cli.database.rollup_tables import mark_changed
from nexus_cli.database.samples import Conflict, SampleTables, copy_staged, copy_straight
from nexus_cli.database.session import bound_transaction
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.historian.batch import Batch, Packed, Packer, PendingFrame
from nexus_cli.runtime.historian.command_rows import record_reports
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.dead_letters import DeadLetters, DeadLetterStore
from nexus_cli.runtime.historian.holes import RefusalGaps
from nexus_cli.runtime.historian.replays import Replays

REFUSED = "refused_by_database"
MOST_SLOW_ROWS = 3
ROW_S = 5.0
"""Statement time-out for a row of a frame that is stored row by row, in seconds."""

Receipt = Callable[[OutboxKey, RangeSet, Iterable[int]], None]
MOST_OUTBOXES = 500
"""Outboxes whose custody is cached; others are looked up when needed."""


class RaceLostError(Exception):
    """Another historian has stored frames of the same outbox meanwhile: load its ranges, filter, try again."""


class Writer:
    """Stores batches over one connection, each atomically. `placement` handles the errors."""

    def __init__(self, *, site: str, clock: Clock, counters: Counters, on_committed: Receipt) -> None:
        """Write for one site; `on_committed` gets the ranges of an outbox, and the numbers that were stored or
        recognised."""
        self._site, self._clock, self._counters = site, clock, counters
        self._on_committed = on_committed
        self._tables = SampleTables(site=site)
        self._stored: dict[OutboxKey, Custody] = {}
        self._letters = DeadLetterStore(site=site)
        self._replays = Replays(counters=counters)
        self._holes = RefusalGaps(site=site, clock=clock)

    def forget(self) -> None:
        """Drop the caches after a connect."""
        self._tables.forget()
        self._stored.clear()

    async def store(self, conn: Any, batch: Batch, *, lock_s: float = 0.0) -> None:
        """Store a batch atomically; what another historian has stored is skipped.

        Args:
            conn: The connection.
            batch: Already stored items are removed from it.
            lock_s: Lock time-out in seconds; 0 for the session's own.

        Raises:
            OSError, PostgresError: Nothing of it was stored.
        """
        await self._learn(conn, batch.outboxes())
        while True:
            await self._skip_stored(conn, batch)
            try:
                await self._store(conn, batch, lock_s=lock_s)
                return
            except RaceLostError:
                self._counters.retries += 1
                self._tables.forget()
                await self._learn(conn, batch.outboxes(), again=True)

    async def _learn(self, conn: Any, keys: Sequence[OutboxKey], *, again: bool = False) -> None:
        unknown = [key for key in keys if again or key not in self._stored]
        if unknown:
            for key in list(self._stored)[: max(0, len(self._stored) + len(unknown) - MOST_OUTBOXES)]:
                if key not in keys:
                    del self._stored[key]
            for key, custody in (await load_custody(conn, site=self._site, keys=unknown)).items():
                if again and key in self._stored:
                    custody.recent = self._stored[key].recent
                self._stored[key] = custody

    async def _skip_stored(self, conn: Any, batch: Batch) -> None:
        """Remove what is already stored, and duplicates within the batch; their receipts are published again."""
        recognised = await self._replays.take_out(conn, batch, self._stored, site=self._site)
        for key, seqs in recognised.items():
            self._on_committed(key, self._stored[key].ranges, seqs)

    async def _store(self, conn: Any, batch: Batch, *, lock_s: float) -> None:
        if batch.empty:
            return
        packed = batch.packed
        if packed is None:
            packed = batch.packed = Packer().pack(batch.frames, batch.samples)
        now = datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC)
        straight = not batch.samples
        for retention, hours in packed.hours.items():
            days = {hour // 24 for hour in hours}
            straight &= await self._tables.prepare(conn, retention, days, now=now)
        if straight:
            try:
                await self._commit(conn, batch, packed, staged=False, lock_s=lock_s)
                return
            except AlreadyStored:
                pass  # Without staging is three times as fast (decision 0009); only a batch with a duplicate row is staged.
            except NoPartition:
                self._tables.forget()  # a partition was dropped since
        try:
            await self._commit(conn, batch, packed, staged=True, lock_s=lock_s)
        except NoPartition:
            await self._commit(conn, batch, packed, staged=True, lock_s=lock_s)  # the same race, between two statements

    async def _commit(self, conn: Any, batch: Batch, packed: Packed, *, staged: bool, lock_s: float) -> None:
        expected = {key: self._stored[key] for key in batch.outboxes()}
        new = self._with(batch, expected)
        letters = DeadLetters()
        letters.merge(batch.letters)
        letters.merge(packed.letters)
        letters.refuse(batch.refusals())
        rows, duplicates = packed.rows, 0
        async with conn.transaction():
            await bound_transaction(conn, lock_s=lock_s)
            if new and not await replace_custody(conn, site=self._site, expected=expected, new=new):
                raise RaceLostError
            for block in packed.blocks:
                made = await self._tables.table(conn, block.retention)
                if staged:
                    inserted, conflicts = await copy_staged(conn, made, block.pieces, block.columns)
                    rows -= block.rows - inserted
                    duplicates += block.rows - inserted - len(conflicts)
                    _log_lost_race(letters, conflicts, made.table)
                else:
                    await copy_straight(conn, made.table, block.pieces, block.columns)
            await self._mark(conn, packed)
            await self._record_gaps(conn, batch, letters)
            reports = [pending.report for pending in batch.reports if pending.refusal is None]
            await record_reports(conn, self._site, reports, letters)
            if len(letters):
                await self._letters.store(conn, letters, now_s=self._clock.monotonic_s())
        self._count(batch, rows=rows, letters=letters.count)
        self._counters.duplicate_rows += duplicates
        self._taken(batch, new)

    async def _mark(self, conn: Any, packed: Packed) -> None:
        for retention, hours in packed.hours.items():
            await mark_changed(conn, (await self._tables.table(conn, retention)).table, hours)

    def _taken(self, batch: Batch, new: dict[OutboxKey, Custody]) -> None:
        """Custody is committed: cache it and queue the receipts."""
        self._stored.update(new)
        touched: dict[OutboxKey, list[int]] = {key: [] for key in new}
        for pending in batch.numbered():
            new[pending.key].remember(pending.seq, pending.time_us)
            touched[pending.key].append(pending.seq)
        for key, custody in new.items():
            self._on_committed(key, custody.ranges, touched[key])

    def _with(self, batch: Batch, expected: dict[OutboxKey, Custody]) -> dict[OutboxKey, Custody]:
        new = {key: custody.copy() for key, custody in expected.items()}
        times: dict[OutboxKey, list[tuple[int, int]]] = {}
        for pending in batch.frames:
            # A reused number keeps the time of its first use.
            if new[pending.key].ranges.add(pending.seq) and pending.refusal is None:
                times.setdefault(pending.key, []).append((pending.seq, pending.frame.time))
        for gap in batch.gaps:
            new[gap.key].ranges.add(gap.seq)
        for report in batch.reports:
            new[report.key].ranges.add(report.seq)
        for key, frames in times.items():
            new[key].times.add(frames)
        for custody in new.values():
            custody.ranges.compact()
        return new

    async def _record_gaps(self, conn: Any, batch: Batch, letters: DeadLetters) -> None:
        reported = [(pending.key.gateway, pending.gap) for pending in batch.gaps if pending.refusal is None]
        await self._holes.record(conn, reported, letters)
        await self._holes.declare(conn, batch.refusals())

    def _count(self, batch: Batch, *, rows: int, letters: int) -> None:
        counters = self._counters
        counters.batches += 1
        counters.frames += len(batch.frames)
        counters.rows += rows
        counters.external_rows += len(batch.samples)
        counters.gaps += len(batch.gaps)
        counters.reports += len(batch.reports)
        counters.dead_letters += letters
        for _, refusal in batch.refusals():
            counters.refused(refusal.reason)

    async def give_up(self, conn: Any, batch: Batch, *, why: str) -> None:
        """Handle a batch that can't be stored: frames row by row, external samples as dead letters, the rest as
        usual."""
        letters = batch.letters
        await self._learn(conn, batch.outboxes())
        for pending in batch.frames:
            while not self._stored[pending.key].is_replay(pending.seq, pending.time_us):
                try:
                    await self._row_by_row(conn, pending)
                except RaceLostError:
                    await self._learn(conn, [pending.key], again=True)
        for sample in batch.samples:
            letters.add(sample.topic, REFUSED, detail=why, payload=sample.payload)
        batch.frames, batch.samples, batch.packed = [], [], None
        await self.store(conn, batch)

    async def _row_by_row(self, conn: Any, pending: PendingFrame) -> None:
        """Store the rows of one frame that the database accepts; the rest become dead letters, and the frame counts as
        stored."""
        packed = Packer(one_by_one=True).pack([pending])
        letters = packed.letters
        key, rows, slow = pending.key, 0, 0
        alone = Batch(frames=[pending])
        letters.refuse(alone.refusals())
        new = self._with(alone, {key: self._stored[key]})
        async with conn.transaction():
            await bound_transaction(conn, statement_s=ROW_S)
            if not await replace_custody(conn, site=self._site, expected={key: self._stored[key]}, new=new):
                raise RaceLostError
            for block in packed.blocks:
                made = await self._tables.table(conn, block.retention)
                for row in block.pieces:
                    if slow >= MOST_SLOW_ROWS:
                        letters.add(pending.topic, REFUSED, detail="rows of this frame take too long", payload=row)
                        continue
                    try:
                        async with conn.transaction():
                            inserted, conflicts = await copy_staged(conn, made, [row], block.columns)
                    except (*DATA_ERRORS, TooSlow) as error:
                        slow += isinstance(error, TooSlow)
                        letters.add(pending.topic, REFUSED, detail=one_line(error), payload=row)
                        continue
                    rows += inserted
                    _log_lost_race(letters, conflicts, made.table)
            await self._letters.store(conn, letters, now_s=self._clock.monotonic_s())
        self._count(alone, rows=rows, letters=letters.count)
        self._taken(alone, new)


def _log_lost_race(letters: DeadLetters, conflicts: Sequence[Conflict], table: str) -> None:
    for conflict in conflicts:
        letters.add(
            f"series/{conflict.series_id}",
            "conflicting_value",
            detail=f"{table} holds {conflict.stored} at {conflict.time.isoformat()}",
            payload=conflict.refused.encode(),
        )


__all__ = ["Writer"]
