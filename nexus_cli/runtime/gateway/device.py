"""One device as its supervisor runs it: reads by interval, what was learnt of illegal addresses, its own back-off.

Pure: it decides what to ask next, the supervisor asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nexus_cli.drivers.base import Driver, DriverError, Point, Request, points_of
from nexus_cli.model.config import DeviceConfig
from nexus_cli.runtime.backoff import Backoff
from nexus_cli.runtime.gateway.normaliser import Cycle, Normaliser, TagState
from nexus_cli.wire.sample import Reason

ILLEGAL_RETRY_S = 60.0
"""How long a point that the device refuses is left alone, in seconds."""
DEVICE_FIRST_S, DEVICE_LONGEST_S = 1.0, 60.0
ALONE_FIRST_S, ALONE_LONGEST_S = 2.0, 60.0
"""What costs a time-out or a connection each time, while the rest of its device answers, is asked so often."""
WHOLE_FIRST_S, WHOLE_LONGEST_S = 15.0, 3600.0
"""How often a read that was split is tried as a whole again."""


@dataclass(slots=True, eq=False)
class Job:
    """One read of a device.

    Attributes:
        request: As the driver made it.
        states: The tags it answers, same order as its points.
        gaps: True while it may have been joined over gaps.
        refused: The error that its single point gets; None while it is read in every cycle.
        retry_s: Not asked before this, monotonic seconds.
        answered: Its last read gave values.
        lost: The error of the sessions that ended while it was asked.
        losses: How many of them did so in a row.
        probe_s: Not tried in parts before this, monotonic seconds.
        probes: Which of its points was asked alone last.
        pause: Between tries of what answers neither whole nor in part.
    """

    request: Request
    states: tuple[TagState, ...]
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
        """Whether it was joined from several points: then the join may be what the device does not like."""
        return len(self.states) > 1


@dataclass(slots=True, eq=False)
class Split:
    """A read that the device did not answer as a whole, and what is read instead.

    Attributes:
        whole: As it was joined.
        parts: Read in its place.
        retry_s: When it is tried as a whole again, monotonic seconds.
        pause: Between such tries.
    """

    whole: Job
    parts: list[Job]
    retry_s: float
    pause: Backoff


@dataclass(slots=True)
class Counters:
    """What a device did since it was configured; metrics sum them per link."""

    cycles: int = 0
    missed: int = 0
    skipped: int = 0
    errors: int = 0
    timeouts: int = 0


@dataclass(slots=True)
class Running:
    """A device in operation.

    Attributes:
        config: What it runs.
        digest: Of the configuration.
        normaliser: Its tags' chains.
        jobs: Reads by interval (ms).
        splits: Reads that were split.
        reported: Points that the device reports by itself.
        backoff: Of a device that does not answer behind a link that does.
        blocked_s: Not asked before this, monotonic seconds; 0 when it answers.
        reachable: It answered at least once since it was configured and was not lost since.
        subscribed: Its subscription stands.
    """

    config: DeviceConfig
    digest: str
    normaliser: Normaliser
    jobs: dict[int, list[Job]] = field(default_factory=dict)
    splits: list[Split] = field(default_factory=list)
    reported: tuple[Point, ...] = ()
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=DEVICE_FIRST_S, cap_s=DEVICE_LONGEST_S))
    blocked_s: float = 0.0
    reachable: bool = False
    subscribed: bool = False
    counters: Counters = field(default_factory=Counters)

    @property
    def path(self) -> str:
        """`area/line/device`."""
        return self.config.path

    def field_states(self) -> list[TagState]:
        """The tags that come from the device and are switched on."""
        return [one for one in self.normaliser.states.values() if one.config.address and one.config.enabled]

    def out_of_service(self) -> list[TagState]:
        """The tags that are switched off."""
        states = self.normaliser.states.values()
        return [one for one in states if not (self.config.enabled and one.config.enabled)]

    def tally(self) -> tuple[int, int]:
        """How many tags are good (or uncertain), and how many bad or still unknown."""
        states = [one for one in self.normaliser.states.values() if self.config.enabled and one.config.enabled]
        good = sum(1 for one in states if one.known and one.quality)
        return good, len(states) - good


def running(config: DeviceConfig, digest: str, driver: Driver) -> Running:
    """Compile a device: chains and reads.

    Raises:
        DriverError: The driver can't group its points.
        ValueError: A type or address in the configuration is not one (a newer control, an older gateway).
    """
    device = Running(config, digest, Normaliser(config))
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
    for interval_ms, points in polled.items():
        device.jobs[interval_ms] = jobs_of(device, driver.group(config, points))
    return device


def jobs_of(device: Running, requests: Iterable[Request], *, gaps: bool = True) -> list[Job]:
    """Requests as jobs, with the tags they answer looked up."""
    return [
        Job(one, device.normaliser.of(point.name for point in one.points), gaps=gaps and len(one.points) > 1)
        for one in requests
    ]


def split(device: Running, job: Job, driver: Driver, *, dear: bool = True) -> list[Job]:
    """What to read instead of a job that the device does not answer.

    Args:
        device: Whose job it is.
        job: A single point has nothing to be split into: [] is returned.
        driver: Groups the parts.
        dear: Another failure costs a time-out or a connection: every run without a gap is read alone at once. Otherwise
            the runs are halved, until the hole is found and all else still joined.
    """
    points = job.request.points
    if len(points) < 2:
        return []
    if job.gaps:
        runs = driver.group(device.config, points, fill_gaps=False)
        if len(runs) > 1 and not dear:
            return _halves(device, runs, driver)
        if len(runs) > 1 or runs[0].text != job.request.text:
            return jobs_of(device, runs, gaps=False)
    half = len(points) // 2
    parts = []
    for some in (points[:half], points[half:]):
        parts += jobs_of(device, driver.group(device.config, some, fill_gaps=False), gaps=False)
    return parts


def _halves(device: Running, runs: Sequence[Request], driver: Driver) -> list[Job]:
    half = len(runs) // 2
    parts: list[Job] = []
    for some in (runs[:half], runs[half:]):
        points = [point for run in some for point in run.points]
        parts += jobs_of(device, driver.group(device.config, points))
    return parts


def alone(device: Running, job: Job, driver: Driver) -> list[Job]:
    """Each point of a job as a read of its own."""
    points = job.request.points
    return [one for point in points for one in jobs_of(device, driver.group(device.config, [point], fill_gaps=False))]


def part(device: Running, job: Job, parts: Sequence[Job], now_s: float) -> None:
    """From now on the parts are read; a part of a split makes that one finer."""
    _put(device, [job], parts)
    for known in device.splits:
        if job in known.parts:
            at = known.parts.index(job)
            known.parts[at : at + 1] = parts
            return
    pause = Backoff(first_s=WHOLE_FIRST_S, cap_s=WHOLE_LONGEST_S)
    device.splits.append(Split(job, list(parts), now_s + pause.next_s(), pause))


def join(device: Running, known: Split) -> None:
    """From now on it is read as a whole again."""
    device.splits.remove(known)
    _put(device, known.parts, [known.whole])


def _put(device: Running, old: Sequence[Job], new: Sequence[Job]) -> None:
    for jobs in device.jobs.values():
        if old[0] in jobs:
            at = jobs.index(old[0])
            jobs[at : at + len(old)] = new
            return


def fail(device: Running, error: DriverError, now_s: float, cycle: Cycle) -> None:
    """The device does not answer: its tags are BAD once, and it is left alone for its next back-off step."""
    device.reachable = False
    device.blocked_s = now_s + device.backoff.next_s()
    for jobs in device.jobs.values():
        for job in jobs:
            job.answered = False
    device.normaliser.bad(device.field_states(), error.reason, cycle, code=error.code)


def answered(device: Running) -> None:
    """The device answered: its back-off begins anew."""
    device.reachable = True
    if device.blocked_s:
        device.blocked_s = 0.0
        device.backoff.reset()
