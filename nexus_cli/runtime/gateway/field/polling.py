"""The reads of one session: due groups become cycles, and an error affects only what its scope names."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from nexus_cli.diagnostics.groups import Group, first_of_group
from nexus_cli.drivers.base import Driver, DriverError, ReadResult, Request, Scope, Session
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, ReadJob, answered, fail
from nexus_cli.runtime.gateway.field.device_reads import DeviceReads, SessionReplaced
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.runtime.latency import Latencies
from nexus_cli.runtime.logging import event

_log = logging.getLogger("nexus.link")
Work = Callable[[Session], Awaitable[None]]
"""Work on a session, such as a command; it handles its own errors, except a DriverError that ends the session."""
Dropped = Callable[[str], None]
Key = tuple[str, int]
Reopen = Callable[[DriverError], Awaitable[bool]]
"""Reopens a session that ended, in place; False when that fails, or would lose data."""
Wanted = tuple[DeviceRuntime, list[int]]
"""A device, and which of its intervals (ms) are due."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A poll that was begun without a task (`prompt.PromptPolls`) and is to be continued.

    Attributes:
        left: What was not begun, in order.
        device: The device whose reads were begun; None when none was.
        jobs: Its reads from the one that was interrupted on.
        outcome: What the first of them gave; None when it was not sent.
        answered: The device answered reads before it.
        began_s: When the device's cycle began, monotonic seconds.
        others: Devices before it answered.
    """

    left: Sequence[Wanted]
    device: DeviceRuntime | None = None
    jobs: Sequence[ReadJob] = ()
    outcome: ReadResult | DriverError | None = None
    answered: bool = False
    began_s: float = 0.0
    others: bool = False


class Poller:
    """Does the due reads on one session.

    Attributes:
        read_latency: Of requests that the device answered, with values or an error of its own.
        poll_latency: Of devices' cycles, from their first request until their values are handed on.
    """

    def __init__(
        self,
        session: Session,
        driver: Driver,
        *,
        clock: Clock,
        pipeline: Pipeline,
        work: WorkQueue,
        latencies: Latencies,
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
            latencies: Of `read` and `poll`.
            reopen: Reopens a session that ends during or between reads.
            reopens: Whether that may be tried now.
        """
        self._session, self._driver = session, driver
        self._clock, self._pipeline = clock, pipeline
        self._work = work
        self.read_latency, self.poll_latency = latencies["read"], latencies["poll"]
        self._reopen, self._reopens = reopen, reopens
        self._limit = asyncio.Semaphore(max(1, driver.concurrency))
        self._reopening = asyncio.Lock()
        self._turn = 0
        self._chances = CHANCES
        self._fresh = True
        self._outcome: ReadResult | DriverError | None = None

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
        known, self._outcome = self._outcome, None
        began_s = self._clock.monotonic_s()
        try:
            result = await self._session.read(request) if known is None else _given(known)
        except DriverError as error:
            if error.scope is not Scope.SESSION:
                if error.scope is not Scope.DEVICE:
                    self._chances, self._fresh = CHANCES, False
                    if known is None:
                        self.read_latency.ended(began_s)
                raise
            if not await self.again(error, turn):
                raise
            raise SessionReplaced(error) from None
        if known is None:
            self.read_latency.ended(began_s)
        self.heard()
        return result

    def heard(self) -> None:
        """The session gave an answer."""
        self._chances, self._fresh = CHANCES, False

    async def poll(self, devices: Mapping[str, DeviceRuntime], due: Sequence[tuple[Key, int]]) -> bool:
        """Read the due groups, one cycle per device; True when some device answered.

        Raises:
            DriverError: With scope SESSION.
        """
        return await self._poll(wanted_of(devices, due))

    async def resume(self, unfinished: Unfinished) -> bool:
        """Continue a poll; True when some device answered.

        Raises:
            DriverError: With scope SESSION.
        """
        answered = unfinished.others
        if unfinished.device is not None:
            self._outcome = unfinished.outcome
            answered |= await self._ask(unfinished.device, unfinished.jobs, unfinished.began_s, unfinished)
        return await self._poll(unfinished.left) or answered

    async def _poll(self, wanted: Sequence[Wanted]) -> bool:
        # Serial lines and most PLCs answer one request at a time; the driver says how many its protocol allows.
        if self._driver.concurrency > 1 and len(wanted) > 1:
            return await self._side_by_side(wanted)
        answered = False
        for device, intervals in wanted:
            answered |= await self._device(device, intervals)
        return answered

    async def _side_by_side(self, wanted: Sequence[Wanted]) -> bool:
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
        self.begin(device, intervals)
        return await self._ask(device, jobs_due(device, intervals), now_s)

    def begin(self, device: DeviceRuntime, intervals: Sequence[int]) -> None:
        """A device's reads begin."""
        device.counters.cycles += len(intervals)
        if any(interval in device.jobs for interval in intervals):
            self._pipeline.asked(
                device.path
            )  # else these are polls in place of missing reports, at their own intervals

    async def _ask(
        self, device: DeviceRuntime, jobs: Sequence[ReadJob], began_s: float, unfinished: Unfinished | None = None
    ) -> bool:
        reads = DeviceReads(
            device,
            driver=self._driver,
            clock=self._clock,
            pipeline=self._pipeline,
            read=self._read,
            before=self.work,
            fresh=self._fresh,
            reopens=self._reopen is not None and self._reopens(),
            answered=unfinished is not None and unfinished.answered,
        )
        over = False
        try:
            if self._work and self._outcome is None:
                await self.work()
            await reads.ask(jobs)
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
            if over:
                self.poll_latency.ended(began_s)
        return reads.answered and reads.dead is None


def wanted_of(devices: Mapping[str, DeviceRuntime], due: Sequence[tuple[Key, int]]) -> list[Wanted]:
    """The due groups (key, missed cycles) by device, in order; missed cycles are counted, devices that are gone left
    out."""
    wanted: dict[str, Wanted] = {}
    for (path, interval_ms), missed in due:
        device = devices.get(path)
        if device is None:
            continue
        device.counters.missed += missed
        if path in wanted:
            wanted[path][1].append(interval_ms)
        else:
            wanted[path] = device, [interval_ms]
    return list(wanted.values())


def jobs_due(device: DeviceRuntime, intervals: Sequence[int]) -> list[ReadJob]:
    """The reads of these intervals (ms), in order."""
    every = (device.jobs, device.meanwhile)
    return [job for interval in intervals for jobs in every for job in jobs.get(interval, ())]


def _given(outcome: ReadResult | DriverError) -> ReadResult:
    if isinstance(outcome, DriverError):
        raise outcome
    return outcome
