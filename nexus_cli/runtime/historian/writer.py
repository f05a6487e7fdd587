"""Stores a batch in one transaction: rows and custody together, so that receipts are correct and replays are
detected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import numpy as np

from nexus_cli.database.committed import Custody, OutboxKey, RangeSet, load_custody, replace_custody
from nexus_cli.database.errors import DATA_ERRORS, one_line
from nexus_cli.database.raised import AlreadyStored, NoPartition, TooSlow
from nexus_cli.database.rollup_tables import mark_changed
from nexus_cli.database.samples import Conflict, SampleTables, copy_staged, copy_straight
from nexus_cli.database.session import bound_transaction
from nexus_cli.model.calendar import microseconds
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.historian.batch import Batch
from nexus_cli.runtime.historian.command_rows import record_reports
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.dead_letters import DeadLetters, DeadLetterStore
from nexus_cli.runtime.historian.holes import RefusalGaps
from nexus_cli.runtime.historian.packing import Packed, Packer
from nexus_cli.runtime.historian.pending import AnyFrame
from nexus_cli.runtime.historian.recent_samples import RecentSamples
from nexus_cli.runtime.historian.replays import Replays
from nexus_cli.runtime.latency import Latencies, Times

REFUSED = "refused_by_database"
MOST_SLOW_ROWS = 3
ROW_S = 5.0
"""Statement time-out for a row of a frame that is stored row by row, in seconds."""

Receipt = Callable[[OutboxKey, RangeSet, Iterable[int]], None]
MOST_OUTBOXES = 500
"""Outboxes whose custody is cached; others are looked up when needed."""


class _Way(Enum):
    """How the rows of a batch get into their tables."""

    STRAIGHT = "COPY into the table: fails when one row is there already"
    OTHERS_STAGED = "external samples through a staging table, frames straight"
    STAGED = "everything through a staging table"


class RaceLostError(Exception):
    """Another historian has stored frames of the same outbox meanwhile: load its ranges, filter, try again."""


class Writer:
    """Stores batches over one connection, each atomically. `placement` handles the errors."""

    def __init__(
        self, *, site: str, clock: Clock, counters: Counters, latencies: Latencies, on_committed: Receipt
    ) -> None:
        """Write for one site; `on_committed` gets the ranges of an outbox, and the numbers that were stored or
        recognised. `latencies` are those of `commit` and `queue`."""
        self._site, self._clock, self._counters = site, clock, counters
        self._commits, self._queue = latencies["commit"], latencies["queue"]
        self._on_committed = on_committed
        self._tables = SampleTables(site=site)
        self._stored: dict[OutboxKey, Custody] = {}
        self._letters = DeadLetterStore(site=site)
        self._replays = Replays(counters=counters)
        self._recent = RecentSamples()
        self._holes = RefusalGaps(site=site, clock=clock)

    def forget(self) -> None:
        """Drop the caches after a connect."""
        self._tables.forget()
        self._stored.clear()
        self._recent.forget()

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
        known = self._recent.sort(batch.samples)
        if known.repeated:
            self._counters.duplicate_rows += known.repeated
            batch.samples, batch.packed = known.kept, None
        if batch.empty:
            return
        packed = batch.packed
        if packed is None:
            packed = batch.packed = Packer().pack(batch.frames, batch.samples)
        began_s = self._commits.now_s()
        ways = await self._ways(conn, batch, packed, doubtful=known.doubtful)
        for number, way in enumerate(ways, 1):
            try:
                refused = await self._commit(conn, batch, packed, way, lock_s=lock_s)
            except (AlreadyStored, NoPartition) as error:
                # Without staging is three times as fast (decision 0009): only rows that meet stored ones are staged.
                if number == len(ways) or (way is _Way.STAGED and isinstance(error, AlreadyStored)):
                    raise
                if isinstance(error, NoPartition):
                    self._tables.forget()  # a partition was dropped since
                continue
            self._commits.ended(began_s)
            self._recent.remember(batch.samples, refused=refused)
            return

    async def _ways(self, conn: Any, batch: Batch, packed: Packed, *, doubtful: bool) -> Sequence[_Way]:
        """The ways to try, in order; the last is tried twice, as a partition may vanish between two statements."""
        now = datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC)
        straight = True
        for retention, hours in packed.hours.items():
            straight &= await self._tables.prepare(conn, retention, {hour // 24 for hour in hours}, now=now)
        ways = [_Way.STRAIGHT, _Way.OTHERS_STAGED] if straight else []
        if not batch.samples:
            ways = ways[:1]
        return [*(ways[1:] if doubtful else ways), _Way.STAGED, _Way.STAGED]

    async def _commit(
        self, conn: Any, batch: Batch, packed: Packed, way: _Way, *, lock_s: float
    ) -> set[tuple[int, int]]:
        """Store everything in one transaction; the series and times (µs) of samples that hold another value already."""
        expected = {key: self._stored[key] for key in batch.outboxes()}
        new = self._with(batch, expected)
        letters = DeadLetters()
        letters.merge(batch.letters)
        letters.merge(packed.letters)
        letters.refuse(batch.refusals())
        rows, duplicates, refused = packed.rows, 0, set[tuple[int, int]]()
        async with conn.transaction():
            await bound_transaction(conn, lock_s=lock_s)
            for block in packed.blocks:
                made = await self._tables.table(conn, block.retention)
                if way is _Way.STAGED or (way is _Way.OTHERS_STAGED and block.of_others):
                    inserted, conflicts = await copy_staged(conn, made, block.pieces, block.columns)
                    rows -= block.rows - inserted
                    duplicates += block.rows - inserted - len(conflicts)
                    refused |= {(each.series_id, microseconds(each.time)) for each in conflicts}
                    _log_lost_race(letters, conflicts, made.table)
                else:
                    await copy_straight(conn, made.table, block.pieces, block.columns)
            await self._mark(conn, packed)
            await self._record_gaps(conn, batch, letters)
            reports = [pending.report for pending in batch.reports if pending.refusal is None]
            await record_reports(conn, self._site, reports, letters)
            if len(letters):
                await self._letters.store(conn, letters, now_s=self._clock.monotonic_s())
            # Last: its rows stay locked until the commit, and other historians wait for them.
            if new and not await replace_custody(conn, site=self._site, expected=expected, new=new):
                raise RaceLostError
        self._count(batch, rows=rows, letters=letters.count)
        self._counters.duplicate_rows += duplicates
        self._queue.add_many(_ages_s(batch, now_us=self._clock.now_us()))
        self._taken(batch, new)
        return refused

    async def _mark(self, conn: Any, packed: Packed) -> None:
        for retention, hours in packed.hours.items():
            await mark_changed(conn, (await self._tables.table(conn, retention)).table, hours)

    def _taken(self, batch: Batch, new: dict[OutboxKey, Custody]) -> None:
        """Custody is committed: cache it and queue the receipts."""
        self._stored.update(new)
        times: dict[OutboxKey, dict[int, int]] = {key: {} for key in new}
        for pending in batch.numbered():
            times[pending.key][pending.seq] = pending.time_us
        for key, custody in new.items():
            custody.remember(times[key])
            self._on_committed(key, custody.ranges, times[key])

    def _with(self, batch: Batch, expected: dict[OutboxKey, Custody]) -> dict[OutboxKey, Custody]:
        new = {key: custody.copy() for key, custody in expected.items()}
        times: dict[OutboxKey, list[tuple[int, int]]] = {}
        for pending in batch.frames:
            # A reused number keeps the time of its first use.
            if new[pending.key].ranges.add(pending.seq) and pending.refusal is None:
                times.setdefault(pending.key, []).append((pending.seq, pending.time_us))
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

    async def _row_by_row(self, conn: Any, pending: AnyFrame) -> None:
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


def _ages_s(batch: Batch, *, now_us: int) -> Times:
    """How long ago the frames were sampled, by their gateways' time."""
    return (now_us - np.array([pending.time_us for pending in batch.frames], np.float64)) / 1e6


def _log_lost_race(letters: DeadLetters, conflicts: Sequence[Conflict], table: str) -> None:
    for conflict in conflicts:
        letters.add(
            f"series/{conflict.series_id}",
            "conflicting_value",
            detail=f"{table} holds {conflict.stored} at {conflict.time.isoformat()}",
            payload=conflict.refused.encode(),
        )


__all__ = ["Writer"]
