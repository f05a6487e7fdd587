"""One device as its supervisor runs it: reads by interval, what was learnt about illegal addresses, its back-off.

Pure: it decides what to read next, the supervisor reads.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nexus_cli.backoff import Backoff
from nexus_cli.diagnostics.foreign import name_of
from nexus_cli.diagnostics.printable import one_line
from nexus_cli.drivers.base import Driver, DriverError, Point, Request, points_of
from nexus_cli.model.config import DeviceConfig
from nexus_cli.runtime.gateway.devices.cycle import Cycle
from nexus_cli.runtime.gateway.devices.normaliser import Normaliser
from nexus_cli.runtime.gateway.devices.tag_group import TagGroup
from nexus_cli.wire.sample import Reason

_log = logging.getLogger("nexus.link")
ILLEGAL_RETRY_S = 60.0
"""How long a point that the device refuses is not read, in seconds."""
DEVICE_FIRST_S, DEVICE_LONGEST_S = 1.0, 60.0
ALONE_FIRST_S, ALONE_LONGEST_S = 2.0, 60.0
"""Back-off of a read that costs a time-out or a connection each time while the rest of its device answers, in
seconds."""
WHOLE_FIRST_S, WHOLE_LONGEST_S = 15.0, 3600.0
"""Back-off between tries of a split read as a whole, in seconds."""
SMOOTHING = 1 / 8
"""Weight of the newest read in `Counters.read_ms`."""


@dataclass(slots=True, eq=False)
class ReadJob:
    """One read of a device.

    Attributes:
        request: The driver's request.
        states: Its tags, same order as the points.
        gaps: True while it may contain registers of no tag (joined over gaps).
        refused: The error of its single point while that is paused; None while it is read in each cycle.
        retry_s: Not read before this, monotonic seconds.
        answered: Its last read gave values.
        lost: The error of the sessions that ended during this read.
        losses: How many sessions in a row ended during it.
        probe_s: Not split before this, monotonic seconds.
        probes: Rotates the points that are read alone.
        pause: Back-off of a read that is answered neither as a whole nor in parts.
    """

    request: Request
    states: TagGroup
    gaps: bool = True
    refused: DriverError | None = None
    retry_s: float = 0.0
    answered: bool = False
    lost: DriverError | None = None
    losses: int = 0
    probe_s: float = 0.0
    probes: int = 0
    pause: Backoff = field(default_factory=lambda: Backoff(first_s=ALONE_FIRST_S, cap_s=ALONE_LONGEST_S))

    @property
    def several(self) -> bool:
        """Whether it joins several points: then the join may be what the device rejects."""
        return len(self.states) > 1


@dataclass(slots=True, eq=False)
class Split:
    """A read that the device did not answer as a whole, and what is read instead.

    Attributes:
        whole: The joined read.
        parts: The reads in its place.
        retry_s: When it is tried as a whole again, monotonic seconds.
        pause: Back-off between these tries.
        halves: Whether its halves are joined if that fails.
    """

    whole: ReadJob
    parts: list[ReadJob]
    retry_s: float
    pause: Backoff
    halves: bool


@dataclass(slots=True)
class Counters:
    """Counts of a device since it was configured; metrics sum them per link.

    Attributes:
        cycles, missed, skipped: Poll cycles begun; skipped because the one before was late; not begun during a back-off.
        errors, timeouts: Reads that failed; those of them without an answer in time.
        kinds: Failures by reason, those of the whole link among them.
        answered_us: Gateway time of the last answer or report, µs since 1970 UTC; 0 for never.
        read_ms: How long a read takes, smoothed over about eight of them.
    """

    cycles: int = 0
    missed: int = 0
    skipped: int = 0
    errors: int = 0
    timeouts: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    answered_us: int = 0
    read_ms: float = 0.0

    def failed(self, reason: Reason | None) -> None:
        """Count a read that failed."""
        self.errors += 1
        self.timeouts += reason is Reason.DEVICE_TIMEOUT
        self.note(reason)

    def note(self, reason: Reason | None) -> None:
        """Count a failure by its reason: of a read, or of the whole link."""
        kind = reason.value if reason is not None else "other"
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def took(self, seconds: float) -> None:
        """A read was answered after so long."""
        self.read_ms += (seconds * 1000 - self.read_ms) * (SMOOTHING if self.read_ms else 1.0)


@dataclass(slots=True)
class DeviceRuntime:
    """A device in operation.

    Attributes:
        config: Its configuration.
        digest: Of the configuration.
        normaliser: The chains of its tags.
        jobs: Reads by interval (ms).
        splits: Reads that were split.
        reported: Points that are subscribed.
        meanwhile: Reads by interval (ms) of points that it should report and does not.
        backoff: For a device that does not answer while its link is connected.
        blocked_s: Not read before this, monotonic seconds; 0 when it answers.
        reachable: It has answered since it was configured, and was not lost since.
        subscribed: Its subscription is open.
        lacking: Tags that it should report and does not; they are polled.
        limits: The effects of its limits on the other tags, for people.
        trouble: Reason, code and text of the last error of the device or its link.
    """

    config: DeviceConfig
    digest: str
    normaliser: Normaliser
    jobs: dict[int, list[ReadJob]] = field(default_factory=dict)
    splits: list[Split] = field(default_factory=list)
    reported: tuple[Point, ...] = ()
    meanwhile: dict[int, list[ReadJob]] = field(default_factory=dict)
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=DEVICE_FIRST_S, cap_s=DEVICE_LONGEST_S))
    blocked_s: float = 0.0
    reachable: bool = False
    subscribed: bool = False
    lacking: frozenset[str] = frozenset()
    limits: tuple[str, ...] = ()
    trouble: tuple[Reason | None, int, str] = (None, 0, "")
    counters: Counters = field(default_factory=Counters)

    @property
    def path(self) -> str:
        """`area/line/device`."""
        return self.config.path

    def field_states(self) -> TagGroup:
        """The tags that come from the device and are switched on."""
        return self.normaliser.where(self.normaliser.table.read)

    def out_of_service(self) -> TagGroup:
        """The tags that are switched off."""
        on = self.normaliser.table.on
        return self.normaliser.where(~on if self.config.enabled else np.ones_like(on))

    def tally(self) -> tuple[int, int]:
        """How many tags are good (or uncertain), and how many bad or still unknown."""
        if not self.config.enabled:
            return 0, 0
        table = self.normaliser.table
        good = int(np.count_nonzero(table.on & table.known & (table.quality > 0)))
        return good, int(np.count_nonzero(table.on)) - good


def device_runtime(config: DeviceConfig, digest: str, driver: Driver) -> DeviceRuntime:
    """Compile a device: chains and reads.

    Raises:
        DriverError: The driver can't group its points.
        ValueError: The configuration has an unknown type or address (control is newer than this gateway).
    """
    device = DeviceRuntime(config, digest, Normaliser(config))
    if not config.enabled:
        return device
    polled: dict[int, list[Point]] = {}
    reported: list[Point] = []
    for point in points_of(config):
        tag = config.tags[point.name]
        if tag.mode == "poll":
            polled.setdefault(max(10, tag.poll_ms), []).append(point)
        else:
            reported.append(point)
    device.reported = tuple(reported)
    device.jobs = _by_interval(device, polled, driver)
    return device


def why_not(config: DeviceConfig, error: Exception) -> str:
    """Why a device can't be run, for `observed`; a driver's bug is logged with its traceback."""
    if isinstance(error, (DriverError, ValueError, KeyError, TypeError)):
        return one_line(str(error))
    _log.error("the driver of %s can't take it", config.path, exc_info=error)
    return f"its driver failed ({name_of(error)})"


def poll_meanwhile(device: DeviceRuntime, points: Iterable[Point], driver: Driver) -> None:
    """Poll exactly these points that the device should report. Raises DriverError."""
    polled: dict[int, list[Point]] = {}
    for point in points:
        polled.setdefault(max(10, device.config.tags[point.name].poll_ms), []).append(point)
    before = {point.name for jobs in device.meanwhile.values() for job in jobs for point in job.request.points}
    device.splits = [
        one for one in device.splits if before.isdisjoint(point.name for point in one.whole.request.points)
    ]
    device.meanwhile = _by_interval(device, polled, driver)


def _by_interval(
    device: DeviceRuntime, polled: Mapping[int, Sequence[Point]], driver: Driver
) -> dict[int, list[ReadJob]]:
    return {interval_ms: jobs_of(device, driver.group(device.config, points)) for interval_ms, points in polled.items()}


def jobs_of(device: DeviceRuntime, requests: Iterable[Request], *, gaps: bool = True) -> list[ReadJob]:
    """Requests as jobs, with their tags."""
    return [
        ReadJob(one, device.normaliser.of(point.name for point in one.points), gaps=gaps and len(one.points) > 1)
        for one in requests
    ]


def split(device: DeviceRuntime, job: ReadJob, driver: Driver, *, costly: bool = False) -> list[ReadJob]:
    """The reads that replace a job that the device does not answer as a whole.

    Args:
        device: The device of the job.
        job: A single point can't be split: [] is returned.
        driver: Groups the parts.
        costly: A further failure costs a time-out or a connection: a read over gaps is split at once into its runs
            without gaps, and a run into its points. Otherwise it is halved, until the hole is found and the rest is
            still joined.
    """
    points = job.request.points
    if len(points) < 2:
        return []
    # Registers between the tags are the likely cause (Modbus exception 2 for an address without a register), so a read
    # over gaps is divided at the gaps first.
    if job.gaps:
        runs = driver.group(device.config, points, fill_gaps=False)
        if len(runs) > 1 and not costly:
            return _halves(device, runs, driver)
        if len(runs) > 1 or runs[0].text != job.request.text:
            return jobs_of(device, runs, gaps=False)
    if costly:
        return alone(device, job, driver)
    half = len(points) // 2
    parts = []
    for some in (points[:half], points[half:]):
        parts += jobs_of(device, driver.group(device.config, some, fill_gaps=False), gaps=False)
    return parts


def _halves(device: DeviceRuntime, runs: Sequence[Request], driver: Driver) -> list[ReadJob]:
    half = len(runs) // 2
    parts: list[ReadJob] = []
    for some in (runs[:half], runs[half:]):
        parts += jobs_of(device, driver.group(device.config, [point for run in some for point in run.points]))
    return parts


def alone(device: DeviceRuntime, job: ReadJob, driver: Driver) -> list[ReadJob]:
    """Each point of a job as a separate read."""
    points = job.request.points
    return [one for point in points for one in jobs_of(device, driver.group(device.config, [point], fill_gaps=False))]


def part(device: DeviceRuntime, job: ReadJob, parts: Sequence[ReadJob], now_s: float) -> None:
    """Replace a job by its parts; splitting a part of a known split refines that one."""
    _put(device, [job], parts)
    known = [one for one in device.splits if job in one.parts]
    for one in known:
        at = one.parts.index(job)
        one.parts[at : at + 1] = parts
    if not known:
        device.splits.append(_split(job, parts, now_s, first=True))


def _split(whole: ReadJob, parts: Sequence[ReadJob], now_s: float, *, first: bool) -> Split:
    pause = Backoff(first_s=WHOLE_FIRST_S, cap_s=WHOLE_LONGEST_S)
    return Split(whole, list(parts), now_s + pause.next_s(), pause, first)


def join(device: DeviceRuntime, known: Split) -> None:
    """Replace the parts of a split by the whole again."""
    _put(device, known.parts, [known.whole])
    gone = set(map(id, known.parts))
    kept = []
    for one in device.splits:
        if gone >= set(map(id, one.parts)):
            continue
        if known.parts[0] in one.parts:
            at = one.parts.index(known.parts[0])
            one.parts[at : at + len(known.parts)] = [known.whole]
        kept.append(one)
    device.splits = kept


def join_halves(device: DeviceRuntime, known: Split, driver: Driver, now_s: float) -> None:
    """The whole was not answered: join its halves for a try, once each, and then their halves."""
    half = len(known.parts) // 2
    known.halves = False
    for some in (known.parts[:half], known.parts[half:]):
        points = [point for one in some for point in one.request.points]
        for job in jobs_of(device, driver.group(device.config, points)):
            names = {point.name for point in job.request.points}
            within = [one for one in some if names.issuperset(point.name for point in one.request.points)]
            if len(within) > 1 and len(names) == sum(len(one.states) for one in within):
                device.splits.append(_split(job, within, now_s, first=len(within) > 2))


def _put(device: DeviceRuntime, old: Sequence[ReadJob], new: Sequence[ReadJob]) -> None:
    for jobs in [*device.jobs.values(), *device.meanwhile.values()]:
        if old[0] in jobs:
            at = jobs.index(old[0])
            jobs[at : at + len(old)] = new
            return


def fail(device: DeviceRuntime, error: DriverError, now_s: float, cycle: Cycle) -> None:
    """The device does not answer: make its tags BAD and block it for the next back-off step."""
    device.reachable = False
    device.trouble = (error.reason, error.code, error.message)
    device.blocked_s = now_s + device.backoff.next_s()
    for jobs in device.jobs.values():
        for job in jobs:
            job.answered = False
    device.normaliser.bad(device.field_states(), error.reason, cycle, code=error.code)


def answered(device: DeviceRuntime) -> None:
    """The device answered: reset its back-off."""
    device.reachable, device.blocked_s = True, 0.0
    device.backoff.reset()
