"""The reads of one session: due groups become cycles, and an error costs as little as its scope says."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from nexus_cli.diagnostics.groups import Group
from nexus_cli.drivers.base import Driver, DriverError, Scope, Session
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.device import (
    ILLEGAL_RETRY_S,
    Job,
    Running,
    answered,
    fail,
    replace_job,
    split,
)
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.runtime.logging import event

_log = logging.getLogger("nexus.link")
Work = Callable[[Session], Awaitable[None]]
"""A command's part on the device; it contains its own errors, except a DriverError that ends the session."""
Dropped = Callable[[str], None]
Key = tuple[str, int]
MOST_SPLITS = 4096


class Working:
    """What waits before polls, in order, one at a time."""

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
        """Do all that waits. Polls side by side may call this together: what one of them does, the others wait for,
        so that two commands never overtake each other. Raises DriverError with scope SESSION."""
        async with self._alone:
            while self._queue:
                work, _ = self._queue.popleft()
                await work(session)

    def drop(self, detail: str) -> None:
        """The session is gone: tell everything that waits."""
        while self._queue:
            _, dropped = self._queue.popleft()
            if dropped is not None:
                dropped(detail)


class Poller:
    """Carries out due reads on one session."""

    def __init__(self, session: Session, driver: Driver, *, clock: Clock, pipeline: Pipeline, work: Working) -> None:
        """Poll through a session; `work` goes before every read."""
        self._session, self._driver = session, driver
        self._clock, self._pipeline = clock, pipeline
        self._work = work
        self._limit = asyncio.Semaphore(max(1, driver.concurrency))

    async def work(self) -> None:
        """Do what waits before polls. Raises DriverError with scope SESSION."""
        if self._work:
            await self._work.do(self._session)

    async def poll(self, devices: Mapping[str, Running], due: Sequence[tuple[Key, int]]) -> bool:
        """Read the due groups, one cycle per device; True when some device answered.

        Raises:
            DriverError: With scope SESSION.
        """
        wanted: dict[str, tuple[Running, list[int]]] = {}
        for (path, interval_ms), missed in due:
            device = devices.get(path)
            if device is None:
                continue
            device.counters.missed += missed
            if path in wanted:
                wanted[path][1].append(interval_ms)
            else:
                wanted[path] = device, [interval_ms]
        if self._driver.concurrency > 1 and len(wanted) > 1:
            return await self._side_by_side(wanted.values())
        answered = False
        for device, intervals in wanted.values():
            answered |= await self._device(device, intervals)
        return answered

    async def _side_by_side(self, wanted: Iterable[tuple[Running, list[int]]]) -> bool:
        outcomes: list[bool] = []

        async def one(device: Running, intervals: list[int]) -> None:
            async with self._limit:
                outcomes.append(await self._device(device, intervals))

        try:
            async with Group() as group:
                for device, intervals in wanted:
                    group.create_task(one(device, intervals), name=f"poll {device.path}")
        except* DriverError as failed:
            raise _worst(failed) from None
        return any(outcomes)

    async def _device(self, device: Running, intervals: Sequence[int]) -> bool:
        now_s = self._clock.monotonic_s()
        if device.blocked_s > now_s:
            device.counters.skipped += len(intervals)
            return False
        device.counters.cycles += len(intervals)
        self._pipeline.asked(device.path)
        reached = over = False
        try:
            for job in [job for interval in intervals for job in device.jobs.get(interval, ())]:
                if job.refused is not None and now_s < job.retry_s:
                    continue
                if self._work:
                    await self.work()
                await self._job(device, job)
                reached = True
        except DriverError as error:
            if error.scope is Scope.SESSION:
                raise
            if device.reachable or not device.backoff.step:
                event(_log, "device lost", level=logging.WARNING, device=device.path, detail=error.message)
            # In a cycle of its own: what was read before was true when it was read.
            cycle = self._pipeline.cycle(device.path)
            fail(device, error, self._clock.monotonic_s(), cycle)
            self._pipeline.emit(device, cycle)
            reached, over = False, True
        else:
            over = True
            if reached:
                if not device.reachable and device.backoff.step:
                    event(_log, "device answers", device=device.path)
                answered(device)
        finally:
            # Also after an error of the session: what was read before it is kept.
            self._pipeline.finish(device, over=over)
        return reached

    async def _job(self, device: Running, job: Job) -> None:
        """One read with whatever splitting it needs. Raises DriverError with scope SESSION or DEVICE."""
        waiting = deque([job])
        splits = 0
        while waiting:
            current = waiting.popleft()
            if splits and self._work:
                await self.work()
            try:
                result = await self._session.read(current.request)
            except DriverError as error:
                if error.scope in (Scope.SESSION, Scope.DEVICE):
                    raise
                device.counters.errors += 1
                parts: list[Job] = []
                if error.scope is Scope.REQUEST and not error.retriable and splits < MOST_SPLITS:
                    parts = split(device, current, self._driver)
                if parts:
                    splits += 1
                    replace_job(device, current, parts)
                    waiting.extendleft(reversed(parts))
                else:
                    self._refused(device, current, error)
                continue
            current.refused = None
            device.normaliser.take(
                current.states,
                result.values,
                self._pipeline.ongoing(device),
                faults=result.faults,
                source_time_us=result.source_time_us,
            )

    def _refused(self, device: Running, job: Job, error: DriverError) -> None:
        device.trouble = (error.reason, error.code, error.message)
        if not error.retriable:
            if job.refused is None:
                names = ", ".join(state.name for state in job.states[:5])
                event(
                    _log, "address refused", level=logging.WARNING, device=device.path, tags=names, detail=error.message
                )
            job.refused = error
            job.retry_s = self._clock.monotonic_s() + ILLEGAL_RETRY_S
        device.normaliser.bad(job.states, error.reason, self._pipeline.ongoing(device), code=error.code)


def _worst(group: BaseExceptionGroup[DriverError]) -> DriverError:
    """The first DriverError of a group: one reason is enough to end the session."""
    for error in group.exceptions:
        return _worst(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
