"""The subscriptions of one session: opens them, renews them after a change or a failure, and forwards their values.

A device reports changes only, so the gateway repeats an unchanged value when its heartbeat is due.

A tag that a device does not report (the node does not exist yet, the server's limit of items is reached, it ended the
subscription) is polled meanwhile and subscribed again with a back-off; neither the link nor the other tags are
affected. Subscribed tags that are silent are read from time to time (`silence`), since a device may lose a subscription
without notice.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nexus_cli.backoff import Backoff
from nexus_cli.drivers.base import (
    Driver,
    DriverError,
    Fault,
    Notification,
    Point,
    ReadResult,
    Request,
    Scope,
    Session,
    Subscription,
)
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, answered, fail
from nexus_cli.runtime.gateway.devices.normaliser import TagState
from nexus_cli.runtime.gateway.field.silence import SILENT_S, SilenceWatch, Verdict, WatchedPoint
from nexus_cli.runtime.gateway.field.spacing import spaced
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.runtime.logging import event

_log = logging.getLogger("nexus.link")
SCAN_S = 0.5
"""How often heartbeats are checked, in seconds: one comes at most half of this early or late."""
RETRY_FIRST_S, RETRY_LONGEST_S = 2.0, 60.0
"""Delays between attempts to subscribe tags that a device does not report, in seconds."""
MOST_NAMED = 3
"""How many devices are named with their limits."""
EARLY_US = int(SCAN_S * 500_000)


class PollMeanwhile(Protocol):
    """Polls exactly these points of a device in place of their reports; an empty list ends it."""

    def __call__(self, device: DeviceRuntime, points: Sequence[Point], /) -> None: ...


@dataclass(slots=True)
class _Kept:
    """One device's subscription.

    Attributes:
        retry_s: When the missing tags are subscribed again, monotonic seconds; infinity while all are reported.
    """

    device: DeviceRuntime
    subscription: Subscription
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=RETRY_FIRST_S, cap_s=RETRY_LONGEST_S))
    retry_s: float = math.inf

    @property
    def text(self) -> str:
        """The effect of the device's limits, for people."""
        notes = "; ".join(self.device.limits)
        count = len(self.device.lacking)
        return f"{count} tag{'s are' if count > 1 else ' is'} polled, not reported ({notes})" if count else notes


class Subscriptions:
    """Keeps one subscription per device that reports changes.

    Attributes:
        next_s: When it is next due, monotonic seconds; infinity while it is idle.
        limits: The effects of the devices' limits, one sentence for people; "" without any.
    """

    def __init__(
        self, session: Session, *, driver: Driver, clock: Clock, pipeline: Pipeline, meanwhile: PollMeanwhile
    ) -> None:
        """Subscribe through a session of a driver."""
        self.limits = ""
        self._session, self._driver = session, driver
        self._silence = SilenceWatch()
        self._look_s = 0.0
        self._clock, self._pipeline, self._meanwhile = clock, pipeline, meanwhile
        self._open: dict[str, _Kept] = {}
        self._beat_s = math.inf
        self._since_us: dict[str, int] = {}
        self._devices: Mapping[str, DeviceRuntime] = {}
        self._beating: dict[str, list[TagState]] = {}

    @property
    def next_s(self) -> float:
        """When a heartbeat check, a retry of a missing tag, or a read of a silent one is due."""
        retry_s = min((one.retry_s for one in self._open.values()), default=math.inf)
        return min(self._beat_s, retry_s, max(self._look_s, self._silence.next_s))

    @property
    def open(self) -> bool:
        """Whether there is any subscription."""
        return bool(self._open)

    @property
    def wanted(self) -> bool:
        """Whether some device is to report, so that each turn of the link has to see to it."""
        return bool(self._open) or any(device.reported for device in self._devices.values())

    async def renew(self, devices: Mapping[str, DeviceRuntime]) -> None:
        """Open missing subscriptions and close those of removed devices; unchanged devices are not touched.

        Raises:
            DriverError: With scope SESSION.
        """
        self._devices = devices
        for path, kept in list(self._open.items()):
            if devices.get(path) is not kept.device:
                del self._open[path]
                self._beating.pop(path, None)
                self._silence.forget(path)
                await kept.subscription.close()
            elif kept.device.lacking or kept.subscription.faults:
                await self._ask_again(kept)
        for device in list(devices.values()):
            if device.reported and not device.subscribed and device.blocked_s <= self._clock.monotonic_s():
                await self._subscribe(device)
        limits = [
            f"{path}: {kept.text}" for path, kept in self._open.items() if kept.device.lacking or kept.device.limits
        ]
        more = f"; and {len(limits) - MOST_NAMED} more" if len(limits) > MOST_NAMED else ""
        self.limits = "; ".join(limits[:MOST_NAMED]) + more

    async def _ask_again(self, kept: _Kept) -> None:
        """Poll the missing tags, and subscribe them again when their retry is due."""
        now_s = self._clock.monotonic_s()
        self._apply_faults(kept)
        if now_s < kept.retry_s:
            return
        try:
            await kept.subscription.retry()
        except DriverError as error:
            if error.scope is Scope.SESSION:
                raise
        kept.retry_s = self._clock.monotonic_s() + kept.backoff.next_s()
        self._apply_faults(kept)

    def _apply_faults(self, kept: _Kept) -> None:
        """Poll exactly the tags that are not reported now; log it when that has changed."""
        device, lacking = kept.device, frozenset(kept.subscription.faults)
        if lacking and kept.retry_s == math.inf:
            kept.retry_s = self._clock.monotonic_s() + kept.backoff.next_s()
        elif not lacking:
            kept.backoff.reset()
            kept.retry_s = math.inf
        notes = tuple(kept.subscription.notes())
        if lacking != device.lacking:
            points = [point for point in device.reported if point.name in lacking]
            self._meanwhile(device, points)
            names = ", ".join([point.name for point in points][:5])
            if points:
                detail = f"polled until they are; {'; '.join(notes)}"
                event(
                    _log, "tags are not reported", level=logging.WARNING, device=device.path, tags=names, detail=detail
                )
            else:
                event(_log, "all tags are reported", device=device.path)
        elif notes != device.limits and notes:
            event(_log, "reports are limited", level=logging.WARNING, device=device.path, detail="; ".join(notes))
        device.lacking, device.limits = lacking, notes

    def due(self, now_s: float) -> list[tuple[DeviceRuntime, list[TagState]]]:
        """The tags whose heartbeat is due, by device. A repeated value claims to be current, so the caller checks the
        session first."""
        if now_s < self._beat_s:
            return []
        self._beat_s = now_s + SCAN_S if self._beating else math.inf
        until_us = self._pipeline.now_us() + EARLY_US
        late = ((path, self._late(path, states, until_us)) for path, states in self._beating.items())
        return [(self._open[path].device, states) for path, states in late if states]

    def _late(self, path: str, states: Iterable[TagState], until_us: int) -> list[TagState]:
        # A value that a read has just contradicted is not repeated.
        return [one for one in states if _due(one, until_us) and not self._silence.doubted(path, one.name)]

    def repeat(self, due: Iterable[tuple[DeviceRuntime, list[TagState]]]) -> None:
        """Record the tags from `due` again with their quality, except those reported meanwhile."""
        for device, states in due:
            until_us = self._pipeline.now_us() + EARLY_US
            cycle = self._pipeline.cycle(device.path)
            device.normaliser.again(self._late(device.path, states, until_us), cycle)
            self._pipeline.emit(device, cycle)

    async def read_silent(self) -> None:
        """Read some of the tags that have been silent for a while. Call it before `repeat`.

        Raises:
            DriverError: With scope SESSION.
        """
        now_s = self._clock.monotonic_s()
        if now_s < max(self._look_s, self._silence.next_s):
            return
        self._look_s = now_s + SCAN_S
        silent: dict[str, list[WatchedPoint]] = {}
        for one in self._silence.due(now_s):
            if one.point.name in self._open[one.device].subscription.faults:  # it is polled
                self._silence.postpone(one, now_s)
            else:
                silent.setdefault(one.device, []).append(one)
        for path, many in silent.items():
            device = self._open[path].device
            named = {one.point.name: one for one in many}
            for request in self._driver.group(device.config, [one.point for one in many]):
                await self._compare(device, request, [named[point.name] for point in request.points])

    async def _compare(self, device: DeviceRuntime, request: Request, many: Sequence[WatchedPoint]) -> None:
        """Read silent tags; unreported changes are recorded, and their tags are subscribed again."""
        try:
            result = await self._session.read(request)
        except DriverError as error:
            if error.scope is Scope.SESSION:
                raise
            now_s = self._clock.monotonic_s()
            self._silence.refused(many, now_s)
            if error.scope is Scope.DEVICE:  # it cost a time-out
                self._look_s = now_s + SILENT_S
            return
        self._silence.answered()
        now_s = self._clock.monotonic_s()
        missed: list[Notification] = []
        for at, one in enumerate(many):
            reported = one.last
            found = self._silence.classify(one, result.values[at], result.faults.get(at), now_s)
            if found in (Verdict.OTHER, Verdict.GONE):
                missed.append(_notification(one, result, at))
                _log_missed(device, one, found, reported)
        kept = self._open[device.path]
        if missed:
            self._deliver(device, missed, self._pipeline.now_us())
            await kept.subscription.distrust([one.point.name for one in missed])
            kept.retry_s = now_s

    async def close(self) -> None:
        """End every subscription."""
        for kept in self._open.values():
            kept.device.subscribed = False
            if kept.device.lacking:
                self._meanwhile(kept.device, ())
            kept.device.lacking, kept.device.limits = frozenset(), ()
            await kept.subscription.close()
        for path in self._open:
            self._silence.forget(path)
        self._open.clear()
        self._beating.clear()

    async def _subscribe(self, device: DeviceRuntime) -> None:
        tags = device.config.tags
        self._since_us[device.path] = self._pipeline.now_us()
        try:
            subscription = await self._session.subscribe(
                device.path,
                device.reported,
                interval_ms=[tags[point.name].poll_ms for point in device.reported],
                sink=self._sink,
            )
        except DriverError as error:
            if error.scope is Scope.SESSION:
                raise
            cycle = self._pipeline.cycle(device.path)
            event(_log, "subscription failed", level=logging.WARNING, device=device.path, detail=error.message)
            fail(device, error, self._clock.monotonic_s(), cycle)
            self._pipeline.emit(device, cycle)
            return
        device.subscribed = True
        answered(device)
        kept = self._open[device.path] = _Kept(device, subscription)
        beating = [one for one in device.normaliser.of(point.name for point in device.reported) if one.heartbeat_us]
        if beating:
            self._beating[device.path] = beating
            self._beat_s = min(self._beat_s, self._clock.monotonic_s())
        states = device.normaliser.states
        watched = [
            (point, subscription.promise(point.name), states[point.name].heartbeat_us / 1e6)
            for point in device.reported
        ]
        self._silence.watch(device.path, watched, self._clock.monotonic_s())
        self._apply_faults(kept)  # a refused tag gets its quality from its first poll, which is due at once

    def _sink(self, path: str, notifications: Sequence[Notification]) -> None:
        device = self._devices.get(path)
        if device is None:
            return
        # Reports of a subscription that a new configuration has just replaced are dropped.
        known = [one for one in notifications if one.point.name in device.normaliser.states]
        self._silence.reported(path, known, self._clock.monotonic_s())
        now_us = self._pipeline.now_us()
        for at_us, batch in spaced(known, now_us=now_us, floor_us=self._since_us.get(path, now_us)):
            self._deliver(device, batch, at_us)

    def _deliver(self, device: DeviceRuntime, batch: Sequence[Notification], at_us: int) -> None:
        cycle = self._pipeline.cycle(device.path, at_us=at_us)
        faults: dict[int, Fault] = {at: one.fault for at, one in enumerate(batch) if one.fault is not None}
        device.reachable = True
        device.counters.answered_us = cycle.time_us
        device.normaliser.take(
            device.normaliser.of(one.point.name for one in batch),
            [one.value for one in batch],
            cycle,
            faults=faults,
            source_time_us=[one.source_time_us for one in batch],
        )
        self._pipeline.emit(device, cycle)


def _due(state: TagState, until_us: int) -> bool:
    return state.known and state.due_us <= until_us


def _notification(one: WatchedPoint, result: ReadResult, at: int) -> Notification:
    times = result.source_time_us
    return Notification(one.point, result.values[at], result.faults.get(at), None if times is None else times[at])


def _log_missed(device: DeviceRuntime, one: WatchedPoint, found: Verdict, reported: Notification | None) -> None:
    if found is Verdict.GONE:
        detail = "a read says that it is not there, and nothing was reported"
    else:
        detail = "a read gives another value than the last report" if reported else "it was never reported"
    event(
        _log, "a change was not reported", level=logging.WARNING, device=device.path, tags=one.point.name, detail=detail
    )
