"""Polls without a task: sent from the wheel, taken in the turn that brings the answer, while nothing else is going on.

Most polls find a device that answers and a link with nothing else to do. A task would be woken twice for each of them.
Here it stays asleep: a poll that is due is sent by the wheel, and each answer sends the next request.
Whatever is out of the ordinary (an error, work for the session, a device that is away or
whose reads are split, a check that is due) is handed over to the task with all that is left of the poll; it continues
where this left off, under the rules of `polling` and `device_reads`. See docs/decisions/0065.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from nexus_cli.drivers.base import DriverError, ReadResult, Scope, Sent
from nexus_cli.drivers.door import GuardedSession
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, ReadJob, answered
from nexus_cli.runtime.gateway.field.device_reads import is_held_up, record
from nexus_cli.runtime.gateway.field.polling import Key, Poller, Unfinished, Wanted, WorkQueue, jobs_due, wanted_of
from nexus_cli.runtime.gateway.field.schedule import CheckTimer, Schedule
from nexus_cli.runtime.gateway.field.wakeup import Wakeup
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.wheel import POLL_SLACK, Wait, slack_of, wheel_of

_ANSWERS = (Scope.ITEM, Scope.REQUEST)
"""Errors that the device itself reported."""


class PromptPolls:
    """The waits of a link between two turns of its task, and the polls within them."""

    def __init__(
        self,
        session: GuardedSession,
        *,
        poller: Poller,
        devices: Mapping[str, DeviceRuntime],
        schedule: Schedule[Key],
        check: CheckTimer,
        clock: Clock,
        pipeline: Pipeline,
        work: WorkQueue,
        wake: Wakeup,
        turn: Callable[[bool], None],
    ) -> None:
        """Poll through a session while its task waits.

        Args:
            session: An open session.
            poller: What the task polls with.
            devices: The devices of the link, by path.
            schedule: When each is due.
            check: When the session is to be checked.
            clock: Time.
            pipeline: Takes the cycles.
            work: Work that goes before reads.
            wake: What the task waits for.
            turn: Called with True when a poll begins, and with False when all of it was answered.
        """
        self._session, self._poller, self._devices = session, poller, devices
        self._schedule, self._check, self._clock, self._pipeline = schedule, check, clock, pipeline
        self._work, self._wake, self._turn = work, wake, turn
        self._read_latency, self._poll_latency = poller.read_latency, poller.poll_latency
        self._read_s = self._device_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._wheel = wheel_of(self._loop)
        self._timer: Wait | asyncio.TimerHandle | None = None
        self._slack = 0
        self._may = False
        self._left: Sequence[Wanted] = ()
        self._begun = 0
        self._device: DeviceRuntime | None = None
        self._jobs: Sequence[ReadJob] = ()
        self._at = 0
        self._answered = False
        self._sent: Sent | None = None
        self._unfinished: Unfinished | None = None
        self._error: Exception | None = None

    async def wait(self, delay_s: float, *, reports: bool) -> Unfinished | None:
        """Wait until something is to be done that only the task does, and poll meanwhile.

        Args:
            delay_s: How long at most, when no poll comes before.
            reports: The link has subscriptions: its polls are the task's.

        Returns:
            What is left of a poll that was handed over.

        Raises:
            Exception: A poll found an error in the program.
        """
        if delay_s <= 0:
            await self._wake.wait(delay_s)
            return None
        self._may = self._session.prompt and not reports
        # a link with short intervals gets timers of its own: a slot would be a large part of them
        self._slack = slack_of(self._schedule.shortest_s, POLL_SLACK) if self._may else 0
        self._arm(delay_s)
        try:
            await self._wake.wait(None)
        finally:
            self._stop()
        unfinished, self._unfinished = self._unfinished, None
        error, self._error = self._error, None
        if error is not None:
            raise error
        return unfinished

    def _arm(self, delay_s: float) -> None:
        when_s = self._loop.time() + delay_s
        if self._slack:
            self._timer = self._wheel.at(when_s, self._due, slots=self._slack)
        else:
            self._timer = self._loop.call_at(when_s, self._due)

    def _stop(self) -> None:
        """The task no longer waits. A poll in between (the link is cut) ends with what was read."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        sent, self._sent = self._sent, None
        if sent is not None:
            sent.cancel()
            if self._device is not None:
                self._pipeline.finish(self._device, over=False)
        self._device = None

    def _due(self) -> None:
        self._timer = None
        try:
            self._poll()
        except Exception as error:  # noqa: BLE001 - part of the boundary of a link: its task raises it
            self._fail(error)

    def _poll(self) -> None:
        if self._wake.is_over:  # in this turn: what is due is the task's
            return
        now_s = self._clock.monotonic_s()
        if not self._may or self._work or now_s >= self._check.next_s:
            self._wake.end()
            return
        due = self._schedule.pop_due(now_s)
        if not due:
            self._go_on(now_s)
            return
        self._wake.hold()
        self._turn(True)
        self._left, self._begun = wanted_of(self._devices, [(key, one.missed) for key, one in due]), 0
        self._answered = False
        self._next_device(now_s)

    def _next_device(self, now_s: float) -> None:
        while self._begun < len(self._left):
            device, intervals = self._left[self._begun]
            jobs = jobs_due(device, intervals)
            if self._work or not _is_plain(device, jobs, now_s):
                self._hand_over()
                return
            self._begun += 1
            self._poller.begin(device, intervals)
            self._device, self._jobs, self._at = device, jobs, 0
            self._device_s = now_s
            self._next_read(now_s)
            return
        self._over(now_s)

    def _next_read(self, now_s: float) -> None:
        device = self._device
        assert device is not None
        if self._at == len(self._jobs):
            answered(device)
            self._answered, self._device = True, None
            self._pipeline.finish(device)
            over_s = self._clock.monotonic_s()
            self._poll_latency.add(self._device_s, over_s)
            self._next_device(over_s)
            return
        if self._at and self._work:
            self._hand_over()
            return
        self._read_s = now_s
        self._sent = self._session.send(self._jobs[self._at].request, self._taken)
        if self._sent is None:
            self._hand_over()

    def _taken(self, result: ReadResult | Exception | None) -> None:
        self._sent = None
        try:
            self._take(result)
        except Exception as error:  # noqa: BLE001 - part of the boundary of a link: its task raises it
            self._fail(error)

    def _take(self, result: ReadResult | Exception | None) -> None:
        device, job = self._device, self._jobs[self._at]
        assert device is not None
        now_s = self._clock.monotonic_s()
        if isinstance(result, ReadResult) or (isinstance(result, DriverError) and result.scope in _ANSWERS):
            self._read_latency.add(self._read_s, now_s)
        if (
            result is None
            or isinstance(result, DriverError)
            or (isinstance(result, ReadResult) and is_held_up(job, result))
        ):
            self._hand_over(result)
            return
        if isinstance(result, Exception):
            raise result
        self._poller.heard()
        device.counters.took(now_s - self._read_s)
        record(device, job, result, self._pipeline)
        self._at += 1
        self._next_read(self._clock.monotonic_s())

    def _over(self, now_s: float) -> None:
        self._turn(False)
        if not self._wake.release():
            self._go_on(now_s)

    def _go_on(self, now_s: float) -> None:
        following_s = self._schedule.next_s()
        until_s = self._check.next_s
        self._arm((until_s if following_s is None else min(until_s, following_s)) - now_s)

    def _hand_over(self, outcome: ReadResult | DriverError | None = None) -> None:
        left, device = self._left[self._begun :], self._device
        self._device = None
        self._unfinished = Unfinished(
            left=left,
            device=device,
            jobs=self._jobs[self._at :] if device is not None else (),
            outcome=outcome,
            answered=device is not None and self._at > 0,
            began_s=self._device_s,
            others=self._answered,
        )
        self._wake.release()
        self._wake.end()

    def _fail(self, error: Exception) -> None:
        device, self._device = self._device, None
        self._error = error
        if device is not None:
            self._pipeline.finish(device, over=False)
        self._wake.release()
        self._wake.end()


def _is_plain(device: DeviceRuntime, jobs: Sequence[ReadJob], now_s: float) -> bool:
    """Whether a device answered its last reads, so that nothing has to be tried, joined or left out."""
    if not device.reachable or device.splits or device.blocked_s > now_s or not jobs:
        return False
    return all(job.retry_s <= now_s and not job.losses for job in jobs)
