"""One batch, one transaction: rows and custody together, so that a receipt is true and a replay is recognised."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg

from nexus_cli.database.committed import OutboxKey, RangeSet, load_ranges, replace_ranges
from nexus_cli.database.loss import add_gap
from nexus_cli.database.samples import Conflict, SampleTables, copy_staged, copy_straight
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.historian.batch import Batch, Packed, Packer, PendingFrame
from nexus_cli.runtime.historian.command_rows import record_reports
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.dead_letters import DeadLetterBox, Letters, readable

_log = logging.getLogger("nexus.historian.writer")

BAD_DATA = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.UntranslatableCharacterError,
)
"""The database refuses something in the rows: the batch is halved until the one that it refuses is alone."""

Receipt = Callable[[OutboxKey, RangeSet], None]


class RaceLostError(Exception):
    """Another historian stored frames of the same outbox meanwhile: load its ranges, filter, try again."""


class Writer:
    """Stores batches over one connection. It has no loop and no retry of its own; errors of the way come out."""

    def __init__(self, *, site: str, clock: Clock, counters: Counters, on_committed: Receipt) -> None:
        """Write for one site; `on_committed` hears the merged ranges of an outbox after each commit."""
        self._site, self._clock, self._counters = site, clock, counters
        self._on_committed = on_committed
        self._tables = SampleTables()
        self._stored: dict[OutboxKey, RangeSet] = {}
        self._letters = DeadLetterBox(site=site)

    def forget(self) -> None:
        """A new connection: trust nothing that was known of the database."""
        self._tables.forget()
        self._stored.clear()

    async def write(self, conn: Any, batch: Batch) -> None:
        """Store a batch, whatever is in it; a bad row costs itself.

        Raises:
            OSError, asyncpg.PostgresError: The way to the database, or the database itself, failed: connect again
                and write the same batch again.
        """
        await self._learn(conn, batch.outboxes())
        while True:
            self._skip_stored(batch)
            try:
                try:
                    await self._store(conn, batch)
                except BAD_DATA as error:
                    if not batch.frames and not batch.samples:
                        raise
                    _log.warning("the database refuses a batch of %d frames: %s", len(batch.frames), error)
                    await self._divide(conn, batch, error)
                return
            except RaceLostError:
                self._counters.retries += 1
                await self._learn(conn, batch.outboxes(), again=True)

    async def _learn(self, conn: Any, keys: Sequence[OutboxKey], *, again: bool = False) -> None:
        unknown = [key for key in keys if again or key not in self._stored]
        if unknown:
            self._stored.update(await load_ranges(conn, site=self._site, keys=unknown))

    def _skip_stored(self, batch: Batch) -> None:
        """Take out what is stored already, and what came twice in this batch; its receipt is said again."""
        seen: dict[OutboxKey, set[int]] = {key: set() for key in batch.outboxes()}

        def fresh(key: OutboxKey, seq: int) -> bool:
            if seq in self._stored[key] or seq in seen[key]:
                return False
            seen[key].add(seq)
            return True

        frames = [pending for pending in batch.frames if fresh(pending.key, pending.frame.seq)]
        if len(frames) != len(batch.frames):
            for key in {pending.key for pending in batch.frames}:
                self._on_committed(key, self._stored[key])
            self._counters.replayed_frames += len(batch.frames) - len(frames)
            batch.frames, batch.packed = frames, None
        gaps = [pending for pending in batch.gaps if fresh(pending.key, pending.gap.seq)]
        if len(gaps) != len(batch.gaps):
            for key in {pending.key for pending in batch.gaps}:
                self._on_committed(key, self._stored[key])
            batch.gaps = gaps
        reports = [pending for pending in batch.reports if fresh(pending.key, pending.report.seq)]
        if len(reports) != len(batch.reports):
            for key in {pending.key for pending in batch.reports}:
                self._on_committed(key, self._stored[key])
            batch.reports = reports

    async def _store(self, conn: Any, batch: Batch) -> None:
        if batch.empty:
            return
        packed = batch.packed
        if packed is None:
            packed = batch.packed = Packer().pack(batch.frames, batch.samples)
        now = datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC)
        for retention, days in packed.days.items():
            await self._tables.prepare(conn, retention, days, now=now)
        if batch.samples:
            await self._commit(conn, batch, packed, staged=True)
            return
        try:
            await self._commit(conn, batch, packed, staged=False)
        except asyncpg.UniqueViolationError:
            # FIELD §7: straight is three times as fast; the one batch with a double goes the careful way.
            await self._commit(conn, batch, packed, staged=True)

    async def _commit(self, conn: Any, batch: Batch, packed: Packed, *, staged: bool) -> None:
        expected = {key: self._stored[key] for key in batch.outboxes()}
        new = self._with(batch, expected)
        letters = Letters()
        letters.merge(batch.letters)
        letters.merge(packed.letters)
        rows, duplicates = packed.rows, 0
        async with conn.transaction():
            if new and not await replace_ranges(conn, site=self._site, expected=expected, new=new):
                raise RaceLostError
            for block in packed.blocks:
                table = (await self._tables.table(conn, block.retention)).table
                if staged:
                    inserted, conflicts = await copy_staged(conn, table, block.pieces, block.columns)
                    rows -= block.rows - inserted
                    duplicates += block.rows - inserted - len(conflicts)
                    _tell(letters, conflicts, table)
                else:
                    await copy_straight(conn, table, block.pieces, block.columns)
            await self._record_gaps(conn, batch)
            await record_reports(conn, self._site, [pending.report for pending in batch.reports], letters)
            if len(letters):
                await self._letters.store(conn, letters, now_s=self._clock.monotonic_s())
        self._count(batch, rows=rows, letters=letters.count)
        self._counters.duplicate_rows += duplicates
        self._stored.update(new)
        for key, ranges in new.items():
            self._on_committed(key, ranges)

    def _with(self, batch: Batch, expected: dict[OutboxKey, RangeSet]) -> dict[OutboxKey, RangeSet]:
        new = {key: ranges.copy() for key, ranges in expected.items()}
        for pending in batch.frames:
            new[pending.key].add(pending.frame.seq)
        for gap in batch.gaps:
            new[gap.key].add(gap.gap.seq)
        for pending_report in batch.reports:
            new[pending_report.key].add(pending_report.report.seq)
        for ranges in new.values():
            ranges.compact()
        return new

    async def _record_gaps(self, conn: Any, batch: Batch) -> None:
        for pending in batch.gaps:
            gap = pending.gap
            await add_gap(
                conn,
                site=self._site,
                gateway=pending.key.gateway,
                start_us=gap.start,
                end_us=gap.end,
                reason=readable(gap.reason.encode("utf-8", errors="backslashreplace")),
                device=readable(gap.device.encode("utf-8", errors="backslashreplace")),
                frames=gap.frames,
                epoch=gap.epoch,
                seq=gap.seq,
            )

    def _count(self, batch: Batch, *, rows: int, letters: int) -> None:
        counters = self._counters
        counters.batches += 1
        counters.frames += len(batch.frames)
        counters.rows += rows
        counters.external_rows += len(batch.samples)
        counters.gaps += len(batch.gaps)
        counters.reports += len(batch.reports)
        counters.dead_letters += letters

    async def _divide(self, conn: Any, batch: Batch, error: Exception) -> None:
        """Halve a batch that the database refuses; a single frame or sample becomes a dead letter."""
        halves = _halves(batch)
        for half in halves:
            await self.write(conn, half)
        if halves:
            return
        letters = batch.letters
        for pending in batch.frames:
            await self._row_by_row(conn, pending)
        for sample in batch.samples:
            letters.add(sample.topic, "refused_by_database", detail=str(error), payload=sample.payload)
        rest = Batch(gaps=batch.gaps, reports=batch.reports, letters=letters)
        batch.frames, batch.samples, batch.packed = [], [], None
        await self.write(conn, rest)

    async def _row_by_row(self, conn: Any, pending: PendingFrame) -> None:
        """Store what the database takes of one frame; the rest becomes dead letters, and the frame is done with."""
        packed = Packer(one_by_one=True).pack([pending])
        letters = packed.letters
        key, rows = pending.key, 0
        new = {key: self._stored[key].copy()}
        new[key].add(pending.frame.seq)
        async with conn.transaction():
            if not await replace_ranges(conn, site=self._site, expected={key: self._stored[key]}, new=new):
                raise RaceLostError
            for block in packed.blocks:
                table = (await self._tables.table(conn, block.retention)).table
                for row in block.pieces:
                    try:
                        async with conn.transaction():
                            inserted, conflicts = await copy_staged(conn, table, [row], block.columns)
                    except BAD_DATA as error:
                        letters.add(pending.topic, "refused_by_database", detail=str(error), payload=row)
                        continue
                    rows += inserted
                    _tell(letters, conflicts, table)
            await self._letters.store(conn, letters, now_s=self._clock.monotonic_s())
        self._count(Batch(frames=[pending]), rows=rows, letters=letters.count)
        self._stored.update(new)
        self._on_committed(key, new[key])


def _halves(batch: Batch) -> list[Batch]:
    """Two batches with half of the frames and samples each, or none when there is but one."""
    if len(batch.frames) + len(batch.samples) <= 1:
        return []
    middle, centre = (len(batch.frames) + 1) // 2, len(batch.samples) // 2
    first = Batch(frames=batch.frames[:middle], samples=batch.samples[:centre], letters=batch.letters)
    first.gaps, first.reports = batch.gaps, batch.reports
    return [first, Batch(frames=batch.frames[middle:], samples=batch.samples[centre:])]


def _tell(letters: Letters, conflicts: Sequence[Conflict], table: str) -> None:
    for conflict in conflicts:
        letters.add(
            f"series/{conflict.series_id}",
            "conflicting_value",
            detail=f"{table} holds {conflict.stored} at {conflict.time.isoformat()}",
            payload=conflict.refused.encode(),
        )


__all__ = ["Writer"]
