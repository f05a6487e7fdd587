"""The reads of one session: due groups become cycles, errors cost what their scope says, and commands go first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nexus_cli.drivers.base import DriverError, Request, Scope, Session
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, device_runtime
from nexus_cli.runtime.gateway.field.polling import CHANCES, Poller, WorkQueue
from nexus_cli.wire.sample import Reason
from tests.field import FakeDriver, FakeSession, device
from tests.measured import latencies
from tests.recorded import Recorded, pipeline_into
from tests.simulated_time import LoopClock

pytestmark = pytest.mark.simulated_time
ONE, TWO, THREE = "a/l/one", "a/l/two", "a/l/three"
CLOSED = DriverError("the connection was closed", scope=Scope.SESSION, reason=Reason.LINK_LOST)
SILENT = DriverError("no answer", scope=Scope.DEVICE, reason=Reason.DEVICE_TIMEOUT)


class Polled:
    """Devices behind one session.

    Attributes:
        session: The newest.
        reopens: Whether a session can be had anew.
        opened: How often it was.
    """

    def __init__(self, *paths: str, concurrency: int = 1, tags: int = 2) -> None:
        self.clock, self.recorded, self.working = LoopClock(), Recorded(), WorkQueue()
        self.driver = FakeDriver(concurrency=concurrency)
        self.driver.timeout_s = 0.0
        self.devices: dict[str, DeviceRuntime] = {
            path: device_runtime(device(path, tags=tags), "1", self.driver) for path in paths or (ONE, TWO, THREE)
        }
        self.reopens, self.opened = True, 0
        self.pipeline = pipeline_into(self.recorded, self.clock)
        self.pipeline.configure(self.devices.values())
        self.session = FakeSession(self.driver, "link")
        self.poller = Poller(
            self.session,
            self.driver,
            clock=self.clock,
            pipeline=self.pipeline,
            latencies=latencies(self.clock),
            work=self.working,
            reopen=self.reopen,
            reopens=lambda: self.reopens,
        )

    async def reopen(self, error: DriverError) -> bool:
        self.opened += 1
        return True

    async def poll(self, *paths: str, missed: int = 0) -> bool:
        """All devices, or these."""
        return await self.poller.poll(self.devices, [((path, 100), missed) for path in paths or self.devices])

    def fail(self, *errors: DriverError | None, of: str = "") -> None:
        """The next reads (of a device) end so; None gives values."""
        left = list(errors)

        def refuses(request: Request) -> DriverError | None:
            return left.pop(0) if left and of in ("", request.device) else None

        self.driver.refuses = refuses


async def test_a_cycle_of_a_device_is_one_frame_and_the_frames_come_in_the_order_of_their_turn() -> None:
    one = Polled()
    assert await one.poll(TWO, ONE, THREE)
    assert [frame.device for frame in one.recorded.frames] == [TWO, ONE, THREE]
    assert [list(frame.samples) for frame in one.recorded.frames] == [["t0", "t1"]] * 3
    assert [each.counters.cycles for each in one.devices.values()] == [1, 1, 1]


async def test_two_intervals_of_a_device_that_are_due_together_are_one_frame() -> None:
    one = Polled(ONE)
    tags = device(ONE, tags=1).tags | {"slow": device(ONE, tags=1, poll_ms=500).tags["t0"]}
    one.devices[ONE] = device_runtime(device(ONE, tags=0, more=tags), "2", one.driver)
    one.pipeline.configure(one.devices.values())
    await one.poller.poll(one.devices, [((ONE, 100), 0), ((ONE, 500), 0)])
    assert len(one.driver.reads) == 2
    assert [list(frame.samples) for frame in one.recorded.frames] == [["t0", "slow"]]
    assert one.devices[ONE].counters.cycles == 2


async def test_missed_cycles_are_counted_and_a_device_that_is_gone_is_passed_over() -> None:
    one = Polled(ONE)
    assert await one.poller.poll(one.devices, [((ONE, 100), 3), ((TWO, 100), 5)])
    assert (one.devices[ONE].counters.missed, len(one.driver.reads)) == (3, 1)


async def test_a_silent_device_is_bad_and_left_alone_and_the_next_ones_are_read() -> None:
    one = Polled()
    one.driver.dead.add(TWO)
    assert await one.poll()
    assert [frame.device for frame in one.recorded.frames] == [ONE, TWO, THREE]
    assert set(one.recorded.of(TWO)[0].quality.values()) == {("BAD", "device_timeout", 0)}
    before = len(one.driver.polls(TWO))
    assert await one.poll()
    assert len(one.driver.polls(TWO)) == before and one.devices[TWO].counters.skipped == 1
    one.driver.dead.clear()
    await asyncio.sleep(1.001)
    assert await one.poll(TWO)
    assert one.devices[TWO].reachable and one.recorded.of(TWO)[-1].quality == {}


async def test_devices_that_all_stay_silent_are_no_answer() -> None:
    one = Polled()
    one.driver.dead |= {ONE, TWO, THREE}
    assert not await one.poll()


async def test_a_session_that_ends_is_opened_anew_and_the_read_is_repeated_on_it() -> None:
    one = Polled(ONE)
    one.fail(CLOSED)
    assert await one.poll()
    assert (one.opened, len(one.driver.reads)) == (1, 2)
    assert one.recorded.frames[0].quality == {}


async def test_a_session_that_goes_on_ending_is_opened_a_few_times_and_then_is_lost() -> None:
    one = Polled(ONE, tags=1)
    assert [await one.poller.again(CLOSED) for _ in range(CHANCES + 2)] == [True] * CHANCES + [False] * 2
    assert one.opened == CHANCES
    assert await one.poll()
    assert await one.poller.again(CLOSED), "an answer gives it its chances back"
    one.fail(*[CLOSED] * 100)
    with pytest.raises(DriverError, match="was closed"):
        await one.poll()


async def test_a_session_that_can_not_be_had_anew_is_lost_and_what_was_read_is_kept() -> None:
    one = Polled()
    one.reopens = False
    one.fail(CLOSED, of=TWO)
    with pytest.raises(DriverError) as raised:
        await one.poll()
    assert raised.value is CLOSED and one.opened == 0
    assert [frame.device for frame in one.recorded.frames] == [ONE]
    assert not one.driver.polls(THREE)


async def test_a_check_that_fails_opens_a_session_anew_or_ends_it() -> None:
    one = Polled(ONE)
    one.driver.down.add("link")
    for _ in range(2 * CHANCES):
        await one.poller.check()
    assert one.opened == 2 * CHANCES, "nothing was asked for: no chance is spent"
    one.reopens = False
    with pytest.raises(DriverError, match="connection reset"):
        await one.poller.check()


async def test_side_by_side_as_many_devices_are_asked_at_once_as_the_driver_allows() -> None:
    one = Polled(*(f"a/l/d{at}" for at in range(6)), concurrency=3)
    one.driver.delay_s = 1.0
    assert await one.poll()
    assert sorted(at for at, _, _ in one.driver.reads) == [1000.0] * 3 + [1001.0] * 3


async def test_side_by_side_a_silent_device_holds_up_nobody_and_a_lost_session_is_one_error() -> None:
    one = Polled(concurrency=3)
    one.driver.timeout_s = 5.0
    one.driver.dead.add(ONE)
    assert await one.poll()
    assert {frame.device: set(frame.quality.values()) for frame in one.recorded.frames} == {
        TWO: set(),
        THREE: set(),
        ONE: {("BAD", "device_timeout", 0)},
    }
    one.reopens = False
    one.driver.down.add("link")
    await asyncio.sleep(2.0)
    with pytest.raises(DriverError, match="connection reset"):
        await one.poll()


# --- commands ---------------------------------------------------------------------------------------------------


class Watched(FakeSession):
    """Says what it reads, and lets something happen in the middle of a read."""

    def __init__(self, driver: FakeDriver, log: list[str], meanwhile: Callable[[str], None]) -> None:
        super().__init__(driver, "link")
        self.log, self.meanwhile = log, meanwhile

    async def read(self, request: Any) -> Any:
        """Read."""
        self.log.append(f"read {request.device}")
        self.meanwhile(request.device)
        await asyncio.sleep(0)
        return await super().read(request)


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_work_waits_for_what_is_in_flight_and_nothing_else(concurrency: int) -> None:
    log: list[str] = []
    one = Polled(*(f"a/l/d{at}" for at in range(10)), concurrency=concurrency)

    def order(name: str) -> Callable[[Session], Any]:
        async def work(session: Session) -> None:
            log.append(f"begin {name}")
            await asyncio.sleep(0.002)
            log.append(f"end {name}")

        return work

    def meanwhile(path: str) -> None:
        if path == "a/l/d0":
            for name in ("one", "two", "three"):
                one.working.append(order(name), None)

    one.poller._session = Watched(one.driver, log, meanwhile)
    assert await one.poll()
    works = [line for line in log if not line.startswith("read")]
    assert works == [f"{word} {name}" for name in ("one", "two", "three") for word in ("begin", "end")]
    assert log.index("begin one") <= concurrency, "only requests that were in flight came first"
    assert len([line for line in log if line.startswith("read")]) == 10


async def test_work_on_a_connection_that_was_closed_meanwhile_gets_a_new_one_first() -> None:
    one, done = Polled(ONE), list[int]()

    async def work(session: Session) -> None:
        done.append(one.opened)

    one.session.connected = False  # type: ignore[attr-defined]
    one.working.append(work, None)
    await one.poller.work()
    assert done == [1]


def test_what_never_had_its_turn_is_told() -> None:
    working, told = WorkQueue(), []

    async def work(session: Session) -> None:
        raise AssertionError("it must not be done")

    working.append(work, told.append)
    working.append(work, None)
    working.drop("the line is cut")
    assert told == ["the line is cut"] and len(working) == 0
