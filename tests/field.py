"""A field that tests script: a driver without a wire, a source of configuration, and a historian that gives receipts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from nexus_cli.drivers.base import (
    Browsed,
    DriverError,
    Fault,
    Notification,
    Point,
    Promise,
    ReadResult,
    Request,
    Scope,
    Sent,
    Sink,
    Subscription,
    Taken,
)
from nexus_cli.model.config import DeviceConfig, TagConfig, digest, to_json
from nexus_cli.runtime.gateway.outbox.intervals import Intervals
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.command import Report, decode_report
from nexus_cli.wire.control import GatewayIndex, ServicePause
from nexus_cli.wire.frame import Committed, Frame, Gap, decode_gap, encode
from nexus_cli.wire.message import Message
from nexus_cli.wire.sample import Reason, Value
from nexus_cli.wire.signature import SignatureRules
from nexus_cli.wire.topic import Topics
from tests.frames import placed_frames


class FakeSubscription:
    """A subscription that the test feeds."""

    def __init__(self, sink: Sink, device: str, points: Sequence[Point]) -> None:
        self.sink, self.device, self.points = sink, device, points
        self.faults: dict[str, Fault] = {}
        self.retried = 0
        self.distrusted: list[str] = []
        self.closed = False

    def notes(self) -> Sequence[str]:
        """No limits."""
        return []

    async def retry(self) -> None:
        """Count it."""
        self.retried += 1

    def promise(self, name: str) -> Promise:
        """A second."""
        return Promise(1.0)

    async def distrust(self, names: Sequence[str]) -> None:
        """They are in faults, and in a list."""
        self.distrusted += names
        self.faults.update({name: Fault(Reason.DEVICE_ERROR) for name in names})

    def report(self, **values: Value) -> None:
        """Report values by tag name."""
        found = {point.name: point for point in self.points}
        self.sink(self.device, [Notification(found[name], value) for name, value in values.items()])

    async def close(self) -> None:
        """Stop."""
        self.closed = True


class FakeSession:
    """A session over the driver's script."""

    def __init__(self, driver: FakeDriver, link: str) -> None:
        self.driver, self.link = driver, link
        self.closed = False

    async def read(self, request: Request) -> ReadResult:
        """Answer from the script."""
        driver = self.driver
        driver.reads.append((asyncio.get_running_loop().time(), request.device, tuple(p.name for p in request.points)))
        if self.link in driver.down:
            raise DriverError("connection reset", scope=Scope.SESSION)
        refusal = driver.refuses(request)
        if refusal is not None:
            raise refusal
        if driver.bug == request.device:
            raise RuntimeError("a bug in the driver")
        if request.device in driver.dead:
            await asyncio.sleep(driver.timeout_s)
            raise DriverError("no answer", scope=Scope.DEVICE, reason=Reason.DEVICE_TIMEOUT)
        addresses = {point.address for point in request.points}
        if request.detail["gaps"] and driver.illegal_gaps & {request.device}:
            raise _illegal()
        if any((request.device, address) in driver.illegal for address in addresses):
            raise _illegal()
        if driver.delay_s:
            await asyncio.sleep(driver.delay_s)
        faults = {
            at: driver.faults[request.device, point.name]
            for at, point in enumerate(request.points)
            if (request.device, point.name) in driver.faults
        }
        return ReadResult([driver.value(request.device, point.name) for point in request.points], faults)

    async def write(self, device: str, point: Point, value: Value) -> None:
        """Set a value."""
        self.driver.values[device, point.name] = value

    async def subscribe(
        self, device: str, points: Sequence[Point], *, interval_ms: Sequence[int], sink: Sink
    ) -> Subscription:
        """Open a subscription."""
        refusal = self.driver.refuses_reports(device)
        if refusal is not None:
            raise refusal
        one = FakeSubscription(sink, device, points)
        self.driver.subscriptions[device] = one
        return one

    async def configure(self, devices: Sequence[DeviceConfig]) -> None:
        """Count it."""
        self.driver.configured += 1

    async def check(self) -> None:
        """Alive unless the link is down."""
        self.driver.checks.append(asyncio.get_running_loop().time())
        if self.link in self.driver.down:
            raise DriverError("connection reset", scope=Scope.SESSION)

    def browse(self, *, start: str = "") -> AsyncIterator[Browsed]:
        """Nothing to walk."""
        raise DriverError("no browsing here", scope=Scope.ITEM)

    async def close(self) -> None:
        """Close."""
        self.closed = True


class PromptFakeSession(FakeSession):
    """One that also reads without a task of the gateway's that waits."""

    def send(self, request: Request, taken: Taken) -> Sent:
        """As `read`; see `drivers.base.Prompt`."""

        async def answer() -> None:
            try:
                found: ReadResult | Exception = await self.read(request)
            except Exception as error:
                found = error
            self.driver.sent += 1
            taken(found)

        sent: asyncio.Task[None] = asyncio.create_task(answer(), name="a prompt answer")
        return sent  # type: ignore[return-value]


def _illegal() -> DriverError:
    return DriverError(
        "illegal data address", scope=Scope.REQUEST, retriable=False, reason=Reason.ILLEGAL_ADDRESS, code=2
    )


class FakeDriver:
    """A protocol whose field is a few dictionaries.

    Attributes:
        values: By (device, tag); a callable is called; absent is a counter that rises with each read.
        down: Links that refuse and break sessions.
        dead: Devices that do not answer.
        illegal: (device, address) that fail the request they are in.
        illegal_gaps: Devices that refuse reads joined over gaps.
        faults: By (device, tag).
        refuses: The error that a read gets, None for values.
        refuses_reports: The same for subscriptions, by device path.
        connects, checks: When sessions were opened and proved alive, on the loop's time.
        sessions: Every one that was opened.
        prompt: Whether they can read without a task that waits.
        sent: How many reads such sessions answered.
    """

    name = "fake"
    prompt = False

    def __init__(self, *, concurrency: int = 1) -> None:
        self.concurrency = concurrency
        self.values: dict[tuple[str, str], Any] = {}
        self.down: set[str] = set()
        self.dead: set[str] = set()
        self.illegal: set[tuple[str, str]] = set()
        self.illegal_gaps: set[str] = set()
        self.faults: dict[tuple[str, str], Fault] = {}
        self.subscriptions: dict[str, FakeSubscription] = {}
        self.bug = ""
        self.timeout_s = 0.05
        self.delay_s = 0.0
        self.refuses: Callable[[Request], DriverError | None] = lambda _: None
        self.refuses_reports: Callable[[str], DriverError | None] = lambda _: None
        self.connects: list[float] = []
        self.checks: list[float] = []
        self.sessions: list[FakeSession] = []
        self.configured = self.sent = 0
        self.reads: list[tuple[float, str, tuple[str, ...]]] = []
        self._count = 0

    def value(self, device: str, tag: str) -> Value:
        """What the field holds."""
        self._count += 1
        held = self.values.get((device, tag), self._count)
        return held() if callable(held) else held

    def group(self, device: DeviceConfig, points: Sequence[Point], *, fill_gaps: bool = True) -> tuple[Request, ...]:
        """One request for all points with gap fill, else one for each ten."""
        if fill_gaps:
            return (Request(device.path, tuple(points), {"gaps": True}),) if points else ()
        return tuple(
            Request(device.path, tuple(points[at : at + 10]), {"gaps": False}) for at in range(0, len(points), 10)
        )

    async def connect(self, devices: Sequence[DeviceConfig], *, home: str) -> FakeSession:
        """Open a link."""
        self.connects.append(asyncio.get_running_loop().time())
        link = devices[0].link
        if link in self.down:
            raise DriverError("connection refused", scope=Scope.SESSION)
        self.sessions.append((PromptFakeSession if self.prompt else FakeSession)(self, link))
        return self.sessions[-1]

    def polls(self, device: str) -> list[float]:
        """When a device was read."""
        return [at for at, path, _ in self.reads if path == device]


def device(path: str, *, link: str = "tcp:plc:1", tags: int = 4, poll_ms: int = 100, **keys: Any) -> DeviceConfig:
    """A device with tags `t0 …` of type float64."""
    made = {f"t{at}": TagConfig(type="float64", address=f"a{at}", poll_ms=poll_ms) for at in range(tags)}
    made.update(keys.pop("more", {}))
    return DeviceConfig(path=path, protocol="fake", link=link, gateway="gw-1", tags=made, **keys)


class FakeSource:
    """Control's configuration API without control."""

    def __init__(self, devices: Sequence[DeviceConfig] = ()) -> None:
        self.deployment = 0
        self.devices: dict[str, DeviceConfig] = {}
        self.away = False
        self.frames = "columns"
        self.fetched: list[str] = []
        self.paused: dict[str, ServicePause] = {}
        self.signatures = SignatureRules()
        if devices:
            self.deploy(*devices)

    def deploy(self, *devices: DeviceConfig) -> int:
        """Make these the gateway's devices, as one deployment."""
        self.devices = {one.path: one for one in devices}
        self.deployment += 1
        return self.deployment

    async def gateway_index(self, gateway: str) -> GatewayIndex:
        """The index."""
        self._check()
        digests = {path: digest(to_json(one)) for path, one in self.devices.items()}
        total = digest(sorted([path, one] for path, one in digests.items()))
        return GatewayIndex(
            deployment=self.deployment,
            digest=total,
            devices=digests,
            frames=self.frames,
            out_of_service=dict(self.paused),
            signatures=self.signatures,
        )

    async def gateway_devices(self, gateway: str, paths: Sequence[str]) -> dict[str, Any]:
        """Devices by path."""
        self._check()
        self.fetched += paths
        return {path: to_json(self.devices[path]) for path in paths}

    def _check(self) -> None:
        if self.away:
            from nexus_cli.diagnostics.errors import NexusError

            raise NexusError("Control does not answer.", code="NX6400", retriable=True)


class FakeHistorian:
    """Stores frames in memory and announces receipts, like the real one: idempotent, in ranges.

    Attributes:
        frames: By (epoch, seq).
        devices: Device path of each frame, by (epoch, seq).
        gaps: By (epoch, seq).
        reports: Of commands, by (epoch, seq).
        doubles: Frames that came again although they were stored.
        topics_heard: Messages with frames, by topic.
        forgetting: While true, nothing that comes is stored or announced.
    """

    def __init__(self, settings: Settings, *, gateway: str = "gw-1", live: bool = True) -> None:
        enterprise, _, site = settings.site.partition("/")
        self.topics = Topics(enterprise, site)
        self.client = BrokerClient(settings=settings, client_id="test-historian", clean=True)
        self.gateway = gateway
        self.frames: dict[tuple[str, int], Frame] = {}
        self.devices: dict[tuple[str, int], str] = {}
        self.gaps: dict[tuple[str, int], Gap] = {}
        self.reports: dict[tuple[str, int], Report] = {}
        self.live: dict[str, bytes] = {}
        self._hears_live = live
        self.doubles = 0
        self.topics_heard: Counter[str] = Counter()
        self.forgetting = False
        self.on_frame: Callable[[Frame], None] | None = None
        self._committed: dict[str, Intervals] = {}
        self._dirty: set[str] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until stopped."""
        platform = self.topics.platform
        async with asyncio.TaskGroup() as group:
            group.create_task(
                self.client.run(
                    stop,
                    subscriptions=[
                        (f"{platform}/data/#", 1),
                        (f"{platform}/gap/#", 1),
                        (f"{platform}/audit/#", 1),
                        *([(f"{self.topics.live}/#", 1)] if self._hears_live else []),
                    ],
                    on_message=self._hear,
                    on_connected=self._again,
                ),
                name="historian",
            )
            while not stop.is_set():
                await asyncio.sleep(0.03)
                await self._announce()

    async def _again(self) -> None:
        self._dirty |= set(self._committed)

    def _hear(self, message: Message) -> None:
        if message.topic.startswith(self.topics.live + "/"):
            self.live[message.topic] = message.payload
            return
        if self.forgetting:
            return
        if "/audit/" in message.topic:
            report = decode_report(message.payload)
            self._store(report.epoch, report.seq)
            self.reports[report.epoch, report.seq] = report
            return
        if "/gap/" in message.topic:
            gap = decode_gap(message.payload)
            self._store(gap.epoch, gap.seq)
            self.gaps[gap.epoch, gap.seq] = gap
            return
        self.topics_heard[message.topic] += 1
        for device, frame in placed_frames(message.topic, message.payload):
            if (frame.epoch, frame.seq) in self.frames:
                self.doubles += 1
                assert self.frames[frame.epoch, frame.seq] == frame, "a repeat differs from the first"
            self.frames[frame.epoch, frame.seq] = frame
            self.devices[frame.epoch, frame.seq] = device
            self._store(frame.epoch, frame.seq)
            if self.on_frame is not None:
                self.on_frame(frame)

    def gaps_with_rows(self) -> list[tuple[Gap, int]]:
        """Gaps in which a frame of their device lies, with its time: there must be none."""
        return [
            (gap, frame.time)
            for gap in self.gaps.values()
            for key, frame in self.frames.items()
            if gap.device in ("", self.devices[key]) and gap.start <= frame.time <= gap.end
        ]

    def _store(self, epoch: str, seq: int) -> None:
        self._committed.setdefault(epoch, Intervals()).add(seq, seq)
        self._dirty.add(epoch)

    async def _announce(self) -> None:
        from nexus_cli.diagnostics.errors import NexusError

        for epoch in sorted(self._dirty):
            receipt = Committed(epoch=epoch, ranges=self._committed[epoch].ranges())
            try:
                await self.client.publish(self.topics.committed(self.gateway), encode(receipt), retain=True)
            except NexusError:
                return
            self._dirty.discard(epoch)
