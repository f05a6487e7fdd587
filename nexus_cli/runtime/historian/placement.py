"""Decides what happens to a batch: stored, divided, deferred, or in the end a dead letter. A bad row affects only
itself.

There are four cases. The database is unreachable, or slow for everything: the error is raised, the same batch is tried
again, and nothing is given up. A lock is held: late samples are deferred, new ones make everything wait. Only this
batch is too slow: it is divided. The database refuses a value: the batch is divided down to the row.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from nexus_cli.database.errors import DATA_ERRORS, Trouble, one_line, trouble_of
from nexus_cli.database.raised import LockBusy, PostgresError
from nexus_cli.database.session import commit_something
from nexus_cli.database.stopped import end_stopped
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.historian.batch import DAY_US, Batch
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.dead_letters import DeadLetters
from nexus_cli.runtime.historian.deferred_batches import (
    MOST_SLOW,
    DeferredBatch,
    DeferredBatches,
    by_day,
    halves,
    is_late,
)
from nexus_cli.runtime.historian.writer import Writer
from nexus_cli.runtime.logging import event

_log = logging.getLogger("nexus.historian.writer")
MOST_MEETINGS = 3
"""How often a batch that conflicts with another transaction is retried at once."""
ASIDE_LOCK_S = 0.5
"""Lock time-out for deferred batches, in seconds, since other batches wait meanwhile."""
PROBE_S = 5.0


class Placement:
    """Passes batches to the writer. It has no loop; connection errors are raised."""

    def __init__(self, *, site: str, writer: Writer, clock: Clock, counters: Counters) -> None:
        """Use one writer of a site."""
        self._site, self._writer, self._clock, self._counters = site, writer, clock, counters
        self._deferred = DeferredBatches()
        self._met_lock = False

    @property
    def waiting(self) -> int:
        """Deferred samples, which alone can't be stored now."""
        return self._deferred.points

    def pause_s(self) -> float | None:
        """Seconds until a deferred part is due; None when there is none."""
        due_s = self._deferred.next_s
        return None if due_s is None else max(0.0, due_s - self._clock.monotonic_s())

    async def write(self, conn: Any, batch: Batch) -> None:
        """Store a batch, and retry the deferred parts that are due; a bad row affects only itself.

        Raises:
            OSError, PostgresError: The connection or the database failed: reconnect and write the same batch again.
                Parts of it that are stored are not stored twice.
        """
        self._deferred.without_waiting(batch)
        parts = by_day(batch, today=self._today()) if len(self._deferred) else []
        if len(parts) > 1:  # late samples may be blocked by the same lock again; new ones do not wait for that
            await self._parts(conn, batch, parts)
        else:
            await self._place(conn, batch)
        batch.frames, batch.samples, batch.gaps, batch.reports, batch.packed = [], [], [], [], None
        batch.letters = DeadLetters()
        for piece in self._deferred.due(now_s=self._clock.monotonic_s()):
            await self._again(conn, piece)
        self._met_lock = self._met_lock and len(self._deferred) > 0

    async def finish(self, conn: Any) -> None:
        """At a stop, retry everything deferred once. Gateways send again what is not stored now."""
        for piece in self._deferred.due(now_s=float("inf")):
            await self._again(conn, piece)

    async def _place(self, conn: Any, batch: Batch) -> None:
        """Store a batch; what can't be stored now is deferred, what the database refuses becomes dead letters."""
        meetings = 0
        while True:
            try:
                await self._writer.store(conn, batch, lock_s=self._patience_s(batch))
                return
            except DATA_ERRORS as error:
                if not batch.frames and not batch.samples:
                    raise
                _log.warning("the database refuses a batch of %d frames: %s", len(batch.frames), error)
                await self._divide(conn, batch, error)
                return
            except PostgresError as error:
                trouble = trouble_of(error)
                if trouble is Trouble.SLOW:
                    await self._slow(conn, batch, error)
                    return
                if trouble is not Trouble.BUSY:
                    raise
                meetings += 1
                self._counters.retries += 1
                if meetings < MOST_MEETINGS and await self._way_is_free(conn, error):
                    continue
                await self._locked(conn, batch, error)
                return

    async def _way_is_free(self, conn: Any, error: PostgresError) -> bool:
        """True when an immediate retry may succeed: after a deadlock, or once the session of a suspended writer was
        ended."""
        if not isinstance(error, LockBusy):
            return True
        ended = await end_stopped(conn, site=self._site)
        for each in ended:
            event(
                _log,
                "ended the session of a writer that was stopped",
                level=logging.WARNING,
                session=each.application,
                age_s=round(each.age_s),
            )
        return bool(ended)

    def _patience_s(self, batch: Batch) -> float:
        """Lock time-out in seconds; 0 for the session's own. It is short for late samples once they were blocked by a
        lock."""
        return ASIDE_LOCK_S if self._met_lock and is_late(batch, today=self._today()) else 0.0

    def _today(self) -> int:
        return self._clock.now_us() // DAY_US

    async def _locked(self, conn: Any, batch: Batch, error: PostgresError) -> None:
        """A lock blocks this batch: defer late samples; new samples make everything wait."""
        self._met_lock = True
        parts = by_day(batch, today=self._today())
        if len(parts) > 1:
            await self._parts(conn, batch, parts)
            return
        if not is_late(batch, today=self._today()) or not self._deferred.has_room(batch):
            raise error
        self._defer(batch, error)

    async def _slow(self, conn: Any, batch: Batch, error: PostgresError) -> None:
        """A statement took too long: divide the batch, unless the database is slow for everything."""
        await self._probe(conn)
        parts = by_day(batch, today=self._today())
        if len(parts) < 2:
            parts = halves(batch)
        if parts:
            _log.warning("a batch of %d frames takes too long and is divided: %s", len(batch.frames), error)
            await self._parts(conn, batch, parts)
            return
        if (not batch.frames and not batch.samples) or not self._deferred.has_room(batch):
            raise error
        self._defer(batch, error, slow=1)

    def _defer(self, batch: Batch, error: PostgresError, *, slow: int = 0) -> None:
        if not len(self._deferred):
            event(_log, "samples wait aside, the others are stored", level=logging.WARNING, cause=one_line(error))
        waiting = Batch(frames=batch.frames, gaps=batch.gaps, reports=batch.reports, samples=batch.samples)
        waiting.letters.merge(batch.letters)
        self._deferred.put(
            DeferredBatch(batch=waiting, why=one_line(error), slow=slow, rows_before=self._counters.rows),
            now_s=self._clock.monotonic_s(),
        )

    async def _parts(self, conn: Any, batch: Batch, parts: Sequence[Batch]) -> None:
        """Store the parts of a batch. Stored parts are removed from it, so that the batch can be retried after a
        loss."""
        first = parts[0]
        first.gaps, first.reports, first.letters = batch.gaps, batch.reports, batch.letters
        for number, part in enumerate(parts):
            await self._place(conn, part)
            rest = parts[number + 1 :]
            batch.gaps, batch.reports, batch.packed = [], [], None
            batch.letters.clear()
            batch.frames = [pending for each in rest for pending in each.frames]
            batch.samples = [sample for each in rest for sample in each.samples]

    async def _again(self, conn: Any, piece: DeferredBatch) -> None:
        """Retry a deferred part, with short time-outs."""
        try:
            await self._writer.store(conn, piece.batch, lock_s=ASIDE_LOCK_S)
        except DATA_ERRORS as error:
            await self._divide(conn, piece.batch, error)
        except PostgresError as error:
            trouble = trouble_of(error)
            if trouble not in (Trouble.BUSY, Trouble.SLOW):
                raise
            piece.why = one_line(error)
            if trouble is Trouble.SLOW:
                await self._probe(conn)  # slow for everything: that is no reason to give up a sample
                piece.slow += 1
            if piece.slow < MOST_SLOW or self._counters.rows == piece.rows_before:
                self._deferred.again(piece, now_s=self._clock.monotonic_s())
                return
            await self._writer.give_up(conn, piece.batch, why=f"{piece.slow} times, others were stored: {piece.why}")
        self._deferred.remove(piece)
        if not len(self._deferred):
            event(_log, "no batch is deferred any more")

    async def _divide(self, conn: Any, batch: Batch, error: Exception) -> None:
        """Halve a batch that the database refuses; a single frame or sample is stored row by row."""
        parts = halves(batch)
        if parts:
            await self._parts(conn, batch, parts)
        else:
            await self._writer.give_up(conn, batch, why=one_line(error))

    async def _probe(self, conn: Any) -> None:
        """Commit something small; raises when even that is too slow, since the database is then slow for everything."""
        await commit_something(conn, statement_s=PROBE_S)
