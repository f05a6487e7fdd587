"""Stores dead letters whose reason is cured, when control gives them back.

A letter takes the way of any message: it is read with the present series, assignments and rules, packed, and copied through
the staging table, which leaves a row that is there already. What was stored and that the letter is gone is one transaction,
so a cut in between stores nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from nexus_cli.database.errors import DATA_ERRORS, one_line
from nexus_cli.database.letter_retries import AskedLetter, LetterLeft, next_asked, settle_asked, take_asked
from nexus_cli.database.rollup_tables import mark_changed
from nexus_cli.database.samples import SampleTables, copy_staged
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.historian.assignments import Assignments
from nexus_cli.runtime.historian.batch import Batch
from nexus_cli.runtime.historian.command_rows import record_reports
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.database_link import DatabaseLink, StoppedError
from nexus_cli.runtime.historian.dead_letters import DeadLetters
from nexus_cli.runtime.historian.external_topics import ExternalTopics
from nexus_cli.runtime.historian.holes import RefusalGaps
from nexus_cli.runtime.historian.letter_messages import again
from nexus_cli.runtime.historian.mapping import SeriesMap
from nexus_cli.runtime.historian.packing import Packed, Packer
from nexus_cli.runtime.historian.reading import Reader
from nexus_cli.runtime.historian.time_bounds import TimeBounds
from nexus_cli.runtime.historian.writer import REFUSED
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.signed_values import REASONS
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics

_log = logging.getLogger("nexus.historian.letters")
AT_ONCE = 200
FINAL = {
    "foreign_epoch": "its epoch belongs to another gateway",
    "conflicting_value": "another value is stored at its time",
    **dict.fromkeys(REASONS, "who sent it was not proven when it came, and can't be now"),
}
"""Reasons that no declaration cures."""


class _Read(NamedTuple):
    """A letter that was read again: what is to be stored, how many samples that is, what is refused once more."""

    batch: Batch
    packed: Packed
    samples: int
    letters: DeadLetters


class LetterRetries:
    """Stores what can be stored of the letters that were given back."""

    def __init__(
        self, *, link: DatabaseLink, topics: Topics, site: str, bounds: TimeBounds, clock: Clock, counters: Counters
    ) -> None:
        """Use its own link and its own view of the recorded state: nothing else waits for it."""
        self._link, self._topics, self._site, self._clock, self._counters = link, topics, site, clock, counters
        self._data = f"{topics.platform}/data/"
        mine = Counters()
        self._series, self._assignments = SeriesMap(site=site), Assignments(site=site)
        self._external = ExternalTopics(
            topics=topics, site=site, series=self._series, counters=mine, wall_us=clock.wall_us
        )
        self._reader = Reader(
            topics=topics, series=self._series, assignments=self._assignments, bounds=bounds, counters=mine
        )
        self._tables = SampleTables(site=site)
        self._holes = RefusalGaps(site=site, clock=clock)
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until stopped."""
        while not stop.is_set():
            if not await wait_for(self._wake, timeout_s=0.5):
                continue
            self._wake.clear()
            try:
                await self._link.use(self._round, stop=stop)
            except StoppedError:
                return
            await self._link.close()  # it is rarely needed

    def look(self) -> None:
        """Letters were given back."""
        self._wake.set()

    async def _round(self, conn: Any) -> None:
        """Take all letters that wait. What is recorded is read once more for each portion: it may be what cures them."""
        while asked := await next_asked(conn, site=self._site, limit=AT_ONCE):
            self._tables.forget()
            await self._series.load(conn)
            await self._assignments.load(conn)
            await self._external.load(conn)
            stored = sum([await self._retry(conn, letter) for letter in asked])
            event(_log, "dead letters were retried", letters=len(asked), stored=stored)

    async def _retry(self, conn: Any, letter: AskedLetter) -> bool:
        """Store one letter, or write why not; True when nothing is left of it."""
        read, why = self._read(letter)
        left: Sequence[LetterLeft] | None
        if read is None:
            left = [_same(letter, why)]
        else:
            try:
                left = await self._store(conn, letter, read)
            except DATA_ERRORS as error:
                left = [_same(letter, one_line(error), reason=REFUSED)]
            else:
                return left is None or not left
        async with conn.transaction():
            if await take_asked(conn, number=letter.id) is not None:
                await settle_asked(conn, number=letter.id, left=left)
        return False

    def _read(self, letter: AskedLetter) -> tuple[_Read | None, str]:
        """Read a letter as its message was read; None and why, when nothing can be stored."""
        if letter.reason in FINAL:
            return None, FINAL[letter.reason]
        message, samples, why = again(letter, data=self._data)
        if message is None:
            return None, why
        batch = Batch()
        if self._reader.take(batch, message, final=True) is None:
            self._take_other(batch, message, letter)
        packed = Packer().pack(batch.frames, batch.samples)
        letters = DeadLetters()
        letters.merge(batch.letters)
        letters.merge(packed.letters)
        letters.refuse(batch.refusals())
        if not batch.numbered() and not batch.samples and not len(letters):
            ahead = (
                "its time is still ahead" if message.topic.startswith(self._data) else "no declared tag has its topic"
            )
            return None, ahead
        return _Read(batch, packed, samples, letters), ""

    def _take_other(self, batch: Batch, message: Message, letter: AskedLetter) -> None:
        """A message of another publisher. Without a time of its own it has that of its first receipt."""
        sample = self._external.take(message, now_us=letter.time_us, letters=batch.letters)
        if any(reason == "bad_time" for (_, reason), _ in batch.letters.items()):  # it was ahead of us then
            batch.letters.clear()
            sample = self._external.take(message, now_us=self._clock.now_us(), letters=batch.letters)
        if sample is not None:
            batch.samples.append(sample)

    async def _store(self, conn: Any, letter: AskedLetter, read: _Read) -> list[LetterLeft] | None:
        """Store what can be stored, and say what is left of the letter, None when another historian has it.

        Raises:
            DATA_ERRORS: Nothing of it was stored.
        """
        now = datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC)
        for retention, hours in read.packed.hours.items():
            await self._tables.prepare(conn, retention, {hour // 24 for hour in hours}, now=now)
        letters, rows = DeadLetters(), 0
        letters.merge(read.letters)
        async with conn.transaction():
            count = await take_asked(conn, number=letter.id)
            if count is None:
                return None
            for block in read.packed.blocks:
                made = await self._tables.table(conn, block.retention)
                inserted, conflicts = await copy_staged(conn, made, block.pieces, block.columns)
                rows += inserted
                for each in conflicts:
                    detail = f"{made.table} holds {each.stored} at {each.time.isoformat()}"
                    letters.add(letter.topic, "conflicting_value", detail=detail, payload=each.refused.encode())
            for retention, hours in read.packed.hours.items():
                await mark_changed(conn, (await self._tables.table(conn, retention)).table, hours)
            batch = read.batch
            gaps = [(pending.key.gateway, pending.gap) for pending in batch.gaps if pending.refusal is None]
            await self._holes.record(conn, gaps, letters)
            reports = [pending.report for pending in batch.reports if pending.refusal is None]
            await record_reports(conn, self._site, reports, letters)
            left = _left(letter, letters, count=count, samples=read.samples)
            await settle_asked(conn, number=letter.id, left=left)
        self._counters.rows += rows
        return left


def _same(letter: AskedLetter, why: str, *, reason: str = "") -> LetterLeft:
    return LetterLeft(letter.topic, reason or letter.reason, why, letter.payload, letter.count)


def _left(letter: AskedLetter, letters: DeadLetters, *, count: int, samples: int) -> list[LetterLeft]:
    """What is left of a letter: what was refused again, and the values that were only counted."""
    left = [LetterLeft(topic, reason, one.detail, one.payload, one.count) for (topic, reason), one in letters.items()]
    counted = count - samples
    if counted <= 0:
        return left
    if left and left[0].count >= samples:  # nothing of it could be stored
        return [replace(left[0], count=count), *left[1:]]
    detail = f"{counted} alike were counted, and their payloads were not kept: only the first was stored"
    return [*left, LetterLeft(letter.topic, letter.reason, detail, "", counted)]


__all__ = ["LetterRetries"]
