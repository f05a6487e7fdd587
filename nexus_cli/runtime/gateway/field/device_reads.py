"""One device's reads in one cycle: which are retried, split or paused, and when the device counts as dead.

Reading several registers in one request is the gateway's choice. Whatever a device does with such a read, each tag must
get the result that it would get if it were read alone: a read that fails is split, and the parts are joined again when
that works (`docs/decisions/0035-reads-that-are-joined.md`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from nexus_cli.drivers.base import Driver, DriverError, ReadResult, Request, Scope
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.devices.device import (
    ILLEGAL_RETRY_S,
    DeviceRuntime,
    ReadJob,
    alone,
    join,
    join_halves,
    part,
    split,
)
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.runtime.logging import event
from nexus_cli.wire.sample import Quality

_log = logging.getLogger("nexus.link")
BUSY_S = 0.05
"""Delay before a busy device is asked again, in seconds."""
MOST_SPLITS = 4096
MOST_JOINED = 2
"""How many joined parts are tried when a failure is costly, before all points are read one by one."""
MOST_COSTLY = 8
"""How many time-outs or lost connections one split may cost per cycle; the next cycles continue it."""
MOST_SILENT, MOST_SILENT_NEW, MOST_SILENT_AWAY = 2, 2, 1
"""Consecutive requests without an answer after which a device counts as dead, even when a join is the cause (the search
for its parts continues while the device is BAD): for one that answered in the previous cycle, one that was not asked
yet, and one that did not answer."""
PROBES, COSTLY_PROBES = 8, 2
"""Points that are read alone to find out whether the join is at fault: where a failure costs nothing, and where it is
costly."""


class SessionReplaced(Exception):
    """The session ended during a read, and a new one is open.

    Attributes:
        error: Why it ended.
    """

    def __init__(self, error: DriverError) -> None:
        super().__init__(error.message)
        self.error = error


Read = Callable[[Request], Awaitable[ReadResult]]
"""Executes one read. Raises DriverError, or SessionReplaced when its session ended and a new one is open."""
Before = Callable[[], Awaitable[None]]
"""Does the work that has priority over the next read."""


class DeviceReads:
    """The reads of one device in one cycle.

    Attributes:
        answered: The device answered something, even if it was an error.
        dead: The error for which the device counts as not answering; None while it answers.
    """

    def __init__(
        self,
        device: DeviceRuntime,
        *,
        driver: Driver,
        clock: Clock,
        pipeline: Pipeline,
        read: Read,
        before: Before,
        fresh: bool,
        reopens: bool,
        answered: bool = False,
    ) -> None:
        """Prepare the cycle.

        Args:
            device: The device that is read.
            driver: Groups the points of a split read.
            clock: Time.
            pipeline: Where values go.
            read: Executes one read.
            before: Called before each read but the first.
            fresh: Nothing was answered on this connection yet: some devices drop the first requests.
            reopens: Whether a session that ends during a read can be reopened without losing data.
            answered: It answered a read of this cycle already.
        """
        self.answered = answered
        self.dead: DriverError | None = None
        self._device, self._driver, self._clock, self._pipeline = device, driver, clock, pipeline
        self._read, self._before = read, before
        self._tries, self._reopens = 1 + fresh, reopens
        self._reachable = device.reachable
        away = MOST_SILENT_AWAY if device.backoff.step else MOST_SILENT_NEW
        self._most_silent = MOST_SILENT if device.reachable else away
        self._silent = 0
        self._first: DriverError | None = None
        self._begun = False

    async def ask(self, jobs: Sequence[ReadJob]) -> None:
        """Do these reads, then try one split read as a whole again. Raises DriverError with scope SESSION."""
        if await self._is_away(jobs):
            return
        for job in self._in_turn(jobs):
            if job.retry_s > self._clock.monotonic_s():
                continue
            await self._job(job)
            if self.dead is not None:
                return
        if self.answered:
            await self._join_again()
        elif self._silent:
            self.dead = self._first

    async def _is_away(self, jobs: Sequence[ReadJob]) -> bool:
        """Read one point alone every second time that a device does not answer, since the joins may be the cause; True
        when it is dead."""
        step = self._device.backoff.step
        several = [job for job in jobs if job.several]
        if self._reachable or not step % 2 or not several:
            return False
        job = several[step // 2 % len(several)]
        points = alone(self._device, job, self._driver)
        job.probes += 1
        failed = await self._try(points[job.probes % len(points)])
        if failed is not None and failed.scope is Scope.DEVICE:
            self.dead = failed
        return self.dead is not None

    def _in_turn(self, jobs: Sequence[ReadJob]) -> list[ReadJob]:
        """Order the reads: those that ended a session come last; for a dead device each cycle starts with another
        read."""
        if any(job.losses for job in jobs):
            return sorted(jobs, key=lambda job: job.losses)
        step = self._device.backoff.step
        if step and not self._reachable and len(jobs) > 1:
            first = step % len(jobs)
            return [*jobs[first:], *jobs[:first]]
        return list(jobs)

    async def _job(self, job: ReadJob) -> None:
        answered_before = job.answered
        if job.losses > 1 and job.lost is not None and job.several:
            error: DriverError | None = job.lost  # it ended two sessions in a row: not read as a whole
        else:
            error = await self._try(job, patient=True)
        if error is None:
            return
        if error.scope is Scope.DEVICE and not self.answered:
            if await self._is_dead(job, error):
                return
            if self.answered and answered_before:
                # The device was busy, perhaps, and answers again: that is no reason to split or refuse the read.
                _note_again(self._device)
                again = await self._try(job)
                if again is None:
                    return
                error = again
        if not job.several:
            self._refuse(job, error)
        elif (
            (error.scope is Scope.REQUEST and not error.retriable)
            or error.scope is Scope.SESSION
            or await self._alone_answers(job, error)
        ):
            await self._in_parts(job, error)
        elif self.dead is None:
            self._refuse(job, error)

    async def _try(self, job: ReadJob, *, patient: bool = False) -> DriverError | None:
        """Do one read; None when it gave values. With `patient` it is retried where a second try is likely to succeed.

        Raises:
            DriverError: With scope SESSION, when the session could not be reopened.
        """
        tries = 0
        kept: ReadResult | None = None
        while True:
            if self._begun:
                await self._before()
            self._begun = True
            asked_s = self._clock.monotonic_s()
            try:
                result = await self._read(job.request)
                self._device.counters.took(self._clock.monotonic_s() - asked_s)
            except (DriverError, SessionReplaced) as failed:
                error = failed.error if isinstance(failed, SessionReplaced) else failed
                job.answered = False
                again = self._again(job, error, tries)
                if isinstance(failed, DriverError) and error.scope is Scope.SESSION:
                    raise
                if kept is not None and error.scope is not Scope.SESSION:
                    self._took(job, kept)  # the values of the first try
                    return None
                if not (patient and again):
                    return error
                tries = 0 if isinstance(failed, SessionReplaced) else tries + 1
                if error.transient:
                    await asyncio.sleep(BUSY_S)
                else:
                    _note_again(self._device)
                continue
            if patient and kept is None and is_held_up(job, result):
                kept = result
                await asyncio.sleep(BUSY_S)
                continue
            self._took(job, result)
            return None

    def _again(self, job: ReadJob, error: DriverError, tries: int) -> bool:
        """Count a failure; True when the same read is likely to be answered on another try."""
        if error.scope is Scope.SESSION:
            job.losses += 1
            job.lost = error
            self._tries = 2  # the connection is a new one
            return job.losses == 1
        self._device.counters.failed(error.reason)
        if error.scope is not Scope.DEVICE:
            self.answered = True
            return error.transient and not tries
        self._first = self._first or error
        known = self._reachable or self.answered
        again = tries < (self._tries if known else self._tries - 1)
        self._silent += known or not again  # a request that a new connection dropped proves little
        return again

    def _took(self, job: ReadJob, result: ReadResult) -> None:
        self.answered = True
        self._tries = 1
        record(self._device, job, result, self._pipeline)

    async def _is_dead(self, job: ReadJob, error: DriverError) -> bool:
        """Whether the device does not answer at all: one read, of any interval, that it answered before is tried
        once."""
        now_s = self._clock.monotonic_s()
        known = [one for jobs in self._device.jobs.values() for one in jobs if one is not job and one.answered]
        witness = next((one for one in known if one.retry_s <= now_s), None)
        if witness is not None:
            failed = await self._try(witness)
            if failed is None or failed.scope is not Scope.DEVICE:
                return False
            self.dead = error
        elif self._spent():
            self.dead = error
        return self.dead is not None

    def _spent(self) -> bool:
        """Whether the requests without an answer have reached the limit."""
        return self._silent >= self._most_silent

    async def _alone_answers(self, job: ReadJob, error: DriverError) -> bool:
        """Whether some point of a joined read is answered when it is read alone: then the join is at fault."""
        now_s = self._clock.monotonic_s()
        if job.probe_s > now_s:
            return False
        points = alone(self._device, job, self._driver)
        most = min(len(points), COSTLY_PROBES if error.scope is Scope.DEVICE else PROBES)
        step = max(1, len(points) // most)
        first, job.probes = job.probes, job.probes + 1
        for number in range(most):
            if not self.answered and self._spent():
                self.dead = error
                break
            if await self._try(points[(first + number * step) % len(points)]) is None:
                return True
        job.probe_s = now_s + job.pause.next_s()
        return False

    async def _in_parts(self, job: ReadJob, error: DriverError) -> None:
        """Split a job, and its parts again, until everything that can be answered is read."""
        device = self._device
        waiting, splits, cost = deque([job]), 0, 0
        while waiting:
            current = waiting.popleft()
            failed = error
            if current is job:
                pass
            elif cost >= MOST_COSTLY:
                device.normaliser.bad(current.states, error.reason, self._pipeline.ongoing(device), code=error.code)
                continue
            elif not current.several or cost < MOST_JOINED:
                refused = await self._try(current)
                if refused is None:
                    continue
                failed = refused
                cost += _is_costly(failed)
            parts = split(device, current, self._driver, costly=_is_costly(failed)) if splits < MOST_SPLITS else []
            if parts:
                splits += 1
                part(device, current, parts, self._clock.monotonic_s())
                waiting.extendleft(reversed(parts))
            else:
                self._refuse(current, failed)

    def _refuse(self, job: ReadJob, error: DriverError) -> None:
        """Make its tags BAD; a job that can't succeed, or whose failure is costly, is paused.

        Raises:
            DriverError: It ended the session and nothing else was answered: then this job is not the cause.
        """
        costly = _is_costly(error)
        if costly and not self.answered:
            if error.scope is Scope.SESSION:
                raise error
            return  # if nothing else is answered either, the device is the cause
        self._device.trouble = (error.reason, error.code, error.message)
        if costly or not error.retriable:
            if job.refused is None:
                names = ", ".join(state.name for state in job.states[:5])
                event(
                    _log,
                    "no answer for an address" if costly else "address refused",
                    level=logging.WARNING,
                    device=self._device.path,
                    tags=names,
                    detail=error.message,
                )
            job.refused = error
            job.retry_s = self._clock.monotonic_s() + (job.pause.next_s() if costly else ILLEGAL_RETRY_S)
        self._device.normaliser.bad(job.states, error.reason, self._pipeline.ongoing(self._device), code=error.code)

    async def _join_again(self) -> None:
        """Try one split read as a whole when its retry is due. Its parts were read in this cycle."""
        now_s = self._clock.monotonic_s()
        device = self._device
        due = [one for one in device.splits if one.retry_s <= now_s and (one.whole.lost is None or self._reopens)]
        if not due:
            return
        known = min(due, key=lambda one: one.retry_s)
        known.retry_s = now_s + known.pause.next_s()
        known.whole.losses = 0
        if await self._try(known.whole) is None:
            join(device, known)
            event(_log, "read as a whole again", device=device.path, request=known.whole.request.text)
        elif known.halves:
            join_halves(device, known, self._driver, self._clock.monotonic_s())


def record(device: DeviceRuntime, job: ReadJob, result: ReadResult, pipeline: Pipeline) -> None:
    """Pass the values of a read on, and forget what was wrong with it."""
    job.answered = True
    if job.pause.step:
        job.pause.reset()
        job.probe_s = 0.0
    if job.refused is not None:
        job.refused = None
        for known in device.splits:
            if job in known.parts:  # the missing part answers again
                known.retry_s = 0.0
    job.losses, job.lost = 0, None
    cycle = pipeline.ongoing(device)
    device.counters.answered_us = cycle.time_us
    device.normaliser.take(
        job.states,
        result.values,
        cycle,
        faults=result.faults,
        source_time_us=result.source_time_us,
        numbers=result.numbers,
    )


def is_held_up(job: ReadJob, result: ReadResult) -> bool:
    """Whether a point that had a value has none now because the device was busy."""
    return any(
        fault.transient and job.states[place].quality is not Quality.BAD for place, fault in result.faults.items()
    )


def _note_again(device: DeviceRuntime) -> None:
    """Log a retry, for comparing a device's own log with the record: an answer that comes too late has no row."""
    event(_log, "asked again", level=logging.DEBUG, device=device.path)


def _is_costly(error: DriverError) -> bool:
    """Whether the failure cost a time-out or a connection."""
    return error.scope in (Scope.SESSION, Scope.DEVICE)
