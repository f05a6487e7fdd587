"""The queue of alert changes for the database: ordered, bounded, and on disk while the database is unreachable."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import msgspec

from nexus_cli.alarms.stored import encode_timers
from nexus_cli.alarms.timers import StoredTimer, StoredTimers
from nexus_cli.database import alert_journal
from nexus_cli.database import alert_states as rows
from nexus_cli.database.connect import Connection, Pool, is_lost, plain_errors
from nexus_cli.database.leader import LeadLost
from nexus_cli.database.raised import PostgresError
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock, SystemClock
from nexus_cli.runtime.control.waiting import first_of
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings
from nexus_cli.wire.alert import Alert, AlertEvent
from nexus_cli.wire.control import as_object, encode

MAX_CHANGES = 50_000
"""Changes that wait for the database; when it is full the oldest is dropped, counted and logged."""
RETRY_S = 1.0
KEPT_S = 2.0
"""How long an answer to a person waits for the record, in seconds."""
BATCH = 100
"""Changes stored in one transaction."""
FIRST_DROP_S, DROP_EVERY_S, DROP_AGAIN_S = 60.0, 3600.0, 10.0
"""When old lines of the journal are deleted: after a start, then hourly, and sooner while some are left."""

_log = logging.getLogger("nexus.alerts")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """An alert after a change.

    Attributes:
        facts: The published document; of a flood only its name, "".
        pending: A condition that holds without being active yet.
        timers: What else runs in it.
        changed: True when there is a line for the journal; False when only what runs in it changed.
        event: That line; None in a file of an earlier version, where it is the state itself.
    """

    facts: Alert
    pending: StoredTimer | None = None
    timers: StoredTimers | None = None
    changed: bool = True
    event: AlertEvent | None = None

    def line(self) -> AlertEvent | None:
        """What goes into the journal."""
        if not self.changed or self.event is not None:
            return self.event
        facts = self.facts
        return AlertEvent(kind=facts.state, at=facts.since, state=facts.state, who=facts.acknowledged_by or "")


class AlertRecord:
    """The queue of changes and the task that stores them.

    Attributes:
        dropped: Changes that were dropped from a full queue.
        refused: Changes that the database refused.
    """

    def __init__(self, *, settings: Settings, pool: Pool, spool: Path, clock: Clock | None = None) -> None:
        """Store into a pool.

        Args:
            settings: The site.
            pool: Refuses writes once the leader's term is over.
            spool: A file that keeps the queue while the database is unreachable, for the next start of control.
            clock: Instead of the system's clock.
        """
        self._clock = clock or SystemClock()
        self._drop_at_s = self._clock.monotonic_s() + FIRST_DROP_S
        self._settings, self._pool, self._spool = settings, pool, spool
        self._waiting: deque[Change] = deque()
        self._wake = asyncio.Event()
        self._spooled = False
        self._over = False
        self._added = 0
        self._moved = asyncio.Event()
        self.dropped = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, change: Change) -> None:
        """Queue a change; never waits. After the end of the term it is ignored."""
        if self._over:
            return
        if not change.changed and self._waiting and not self._waiting[-1].changed:
            last = self._waiting[-1]
            if last.facts.name == change.facts.name:
                self._added -= 1
                self._waiting.pop()  # of changes that are only pending the newest counts
        if len(self._waiting) >= MAX_CHANGES:
            self._waiting.popleft()
            self.dropped += 1
            if self.dropped == 1:
                event(_log, "changes of alerts are dropped: too many wait for the database", level=logging.WARNING)
        self._waiting.append(change)
        self._added += 1
        if self._spooled:
            self._write([change], "ab")
        self._wake.set()

    async def kept(self, *, timeout_s: float = KEPT_S) -> None:
        """Wait until what is queued now is stored or in the file, at most so long: what a person did is not lost when this
        process is killed after its answer."""
        ahead = self._added
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._added - len(self._waiting) < ahead and not self._spooled and not self._over:
                    self._moved.clear()
                    await self._moved.wait()

    def recover(self) -> list[Change]:
        """Load the changes that the previous process could not store; they are stored first."""
        try:
            lines = self._spool.read_bytes().splitlines()
        except OSError:
            return []
        found: list[Change] = []
        for line in lines[-MAX_CHANGES:]:
            try:
                found.append(msgspec.json.decode(line, type=Change))
            except (
                msgspec.MsgspecError,
                UnicodeDecodeError,
                RecursionError,
            ):  # the incomplete last line of a killed process
                continue
        self._waiting.extendleft(reversed(found))
        self._added += len(found)
        self._spooled = bool(found)
        self._wake.set()
        return found

    async def run(self, stop: asyncio.Event) -> None:
        """Store changes, in order, until stopped."""
        while not stop.is_set():
            while self._waiting and not stop.is_set():
                stored = await self._store()
                self._moved.set()
                if not stored:
                    await wait_for(stop, timeout_s=RETRY_S)
            self._wake.clear()
            if not self._waiting and not stop.is_set():
                left_s = max(0.0, self._drop_at_s - self._clock.monotonic_s())
                await first_of(stop, self._wake, timeout_s=left_s)
                if self._clock.monotonic_s() >= self._drop_at_s and not stop.is_set():
                    await self._drop_old()

    async def drain(self) -> None:
        """At the end: store the queue, if the database answers; otherwise it is in the spool."""
        while self._waiting and await self._store():
            pass

    async def _store(self) -> bool:
        """Store the oldest changes; False when the database is unreachable."""
        batch = list(islice(self._waiting, BATCH))
        try:
            with plain_errors(self._settings):
                await self._write_rows(batch)
        except LeadLost:
            self._forget()
            return False
        except NexusError:
            if not self._spooled:
                self._spooled = self._write(self._waiting, "wb")
            return False
        for change in batch:  # the oldest may have been dropped meanwhile
            if self._waiting and self._waiting[0] is change:
                self._waiting.popleft()
        if self._spooled and not self._waiting:
            self._spool.unlink(missing_ok=True)
            self._spooled = False
        return True

    def _forget(self) -> None:
        """Drop the queue, since the term is over. Changes that are not on disk are from after the loss of the lead, or
        the next leader records them.

        The file is kept: it was written while this control led, or the next leader already uses it.
        """
        event(_log, "changes of alerts are not stored: another control leads", changes=len(self._waiting))
        self._waiting.clear()
        self._over = True

    async def _write_rows(self, batch: list[Change]) -> None:
        try:
            async with self._pool.acquire() as conn:
                for change in batch:
                    await self._row(conn, change)
        except PostgresError as error:
            if is_lost(error):
                raise
            await self._one_by_one(batch)

    async def _one_by_one(self, batch: list[Change]) -> None:
        """The database refuses part of a batch: store the rest, and log what was refused."""
        for change in batch:
            try:
                async with self._pool.acquire() as conn:
                    await self._row(conn, change)
            except PostgresError as error:
                if is_lost(error):
                    raise
                self.refused += 1
                cause = f"{type(error).__name__}: {error}"
                event(_log, "alert not stored", level=logging.WARNING, alert=change.facts.name, cause=cause[:200])

    async def _row(self, conn: Connection, change: Change) -> None:
        site, event = self._settings.site, change.line()
        if not change.facts.name:
            if event is not None:
                await alert_journal.add(conn, site, change.facts, event)
            return
        pending = None if change.pending is None else as_object(change.pending)
        timers = None if change.timers is None else encode_timers(change.timers)
        await rows.write(conn, site, change.facts, pending=pending, timers=timers, event=event)

    async def _drop_old(self) -> None:
        """Delete the oldest lines of the journal, at most so many at once; again in an hour, or soon while there are more."""
        try:
            with plain_errors(self._settings):
                async with self._pool.acquire() as conn:
                    dropped = await alert_journal.drop_old(conn, self._settings.site)
        except (LeadLost, NexusError) as error:
            event(_log, "old lines of the journal are not deleted", cause=str(error))
            dropped = 0
        self._drop_at_s = self._clock.monotonic_s() + (DROP_AGAIN_S if dropped else DROP_EVERY_S)

    def _write(self, changes: Iterable[Change], mode: str) -> bool:
        try:
            self._spool.parent.mkdir(parents=True, exist_ok=True)
            with self._spool.open(mode) as file:
                file.writelines(encode(change) + b"\n" for change in changes)
        except OSError as error:
            event(_log, "changes of alerts can't be kept on disk", level=logging.WARNING, cause=str(error))
            return False
        return True
