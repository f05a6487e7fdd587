"""The subscriptions of one session: opened, renewed after a change or a failure, and their values put on their way.

A device reports changes only. So it is this side that repeats a value that stands still when its heartbeat is due.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence

from nexus_cli.drivers.base import DriverError, Fault, Notification, Scope, Session, Subscription
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.device import Running, answered, fail
from nexus_cli.runtime.gateway.normaliser import TagState
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.runtime.logging import event

_log = logging.getLogger("nexus.link")
SCAN_S = 0.5
"""How often heartbeats are looked for, in seconds: one comes at most half of it early or late."""
EARLY_US = int(SCAN_S * 500_000)


class Reporting:
    """Keeps one subscription per device that reports by itself.

    Attributes:
        next_s: When heartbeats are looked for next, monotonic seconds; infinity while no tag has one.
    """

    def __init__(self, session: Session, *, clock: Clock, pipeline: Pipeline) -> None:
        """Subscribe through a session."""
        self._session = session
        self._clock, self._pipeline = clock, pipeline
        self._open: dict[str, tuple[Running, Subscription]] = {}
        self._devices: Mapping[str, Running] = {}
        self._beating: dict[str, list[TagState]] = {}
        self.next_s = math.inf

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
        for path, (device, subscription) in list(self._open.items()):
            if devices.get(path) is not device:
                del self._open[path]
                self._beating.pop(path, None)
                await subscription.close()
        for device in list(devices.values()):
            if device.reported and not device.subscribed and device.blocked_s <= self._clock.monotonic_s():
                await self._subscribe(device)

    def due(self, now_s: float) -> list[tuple[Running, list[TagState]]]:
        """The tags whose heartbeat is due, by device. To repeat a value is to claim that it still holds: the caller
        checks the session first."""
        if now_s < self.next_s:
            return []
        self.next_s = now_s + SCAN_S if self._beating else math.inf
        until_us = self._pipeline.now_us() + EARLY_US
        late = ((path, [one for one in states if _due(one, until_us)]) for path, states in self._beating.items())
        return [(self._open[path][0], states) for path, states in late if states]

    def repeat(self, due: Iterable[tuple[Running, list[TagState]]]) -> None:
        """Record what `due` gave, with the quality it has, but for what was reported meanwhile."""
        for device, states in due:
            until_us = self._pipeline.now_us() + EARLY_US
            cycle = self._pipeline.cycle(device.path)
            device.normaliser.again([one for one in states if _due(one, until_us)], cycle)
            self._pipeline.emit(device, cycle)

    async def close(self) -> None:
        """End every subscription."""
        for device, subscription in self._open.values():
            device.subscribed = False
            await subscription.close()
        self._open.clear()
        self._beating.clear()

    async def _subscribe(self, device: Running) -> None:
        tags = device.config.tags
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
        self._open[device.path] = (device, subscription)
        beating = [one for one in device.normaliser.of(point.name for point in device.reported) if one.heartbeat_us]
        if beating:
            self._beating[device.path] = beating
            self.next_s = min(self.next_s, self._clock.monotonic_s())
        if subscription.faults:
            cycle = self._pipeline.cycle(device.path)
            for name, fault in subscription.faults.items():
                device.normaliser.bad(device.normaliser.of([name]), fault.reason, cycle, code=fault.code)
            self._pipeline.emit(device, cycle)

    def _sink(self, path: str, notifications: Sequence[Notification]) -> None:
        device = self._devices.get(path)
        if device is None:
            return
        # A frame holds one value per tag and moment: a second value of a tag begins the next frame.
        batch: dict[str, Notification] = {}
        for one in notifications:
            if one.point.name not in device.normaliser.states:
                continue  # reported by a subscription that a new configuration has just replaced
            if one.point.name in batch:
                self._deliver(device, list(batch.values()))
                batch = {}
            batch[one.point.name] = one
        if batch:
            self._deliver(device, list(batch.values()))

    def _deliver(self, device: Running, batch: Sequence[Notification]) -> None:
        cycle = self._pipeline.cycle(device.path)
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
