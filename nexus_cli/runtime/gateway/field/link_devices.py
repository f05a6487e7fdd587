"""The devices of one link: which run, when each is due, and what is published of them while the link is down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nexus_cli.drivers.base import Driver, Point
from nexus_cli.drivers.link_facts import SessionFacts, session_facts
from nexus_cli.model.config import DeviceConfig
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, device_runtime, poll_meanwhile, why_not
from nexus_cli.runtime.gateway.field.schedule import Schedule
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.wire.sample import Reason


class LinkDevices:
    """The devices of one link and their schedule.

    Attributes:
        by_path: The running devices, by path; the same mapping for as long as the link exists.
        schedule: When each device and interval (ms) is due.
    """

    def __init__(self, driver: Driver, *, link_keys: frozenset[str], clock: Clock, pipeline: Pipeline) -> None:
        """Start without devices; `link_keys` are the connection keys whose change needs a new session."""
        self.by_path: dict[str, DeviceRuntime] = {}
        self.schedule: Schedule[tuple[str, int]] = Schedule()
        self._driver, self._link_keys = driver, link_keys
        self._clock, self._pipeline = clock, pipeline
        self._fresh: list[DeviceRuntime] = []

    def enabled(self) -> list[DeviceConfig]:
        """The configurations of the devices that are switched on."""
        return [device.config for device in self.by_path.values() if device.config.enabled]

    def apply(self, wanted: Sequence[tuple[DeviceConfig, str]]) -> tuple[dict[str, str], bool]:
        """Run exactly these devices (config and digest) from now on.

        A device whose digest is unchanged is not touched: it keeps its session, phase and deadband memory.

        Returns:
            The details of those that failed, by path; and whether a key of the link has changed, so that it needs a new
            session.
        """
        failed: dict[str, str] = {}
        before_keys = self._link_facts()
        had_any = bool(self.by_path)
        names = {config.path for config, _ in wanted}
        for path in [path for path in self.by_path if path not in names]:
            self._drop(path)
        for config, digest in wanted:
            current = self.by_path.get(config.path)
            if current is not None and current.digest == digest:
                continue
            try:
                device = device_runtime(config, digest, self._driver)
            except Exception as error:  # noqa: BLE001 - part of the boundary of a link: a bad device affects only itself
                failed[config.path] = why_not(config, error)
                continue
            self._drop(config.path)
            self.by_path[config.path] = device
            self._add_to_schedule(device, device.jobs)
            self._fresh.append(device)
        return failed, had_any and before_keys != self._link_facts()

    def announce(self, *, link_lost: bool) -> None:
        """Publish what is known of changed devices without a read, once the pipeline knows them: BAD `out_of_service`
        for what is switched off, BAD `link_lost` while the link is down."""
        fresh, self._fresh = self._fresh, []
        for device in fresh:
            off = device.out_of_service()
            if off:
                cycle = self._pipeline.cycle(device.path)
                device.normaliser.bad(off, Reason.OUT_OF_SERVICE, cycle)
                self._pipeline.emit(device, cycle)
        if link_lost:
            self.publish_bad(fresh, Reason.LINK_LOST)

    def publish_bad(self, devices: Iterable[DeviceRuntime], reason: Reason, code: int = 0, *, detail: str = "") -> None:
        """Make all tags of these devices BAD, since their session has ended."""
        for device in devices:
            device.reachable = False
            device.trouble = (reason, code, detail)
            if not device.config.enabled:
                continue
            device.counters.note(reason)
            cycle = self._pipeline.cycle(device.path)
            device.normaliser.bad(device.field_states(), reason, cycle, code=code)
            self._pipeline.emit(device, cycle)

    def publish_all_bad(self, reason: Reason, code: int = 0, *, detail: str = "") -> None:
        """As `publish_bad`, for every device of the link."""
        self.publish_bad(list(self.by_path.values()), reason, code, detail=detail)

    def poll_meanwhile(self, device: DeviceRuntime, points: Sequence[Point]) -> None:
        """Poll points in place of their reports; see `subscriptions.PollMeanwhile`."""
        before = set(device.meanwhile)
        poll_meanwhile(device, points, self._driver)
        if self.by_path.get(device.path) is not device:
            return  # it was replaced: the schedule is the new device's
        for interval_ms in before - device.meanwhile.keys() - device.jobs.keys():
            self.schedule.remove((device.path, interval_ms))
        self._add_to_schedule(device, device.meanwhile)

    def _add_to_schedule(self, device: DeviceRuntime, intervals_ms: Iterable[int]) -> None:
        now_s = self._clock.monotonic_s()
        for interval_ms in intervals_ms:
            self.schedule.add((device.path, interval_ms), interval_s=interval_ms / 1000, now_s=now_s, name=device.path)

    def _drop(self, path: str) -> None:
        device = self.by_path.pop(path, None)
        if device is not None:
            for interval_ms in [*device.jobs, *device.meanwhile]:
                self.schedule.remove((path, interval_ms))

    def _link_facts(self) -> SessionFacts:
        return session_facts((device.config.connection for device in self.by_path.values()), self._link_keys)
