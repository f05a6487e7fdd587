"""In time order, the last row of a tag is the last value that it had, whatever polls, reports, commands, calculated
tags, faults, heartbeats and the clock do between each other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.drivers.base import DriverError, Notification, Point, ReadResult, Request, Scope, points_of
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.gateway.commands.admission import Accepted
from nexus_cli.runtime.gateway.commands.execution import Execution, PendingCommand
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, device_runtime
from nexus_cli.runtime.gateway.devices.normaliser import Cycle, Normaliser, TagState
from nexus_cli.runtime.gateway.field.polling import Poller, WorkQueue
from nexus_cli.runtime.gateway.field.subscriptions import Subscriptions
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from nexus_cli.wire.command import Command
from nexus_cli.wire.sample import Reason
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock
from tests.examples import examples
from tests.field import FakeDriver, FakeSubscription
from tests.measured import latencies
from tests.recorded import Recorded, pipeline_into

ONE, TWO = "a/l/one", "a/l/two"
POLLED = ("speed", "start", "level")
TOPICS = Topics("e", "s")


def tag(address: str = "", **keys: Any) -> TagConfig:
    """A number."""
    return TagConfig(type="float64", published_type="float64", address=address, **keys)


def device(path: str, **calculated: TagConfig) -> DeviceConfig:
    """Three tags that are read one by one, one that is reported, and what is calculated."""
    tags = {name: tag(name, writable=True) for name in POLLED}
    tags["event"] = tag("event", mode="subscribe", heartbeat_ms=2000)
    return DeviceConfig(path=path, protocol="fake", link="x", gateway="gw-1", tags={**tags, **calculated})


SUMS = {
    f"{ONE}/both": (f"{ONE}/speed", f"{TWO}/speed"),
    f"{TWO}/back": (f"{ONE}/both", f"{TWO}/event"),
    f"{ONE}/own": (f"{ONE}/level", f"{ONE}/event"),
    f"{ONE}/far": (f"{TWO}/speed", f"{TWO}/speed"),
}
"""Calculated tags: what they add. `back` reads `both`, which reads both devices."""


def calculated(path: str) -> TagConfig:
    """The sum of two tags."""
    left, right = SUMS[path]
    return tag(expr="x + y", inputs={"x": left, "y": right}, heartbeat_ms=3000)


class OneByOne(FakeDriver):
    """Reads each point by a request of its own."""

    def group(self, device: DeviceConfig, points: Sequence[Point], *, fill_gaps: bool = True) -> tuple[Request, ...]:
        """One request a point."""
        return tuple(Request(device.path, (point,), None) for point in points)


class CommandSession:
    """The session as a command has it."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant

    async def read(self, request: Request) -> ReadResult:
        """Read."""
        return await self.plant.read(request)

    async def write(self, path: str, point: Point, value: Any) -> None:
        """The device takes a value."""
        self.plant.field[f"{path}/{point.name}"] = value


class Plant:
    """Two devices on one link, whose answers come when the test says so.

    Attributes:
        field: What the devices hold, by path.
        known: What became known of each tag, in order; the model.
        waiting: Reads whose answer is still out.
    """

    def __init__(self) -> None:
        self.clock, self.record = FakeClock(), Recorded()
        self.field: dict[str, float] = {}
        self.known: dict[str, list[Any]] = {}
        self.waiting: list[asyncio.Future[DriverError | None]] = []
        self.tasks: list[asyncio.Task[Any]] = []
        driver = OneByOne(concurrency=2)
        self.driver = driver
        self.pipeline = pipeline_into(self.record, self.clock)
        configs = [
            device(one, **{p.rpartition("/")[2]: calculated(p) for p in SUMS if p.startswith(one)})
            for one in (ONE, TWO)
        ]
        self.devices: dict[str, DeviceRuntime] = {one.path: device_runtime(one, "1", driver) for one in configs}
        for one in self.devices.values():
            self.lose(one.normaliser)
        self.pipeline.configure(self.devices.values())
        self.work = WorkQueue()
        self.poller = Poller(
            self,  # type: ignore[arg-type]
            driver,
            clock=self.clock,
            pipeline=self.pipeline,
            work=self.work,
            latencies=latencies(self.clock),
        )
        self.reporting = Subscriptions(
            self, driver=driver, clock=self.clock, pipeline=self.pipeline, meanwhile=lambda device, points: None
        )  # type: ignore[arg-type]
        self.execution = Execution(pipeline=self.pipeline, find=self.devices.get, expired=lambda order: False)
        self.link = Supervisor(
            "x",
            driver=driver,
            link_keys=frozenset(),
            home=".",
            clock=self.clock,
            pipeline=self.pipeline,
            latencies=latencies(self.clock),
            changed=lambda: None,
        )

    # --- the session -------------------------------------------------------------------------------------------

    async def read(self, request: Request) -> ReadResult:
        """Answer with what the field holds when the answer comes."""
        answer: asyncio.Future[DriverError | None] = asyncio.get_running_loop().create_future()
        self.waiting.append(answer)
        error = await answer
        paths = [f"{request.device}/{point.name}" for point in request.points]
        if error is None:
            values = [self.field.get(path, 0.0) for path in paths]
            for path, value in zip(paths, values, strict=True):
                self.learn(path, value)
            return ReadResult(values)
        raise error

    async def subscribe(self, path: str, points: Sequence[Point], **keys: Any) -> FakeSubscription:
        """Reports come by `report`."""
        return FakeSubscription(keys["sink"], path, points)

    # --- the model ---------------------------------------------------------------------------------------------

    def learn(self, path: str, value: Any) -> None:
        """A value became known."""
        self.known.setdefault(path, []).append(value)

    def lose(self, normaliser: Normaliser) -> None:
        """Learn what is taken for BAD; for which tags it is, is held elsewhere (tests/unit/runtime/gateway/field/test_asking.py)."""
        bad = normaliser.bad

        def learning(states: Iterable[TagState], reason: Reason, cycle: Cycle, *, code: int = 0) -> None:
            states = list(states)
            for state in states:
                if state.path not in SUMS:
                    self.learn(state.path, None)
            bad(states, reason, cycle, code=code)

        normaliser.bad = learning  # type: ignore[method-assign]

    # --- what happens ------------------------------------------------------------------------------------------

    @property
    def polling(self) -> bool:
        """A poll is on its way."""
        return any(not task.done() for task in self.tasks)

    async def settle(self) -> None:
        """Let everything run that can."""
        for _ in range(12):
            await asyncio.sleep(0)

    async def do(self, what: tuple[Any, ...]) -> None:
        """One event."""
        await getattr(self, f"_{what[0]}")(*what[1:])
        await self.settle()

    async def _set(self, path: str, value: float) -> None:
        self.field[path] = value

    async def _poll(self) -> None:
        if not self.polling:
            due = [((path, 1000), 0) for path in self.devices]
            self._start(self.poller.poll(self.devices, due))

    async def _answer(self, which: int, scope: Scope | None) -> None:
        if self.waiting:
            error = (
                None if scope is None else DriverError("no", scope=scope, retriable=True, reason=Reason.DEVICE_ERROR)
            )
            self.waiting.pop(which % len(self.waiting)).set_result(error)

    async def _report(self, path: str, values: list[float]) -> None:
        points = points_of(self.devices[path].config, ["event"])
        for value in values:
            self.learn(f"{path}/event", value)
        self.reporting._sink(path, [Notification(points[0], value) for value in values])

    async def _command(self, path: str, value: float) -> None:
        order = PendingCommand(
            path=path,
            principal="op",
            command=Command(id="1", value=value, expires_at=0),
            received_us=0,
            deadline_s=1e18,
            accepted=Accepted(
                self.devices[path.rpartition("/")[0]].config, tag(path.rpartition("/")[2], writable=True)
            ),
            fingerprint="",
        )
        write = self.execution.write(order, self.driver)
        self.work.append(lambda _: write(CommandSession(self)), None)
        if not self.polling:
            self._start(self.poller.work())

    async def _pass(self, seconds: float) -> None:
        self.clock.advance(seconds)

    async def _step(self, delta_us: int) -> None:
        self.clock.step(delta_us)

    async def _turn(self) -> None:
        """The time is set back an hour: what went before lies ahead, and everything is recorded anew."""
        if not self.polling:
            self.clock.turn_back(3_600_000_000)
            self.record.clear()
            self.pipeline.doubt(False, set_back=True)
            self.known = {path: values[-1:] for path, values in self.known.items()}

    async def _doubt(self, doubtful: bool) -> None:
        self.pipeline.doubt(doubtful)

    async def _heartbeats(self) -> None:
        self.reporting.repeat(self.reporting.due(self.clock.monotonic_s()))
        self.pipeline.repeat_calculated()

    async def _lost(self) -> None:
        if not self.polling:
            self.link._devices.publish_bad(list(self.devices.values()), Reason.LINK_LOST)

    def _start(self, action: Any) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(action))

    async def end(self) -> None:
        """Every answer comes."""
        while self.polling or self.waiting:
            await self.do(("answer", 0, None))
        for task in self.tasks:
            await task


def without_repeats(values: Iterable[Any]) -> list[Any]:
    """What changed."""
    found: list[Any] = []
    for value in values:
        if not found or found[-1] != value:
            found.append(value)
    return found


def check(plant: Plant) -> None:
    """The law."""
    rows, known = plant.record.rows, plant.known
    for path, found in rows.items():
        times = [time_us for time_us, _ in found]
        assert len(set(times)) == len(times), f"two rows of {path} with one time"
        by_time = sorted(found)
        assert by_time == found, f"{path} went on its way out of its order"
        assert plant.record.shown[path] == by_time[-1], "the live view shows the newest row"
        if path not in SUMS:
            assert without_repeats(value for _, value in by_time) == without_repeats(known.get(path, []))
    for path in known:
        assert path in rows
    last: dict[str, int] = {}
    for frame in plant.record.frames:
        assert frame.time_us > last.get(frame.device, 0), f"the frames of {frame.device} rise in the order they went in"
        last[frame.device] = frame.time_us
    for path, inputs in SUMS.items():
        values = [rows[one][-1][1] if one in rows else "unknown" for one in inputs]
        if "unknown" not in values:
            expected = None if None in values else sum(values)
            assert rows[path][-1][1] == expected, f"{path} of {values}"


paths = st.sampled_from([f"{one}/{name}" for one in (ONE, TWO) for name in POLLED])
numbers = st.integers(0, 2).map(float)
events = st.one_of(
    st.tuples(st.just("set"), paths, numbers),
    st.tuples(st.just("set"), paths, numbers),
    st.just(("poll",)),
    st.tuples(
        st.just("answer"), st.integers(0, 5), st.sampled_from([None, None, None, None, Scope.ITEM, Scope.DEVICE])
    ),
    st.tuples(st.just("answer"), st.integers(0, 5), st.none()),
    st.tuples(st.just("report"), st.sampled_from([ONE, TWO]), st.lists(numbers, min_size=1, max_size=3)),
    st.tuples(st.just("command"), paths, numbers),
    st.tuples(st.just("pass"), st.sampled_from([0.0, 0.000001, 0.03, 0.2, 5.0, 70.0])),
    st.just(("heartbeats",)),
    st.tuples(st.just("doubt"), st.booleans()),
    st.tuples(st.just("step"), st.integers(-5_000_000, 5_000_000)),
    st.sampled_from([("lost",), ("turn",), ("pass", 0.2)]),
)


@settings(max_examples=examples(250), deadline=None)
@given(st.lists(events, min_size=5, max_size=60))
def test_by_time_the_last_row_of_a_tag_is_the_last_value_it_had(happenings: list[tuple[Any, ...]]) -> None:
    async def run() -> None:
        plant = Plant()
        await plant.reporting.renew(plant.devices)
        for one in happenings:
            await plant.do(one)
        await plant.end()
        check(plant)

    asyncio.run(run())
