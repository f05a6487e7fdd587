"""The subscriptions of one session: opened, renewed after a change or a failure, and their values put on their way.

A device reports changes only. So it is this side that repeats a value that stands still when its heartbeat is due.

What a device does not report (its node is not there yet, it takes no more items, it ended the subscription) is polled
meanwhile, and asked for again with a back-off. It costs neither the link nor the other tags.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nexus_cli.drivers.base import DriverError, Fault, Notification, Point, Scope, Session, Subscription
from nexus_cli.runtime.backoff import Backoff
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.device import Running, answered, fail
from nexus_cli.runtime.gateway.normaliser import TagState
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.runtime.gateway.spacing import spaced
from nexus_cli.runtime.logging import event

_log = logging.getLogger("nexus.link")
SCAN_S = 0.5
"""How often heartbeats are looked for, in seconds: one comes at most half of it early or late."""
RETRY_FIRST_S, RETRY_LONGEST_S = 2.0, 60.0
"""Between two requests for what a device does not report, in seconds."""
MOST_TOLD = 3
"""Devices whose limits are named."""
EARLY_US = int(SCAN_S * 500_000)


class Meanwhile(Protocol):
    """Has exactly these points of a device polled, among those that it should report; none ends it."""

    def __call__(self, device: Running, points: Sequence[Point], /) -> None: ...


@dataclass(slots=True)
class _Kept:
    """One device's subscription.

    Attributes:
        retry_s: When what is not reported is asked for again, monotonic seconds; infinity while all is.
        lacking: The tags that are not reported, as it was told.
        notes: What the device's limits change, as it was told.
    """

    device: Running
    subscription: Subscription
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=RETRY_FIRST_S, cap_s=RETRY_LONGEST_S))
    retry_s: float = math.inf
    lacking: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What its limits change, for people."""
        notes = "; ".join(self.notes)
        count = len(self.lacking)
        return f"{count} tag{'s are' if count > 1 else ' is'} polled, not reported ({notes})" if count else notes


class Reporting:
    """Keeps one subscription per device that reports by itself.

    Attributes:
        next_s: When it has something to do next, monotonic seconds; infinity while it has not.
        limits: What the devices' limits change, one sentence for people; "" when nothing.
    """

    def __init__(self, session: Session, *, clock: Clock, pipeline: Pipeline, meanwhile: Meanwhile) -> None:
        """Subscribe through a session."""
        self.limits = ""
        self._session = session
        self._clock, self._pipeline, self._meanwhile = clock, pipeline, meanwhile
        self._open: dict[str, _Kept] = {}
        self._beat_s = math.inf
        self._since_us: dict[str, int] = {}
        self._devices: Mapping[str, Running] = {}
        self._beating: dict[str, list[TagState]] = {}

    @property
    def next_s(self) -> float:
        """When heartbeats are looked for, or a refused tag is asked for again."""
        return min(self._beat_s, min((one.retry_s for one in self._open.values()), default=math.inf))

    @property
    def open(self) -> bool:
        """Whether anything is reported."""
        return bool(self._open)

    async def renew(self, devices: Mapping[str, Running]) -> None:
        """Open what is missing and close what is gone; a device that did not change is not touched.

        Raises:
            DriverError: With scope SESSION.
        """
        self._devices = devices
        for path, kept in list(self._open.items()):
            if devices.get(path) is not kept.device:
                del self._open[path]
                self._beating.pop(path, None)
                await kept.subscription.close()
            elif kept.lacking or kept.subscription.faults:
                await self._ask_again(kept)
        for device in list(devices.values()):
            if device.reported and not device.subscribed and device.blocked_s <= self._clock.monotonic_s():
                await self._subscribe(device)
        limits = [f"{path}: {kept.text}" for path, kept in self._open.items() if kept.lacking or kept.notes]
        more = f"; and {len(limits) - MOST_TOLD} more" if len(limits) > MOST_TOLD else ""
        self.limits = "; ".join(limits[:MOST_TOLD]) + more

    async def _ask_again(self, kept: _Kept) -> None:
        """What is not reported is polled, and asked for again when its turn has come."""
        now_s = self._clock.monotonic_s()
        self._tell(kept)
        if now_s < kept.retry_s:
            return
        try:
            await kept.subscription.retry()
        except DriverError as error:
            if error.scope is Scope.SESSION:
                raise
        kept.retry_s = self._clock.monotonic_s() + kept.backoff.next_s()
        self._tell(kept)

    def _tell(self, kept: _Kept) -> None:
        """Have polled what is not reported now, and say so when that has changed."""
        device, lacking = kept.device, frozenset(kept.subscription.faults)
        if lacking and kept.retry_s == math.inf:
            kept.retry_s = self._clock.monotonic_s() + kept.backoff.next_s()
        elif not lacking:
            kept.backoff.reset()
            kept.retry_s = math.inf
        notes = tuple(kept.subscription.notes())
        if lacking != kept.lacking:
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
        elif notes != kept.notes and notes:
            event(_log, "reports are limited", level=logging.WARNING, device=device.path, detail="; ".join(notes))
        kept.lacking, kept.notes = lacking, notes

    def due(self, now_s: float) -> list[tuple[Running, list[TagState]]]:
        """The tags whose heartbeat is due, by device. To repeat a value is to claim that it still holds: the caller
        checks the session first."""
        if now_s < self._beat_s:
            return []
        self._beat_s = now_s + SCAN_S if self._beating else math.inf
        until_us = self._pipeline.now_us() + EARLY_US
        late = ((path, [one for one in states if _due(one, until_us)]) for path, states in self._beating.items())
        return [(self._open[path].device, states) for path, states in late if states]

    def repeat(self, due: Iterable[tuple[Running, list[TagState]]]) -> None:
        """Record what `due` gave, with the quality it has, but for what was reported meanwhile."""
        for device, states in due:
            until_us = self._pipeline.now_us() + EARLY_US
            cycle = self._pipeline.cycle(device.path)
            device.normaliser.again([one for one in states if _due(one, until_us)], cycle)
            self._pipeline.emit(device, cycle)

    async def close(self) -> None:
        """End every subscription."""
        for kept in self._open.values():
            kept.device.subscribed = False
            if kept.lacking:
                self._meanwhile(kept.device, ())
            await kept.subscription.close()
        self._open.clear()
        self._beating.clear()

    async def _subscribe(self, device: Running) -> None:
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
        self._tell(kept)  # what is refused gets its quality from the poll that is due at once

    def _sink(self, path: str, notifications: Sequence[Notification]) -> None:
        device = self._devices.get(path)
        if device is None:
            return
        # What a subscription reports that a new configuration has just replaced is nobody's.
        known = [one for one in notifications if one.point.name in device.normaliser.states]
        now_us = self._pipeline.now_us()
        for at_us, batch in spaced(known, now_us=now_us, floor_us=self._since_us.get(path, now_us)):
            self._deliver(device, batch, at_us)

    def _deliver(self, device: Running, batch: Sequence[Notification], at_us: int) -> None:
        cycle = self._pipeline.cycle(device.path, at_us=at_us)
        faults: dict[int, Fault] = {at: one.fault for at, one in enumerate(batch) if one.fault is not None}
        device.reachable = True
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
