"""The reads of one session: due groups become cycles, and an error affects only what its scope names."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from nexus_cli.diagnostics.groups import Group, first_of_group
from nexus_cli.drivers.base import Driver, DriverError, ReadResult, Request, Scope, Session
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, answered, fail
from nexus_cli.runtime.gateway.field.device_reads import DeviceReads, SessionReplaced
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.runtime.logging import event

_log = logging.getLogger("nexus.link")
Work = Callable[[Session], Awaitable[None]]
"""Work on a session, such as a command; it handles its own errors, except a DriverError that ends the session."""
Dropped = Callable[[str], None]
Key = tuple[str, int]
Reopen = Callable[[DriverError], Awaitable[bool]]
"""Reopens a session that ended, in place; False when that fails, or would lose data."""
CHANCES = 3
"""How often in a row a session is reopened without an answer in between."""


class WorkQueue:
    """Work that has priority over polls, done in order, one at a time."""

    def __init__(self) -> None:
        """Start empty."""
        self._queue: deque[tuple[Work, Dropped | None]] = deque()
        self._alone = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._queue)

    def append(self, work: Work, dropped: Dropped | None) -> None:
        """Queue it; the caller bounds the queue."""
        self._queue.append((work, dropped))

    async def do(self, session: Session) -> None:
        """Do all queued work. Concurrent polls may call this: while one does the work the rest wait, so that commands
        stay in order. Raises DriverError with scope SESSION."""
        async with self._alone:
            while self._queue:
                work, _ = self._queue.popleft()
                await work(session)

    def drop(self, detail: str) -> None:
        """Drop all queued work, since the session is gone; each is notified with the detail."""
        while self._queue:
            _, dropped = self._queue.popleft()
            if dropped is not None:
                dropped(detail)


class Poller:
    """Does the due reads on one session."""

    def __init__(
        self,
        session: Session,
        driver: Driver,
        *,
        clock: Clock,
        pipeline: Pipeline,
        work: WorkQueue,
        reopen: Reopen | None = None,
        reopens: Callable[[], bool] = lambda: False,
    ) -> None:
        """Poll through a session.

        Args:
            session: An open session.
            driver: The driver of its protocol.
            clock: Time.
            pipeline: Takes the cycles.
            work: Done before each read.
            reopen: Reopens a session that ends during or between reads.
            reopens: Whether that may be tried now.
        """
        self._session, self._driver = session, driver
        self._clock, self._pipeline = clock, pipeline
        self._work = work
        self._reopen, self._reopens = reopen, reopens
        self._limit = asyncio.Semaphore(max(1, driver.concurrency))
        self._reopening = asyncio.Lock()
        self._turn = 0
        self._chances = CHANCES
        self._fresh = True

    async def work(self) -> None:
        """Do the queued work. Raises DriverError with scope SESSION."""
        if self._work:
            if not getattr(self._session, "connected", True):  # closed while idle: nothing is lost yet
                await self.again(DriverError("the connection was closed", scope=Scope.SESSION))
            await self._work.do(self._session)

    async def again(self, error: DriverError, turn: int | None = None) -> bool:
        """Reopen a session that ended; True when one is open.

        Args:
            error: Why it ended.
            turn: The number (`_turn`) of the session that ended; None for the current one.
        """
        if self._reopen is None:
            return False
        async with self._reopening:
            # Concurrent polls see the same session end: the first reopens it, the others find a newer number.
            if turn is not None and turn != self._turn:
                return True
            if not self._chances or not self._reopens():
                return False
            self._chances -= 1
            self._turn += 1
            self._fresh = True
            return await self._reopen(error)

    async def check(self) -> None:
        """Check the session, and reopen it if it has ended: many devices close an idle connection.

        Raises:
            DriverError: With scope SESSION.
        """
        turn = self._turn
        try:
            await self._session.check()
        except DriverError as error:
            if error.scope is not Scope.SESSION or not await self.again(error, turn):
                raise
            self._chances = CHANCES  # an idle close is not a failed request

    async def _read(self, request: Request) -> ReadResult:
        turn = self._turn
        try:
            result = await self._session.read(request)
        except DriverError as error:
            if error.scope is not Scope.SESSION:
                if error.scope is not Scope.DEVICE:
                    self._chances, self._fresh = CHANCES, False
                raise
            if not await self.again(error, turn):
                raise
            raise SessionReplaced(error) from None
        self._chances, self._fresh = CHANCES, False
        return result

    async def poll(self, devices: Mapping[str, DeviceRuntime], due: Sequence[tuple[Key, int]]) -> bool:
        """Read the due groups, one cycle per device; True when some device answered.

        Raises:
            DriverError: With scope SESSION.
        """
        wanted: dict[str, tuple[DeviceRuntime, list[int]]] = {}
        for (path, interval_ms), missed in due:
            device = devices.get(path)
            if device is None:
                continue
            device.counters.missed += missed
            if path in wanted:
                wanted[path][1].append(interval_ms)
            else:
                wanted[path] = device, [interval_ms]
        # Serial lines and most PLCs answer one request at a time; the driver says how many its protocol allows.
        if self._driver.concurrency > 1 and len(wanted) > 1:
            return await self._side_by_side(wanted.values())
        answered = False
        for device, intervals in wanted.values():
            answered |= await self._device(device, intervals)
        return answered

    async def _side_by_side(self, wanted: Iterable[tuple[DeviceRuntime, list[int]]]) -> bool:
        outcomes: list[bool] = []

        async def one(device: DeviceRuntime, intervals: list[int]) -> None:
            async with self._limit:
                outcomes.append(await self._device(device, intervals))

        try:
            async with Group() as group:
                for device, intervals in wanted:
                    group.create_task(one(device, intervals), name=f"poll {device.path}")
        except* DriverError as failed:
            raise first_of_group(failed) from None
        return any(outcomes)

    async def _device(self, device: DeviceRuntime, intervals: Sequence[int]) -> bool:
        now_s = self._clock.monotonic_s()
        if device.blocked_s > now_s:
            device.counters.skipped += len(intervals)
            return False
        device.counters.cycles += len(intervals)
        if any(interval in device.jobs for interval in intervals):
            self._pipeline.asked(
                device.path
            )  # else these are polls in place of missing reports, at their own intervals
        reads = DeviceReads(
            device,
            driver=self._driver,
            clock=self._clock,
            pipeline=self._pipeline,
            read=self._read,
            before=self.work,
            fresh=self._fresh,
            reopens=self._reopen is not None and self._reopens(),
        )
        over = False
        try:
            if self._work:
                await self.work()
            every = (device.jobs, device.meanwhile)
            await reads.ask([job for interval in intervals for jobs in every for job in jobs.get(interval, ())])
            over = True
            if reads.dead is not None:
                if device.reachable or not device.backoff.step:
                    event(_log, "device lost", level=logging.WARNING, device=device.path, detail=reads.dead.message)
                # In a separate cycle: the values that were read before the failure stay valid.
                cycle = self._pipeline.cycle(device.path)
                fail(device, reads.dead, self._clock.monotonic_s(), cycle)
                self._pipeline.emit(device, cycle)
            elif reads.answered:
                if not device.reachable and device.backoff.step:
                    event(_log, "device answers", device=device.path)
                answered(device)
        finally:
            # Also after a session error: what was read before it is kept.
            self._pipeline.finish(device, over=over)
        return reads.answered and reads.dead is None
