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


@dataclass(slots=True)
class Job:
    """One read of a device.

    Attributes:
        request: As the driver made it.
        states: The tags it answers, same order as its points.
        gaps: True while it may have been joined over gaps.
        refused: The error that its single point gets; None while it is read in every cycle.
        retry_s: When a refused one is tried again, monotonic seconds.
    """

    request: Request
    states: tuple[TagState, ...]
    gaps: bool = True
    refused: DriverError | None = None
    retry_s: float = 0.0


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
        reported: Points that the device reports by itself.
        backoff: Of a device that does not answer behind a link that does.
        blocked_s: Not asked before this, monotonic seconds; 0 when it answers.
        reachable: It answered at least once since it was configured and was not lost since.
        subscribed: Its subscription stands.
        trouble: Reason, code and words of what it, or its link, last said in refusal.
    """

    config: DeviceConfig
    digest: str
    normaliser: Normaliser
    jobs: dict[int, list[Job]] = field(default_factory=dict)
    reported: tuple[Point, ...] = ()
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=DEVICE_FIRST_S, cap_s=DEVICE_LONGEST_S))
    blocked_s: float = 0.0
    reachable: bool = False
    subscribed: bool = False
    trouble: tuple[Reason | None, int, str] = (None, 0, "")
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


def split(device: Running, job: Job, driver: Driver) -> list[Job]:
    """What to read instead of a job that the device refused: first without gap fill, then in halves.

    A single point has nothing to be split into: [] is returned, and the caller marks it refused.
    """
    points = job.request.points
    if len(points) < 2:
        return []
    if job.gaps:
        parts = jobs_of(device, driver.group(device.config, points, fill_gaps=False), gaps=False)
        if len(parts) > 1 or parts[0].request.text != job.request.text:
            return parts
    half = len(points) // 2
    parts = []
    for some in (points[:half], points[half:]):
        parts += jobs_of(device, driver.group(device.config, some, fill_gaps=False), gaps=False)
    return parts


def replace_job(device: Running, old: Job, new: Sequence[Job]) -> None:
    """Remember a split: from now on the parts are read."""
    for jobs in device.jobs.values():
        for position, job in enumerate(jobs):
            if job is old:
                jobs[position : position + 1] = new
                return


def fail(device: Running, error: DriverError, now_s: float, cycle: Cycle) -> None:
    """The device does not answer: its tags are BAD once, and it is left alone for its next back-off step."""
    device.counters.errors += 1
    if error.reason is Reason.DEVICE_TIMEOUT:
        device.counters.timeouts += 1
    device.reachable = False
    device.trouble = (error.reason, error.code, error.message)
    device.blocked_s = now_s + device.backoff.next_s()
    device.normaliser.bad(device.field_states(), error.reason, cycle, code=error.code)


def answered(device: Running) -> None:
    """The device answered: its back-off begins anew."""
    device.reachable, device.blocked_s = True, 0.0
    device.backoff.reset()
