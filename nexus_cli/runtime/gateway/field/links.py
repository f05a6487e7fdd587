"""All links of a gateway, one supervisor each: started, reconfigured and stopped as the configuration requires."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from nexus_cli.backoff import Backoff
from nexus_cli.diagnostics.foreign import Door, name_of
from nexus_cli.diagnostics.groups import Cut
from nexus_cli.drivers.base import Driver, DriverError, Scope
from nexus_cli.drivers.door import GuardedDriver, GuardedSession, guarded
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.driver_kind import DriverKind
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.configuration import Wanted
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.runtime.latency import Latencies
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.progress import Activity
from nexus_cli.wire.gateway_health import LinkHealth

_log = logging.getLogger("nexus.link")
RESTART_FIRST_S, RESTART_LONGEST_S = 1.0, 60.0
STUCK_LIMITS = 2.0
"""A link without progress for this many times its limit is restarted."""
CLOSE_S = 5.0
"""How long a link may take to end, in seconds; then it is cancelled."""


class Links:
    """The supervisors by link id.

    Attributes:
        supervisors: Those that run.
        restarts: How often a link's task ended for another reason than a stop, by link; only links where it did.
    """

    def __init__(
        self,
        group: asyncio.TaskGroup,
        *,
        drivers: Callable[[str], Driver],
        kinds: Mapping[str, DriverKind],
        home: str,
        clock: Clock,
        pipeline: Pipeline,
        latencies: Latencies,
        changed: Callable[[], None],
    ) -> None:
        """Start supervisors in a group.

        Args:
            group: The group of their tasks.
            drivers: Gives the driver by protocol; raises KeyError when there is none.
            kinds: Driver kinds by protocol (for the keys that belong to a link).
            home: The `.nexus` folder.
            clock: Time.
            pipeline: Takes the cycles.
            latencies: Of `read` and `poll`.
            changed: Called when the state of a link changes.
        """
        self.supervisors: dict[str, Supervisor] = {}
        self._group = group
        self._drivers, self._kinds, self._home = drivers, kinds, home
        self._clock, self._pipeline, self._latencies, self._changed = clock, pipeline, latencies, changed
        self._stops: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cuts: dict[str, Cut] = {}
        self.restarts: dict[str, int] = {}

    def devices(self) -> list[DeviceRuntime]:
        """All running devices, in the order of links."""
        return [device for one in self.supervisors.values() for device in one.devices.values()]

    def settled(self, device: str) -> bool:
        """True once the link of a device is as `apply` said last; a device that does not run has none to wait for."""
        return all(one.settled for one in self.supervisors.values() if device in one.devices)

    def apply(self, wanted: Mapping[str, Wanted]) -> dict[str, str]:
        """Run exactly these devices and return the details of those that failed, by path. Unchanged devices are not
        touched."""
        failed: dict[str, str] = {}
        by_link: dict[str, list[Wanted]] = {}
        for one in wanted.values():
            by_link.setdefault(one.config.link, []).append(one)
        for link in [link for link in self.supervisors if link not in by_link]:
            self._stops.pop(link).set()
            self.supervisors.pop(link).apply([])
        before = {id(device) for device in self.devices()}
        started: list[str] = []
        for link, many in by_link.items():
            supervisor = self.supervisors.get(link)
            if supervisor is None:
                protocol = many[0].config.protocol
                try:
                    supervisor = self._supervisor(link, protocol)
                except Exception as error:  # noqa: BLE001 - the boundary of a link: its driver may lack a library
                    # A device that is switched off needs no driver: nothing of it is to run.
                    lacking = [one.config.path for one in many if one.config.enabled]
                    failed.update(dict.fromkeys(lacking, _no_driver(protocol, error)))
                    continue
                started.append(link)
            failed.update(supervisor.apply([(one.config, one.digest) for one in many]))
        self._pipeline.configure(self.devices())
        # Only now does the pipeline know the topics of the changed devices.
        for supervisor in self.supervisors.values():
            supervisor.announce()
        self._pipeline.calculate_all(device for device in self.devices() if id(device) not in before)
        for link in started:
            self._start(link)
        return failed

    async def open_apart(self, device: DeviceConfig) -> tuple[GuardedSession, GuardedDriver]:
        """A session for one device whose link does not run, and its driver; the caller closes it. Raises DriverError."""
        try:
            driver = guarded(self._drivers(device.protocol))
        except (KeyError, ImportError) as error:
            raise DriverError(_no_driver(device.protocol, error), scope=Scope.SESSION, retriable=False) from None
        return await driver.connect([device], home=self._home), driver

    async def close(self) -> None:
        """Stop all links concurrently; one that hangs is cancelled after `CLOSE_S`."""
        for stop in self._stops.values():
            stop.set()
        running = [task for task in self._tasks.values() if not task.done()]
        if running:
            _, late = await asyncio.wait(running, timeout=CLOSE_S)
            for task in late:
                task.cancel()

    def health(self) -> dict[str, LinkHealth]:
        """How each link is, by link id."""
        return {link: _health(one) for link, one in self.supervisors.items()}

    def activities(self) -> dict[str, Activity]:
        """The progress of each link, by name; for the role's stall watch."""
        return {f"link {link}": one.activity() for link, one in self.supervisors.items()}

    def end_stuck(self, still_s: Callable[[str], float]) -> None:
        """Restart each link without progress for much longer than its limit; `still_s` gives the seconds by
        activity."""
        for link, supervisor in self.supervisors.items():
            cut = self._cuts.get(link)
            if cut is not None and still_s(f"link {link}") >= supervisor.activity().limit_s * STUCK_LIMITS:
                cut.end()

    def _supervisor(self, link: str, protocol: str) -> Supervisor:
        kind = self._kinds.get(protocol)
        supervisor = Supervisor(
            link,
            driver=self._drivers(protocol),
            link_keys=kind.link_keys if kind is not None else frozenset(),
            home=self._home,
            clock=self._clock,
            pipeline=self._pipeline,
            latencies=self._latencies,
            changed=self._changed,
        )
        self.supervisors[link] = supervisor
        return supervisor

    def _start(self, link: str) -> None:
        self._stops[link] = asyncio.Event()
        task = self._group.create_task(
            self._supervise(link, self.supervisors[link], self._stops[link]), name=f"link {link}"
        )
        self._tasks[link] = task
        task.add_done_callback(lambda done: self._forget(link, done))

    async def _supervise(self, link: str, supervisor: Supervisor, stop: asyncio.Event) -> None:
        """Run a supervisor until its stop. Any other end is a fault: it is logged and counted, and the link
        restarts."""
        backoff = Backoff(first_s=RESTART_FIRST_S, cap_s=RESTART_LONGEST_S)
        while True:
            why = "its task ended by itself"
            cut = self._cuts[link] = Cut()
            try:
                with Door(lambda error: RuntimeError(f"a foreign {name_of(error)}")):
                    async with cut:
                        await supervisor.run(stop)
                if stop.is_set():
                    return
                if cut.ended.is_set():
                    why = "a call to its driver did not end"
                event(_log, "link started again", level=logging.ERROR, link=link, detail=why)
            except Exception as error:  # noqa: BLE001 - the boundary of a link, once more around its supervisor
                why = f"its task failed: {name_of(error)}"
                if stop.is_set():
                    return
                _log.exception("link %s is started again", link)
            self.restarts[link] = self.restarts.get(link, 0) + 1
            supervisor.failed(why)
            if await wait_for(stop, timeout_s=backoff.next_s()):
                return

    def _forget(self, link: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(link) is task:
            del self._tasks[link]
            self._cuts.pop(link, None)
            self.restarts.pop(link, None)


def _health(one: Supervisor) -> LinkHealth:
    on = [device for device in one.devices.values() if device.config.enabled]
    return LinkHealth(
        state=one.state.state,
        detail=one.state.detail,
        since=one.state.since_us,
        devices=len(on),
        answering=sum(device.reachable for device in on) if one.connected else 0,
        connect_ms=round(one.times.connect_ms, 1),
        cycle_ms=round(one.times.cycle_ms, 1),
        requests=one.times.requests,
        request_ms=round(one.times.request_ms, 2),
    )


def _no_driver(protocol: str, error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"there is no driver for '{protocol}' yet"
    _log.error("the driver for '%s' can't be used", protocol, exc_info=error)
    return f"the driver for '{protocol}' can't be used ({name_of(error)})"
