"""However a device takes a read that the gateway has joined, its registers fare as if each had been read alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.drivers.base import DriverError, Fault, ReadResult, Request, Scope
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.exceptions import EXCEPTIONS
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, device_runtime
from nexus_cli.runtime.gateway.field import device_reads
from nexus_cli.runtime.gateway.field.polling import Poller, WorkQueue
from nexus_cli.wire.sample import Quality, Reason
from tests.clock import FakeClock
from tests.measured import latencies
from tests.recorded import Recorded, pipeline_into

PATH = "a/l/d"
SILENT = DriverError("no answer in time", scope=Scope.DEVICE, reason=Reason.DEVICE_TIMEOUT)
CLOSED = DriverError("the connection was lost", scope=Scope.SESSION, reason=Reason.LINK_LOST)
GARBAGE = DriverError("the received bytes are not a Modbus TCP frame", scope=Scope.SESSION, reason=Reason.LINK_LOST)


def exception(code: int) -> DriverError:
    scope, reason, retriable, name = EXCEPTIONS.get(code, (Scope.REQUEST, Reason.DEVICE_ERROR, True, "?"))
    return DriverError(name, scope=scope, reason=reason, retriable=retriable, code=code, transient=code in (5, 6))


MANNERS = {**{f"exception {code}": exception(code) for code in range(1, 12)}, "silent": SILENT, "closed": CLOSED}
MANNERS["garbage"] = GARBAGE


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody rests before a busy device is asked again."""
    monkeypatch.setattr(device_reads, "BUSY_S", 0.0)


manners = pytest.mark.parametrize("error", MANNERS.values(), ids=MANNERS)


class Field:
    """A device of which tests say how it takes each read.

    Attributes:
        refuses: The error that a read of these registers gets, None for values.
        asked: The registers of each read.
        opened: How often the session was opened anew.
        alive: Whether a session can be had.
    """

    def __init__(self, tags: dict[str, TagConfig], refuses: Callable[[Sequence[int]], DriverError | None]) -> None:
        self.refuses, self.asked, self.opened, self.alive = refuses, list[tuple[int, ...]](), 0, True
        self.clock = FakeClock()
        config = DeviceConfig(path=PATH, protocol="modbus", gateway="gw-1", connection={"host": "h"}, tags=tags)
        self.device: DeviceRuntime = device_runtime(config, "1", DRIVER)
        pipeline = pipeline_into(Recorded(), self.clock)
        pipeline.configure([self.device])
        self.poller = Poller(
            self,  # type: ignore[arg-type]
            DRIVER,
            clock=self.clock,
            pipeline=pipeline,
            latencies=latencies(self.clock),
            work=WorkQueue(),
            reopen=self.reopen,
            reopens=lambda: True,
        )

    async def reopen(self, error: DriverError) -> bool:
        """A new session in the place of the old one."""
        self.opened += 1
        return self.alive

    async def read(self, request: Request) -> ReadResult:
        """Every register holds its own number."""
        registers = [int(point.address.partition(":")[2]) for point in request.points]
        self.asked.append(tuple(registers))
        error = self.refuses(registers)
        if error is not None:
            raise error
        return ReadResult(list(registers))

    def poll(self, *, intervals: Iterable[int] = (), after_s: float = 1.0) -> int:
        """One cycle; gives how many reads it took."""
        before = len(self.asked)
        self.clock.advance(after_s)
        due = [((PATH, one), 0) for one in intervals or self.device.jobs]
        asyncio.run(self.poller.poll({PATH: self.device}, due))
        return len(self.asked) - before

    def bad(self) -> set[int]:
        """The registers whose tags are not GOOD."""
        states = self.device.normaliser.states.values()
        return {int(one.config.address.partition(":")[2]) for one in states if one.quality is not Quality.GOOD}


def tags(*registers: int, poll_ms: int = 1000) -> dict[str, TagConfig]:
    return {f"r{at}": TagConfig(type="uint16", address=f"holding:{at}", poll_ms=poll_ms) for at in registers}


@manners
@pytest.mark.parametrize("registers", [range(20), (0, 9, 20, 29), (0, 1, 200, 201), (7, 8)], ids=str)
def test_a_device_that_bears_no_joined_read_is_read_whole_in_the_first_cycle(
    error: DriverError, registers: Sequence[int]
) -> None:
    field = Field(tags(*registers), lambda asked: error if len(asked) > 1 else None)
    field.poll()
    assert field.bad() == set()
    joined = [asked for asked in field.asked if len(asked) > 1]
    assert joined, "it was tried"
    assert field.poll() == len(registers), "what was learnt is remembered"


@manners
def test_a_hole_costs_nothing_but_the_join_over_it(error: DriverError) -> None:
    """Registers 10 to 19 are not there, and none of them is configured."""
    registers = [0, 1, 5, 9, 20, 22, 29]
    field = Field(tags(*registers), lambda asked: error if min(asked) < 10 and max(asked) >= 20 else None)
    field.poll()
    assert field.bad() == set()
    dear = error.scope is not Scope.REQUEST
    assert field.poll() == (6 if dear else 2), "a refusal is cheap: the hole is looked for, and all else stays joined"


@manners
def test_a_register_that_is_refused_alone_costs_its_tag_alone(error: DriverError) -> None:
    field = Field(tags(*range(16)), lambda asked: error if 11 in asked else None)
    for _ in range(3):
        field.poll()
    assert field.bad() == {11}
    assert field.poll() < 16


@settings(max_examples=40)
@given(
    error=st.sampled_from(list(MANNERS.values())),
    holes=st.sets(st.integers(0, 59), max_size=6),
    seed=st.sets(st.integers(0, 59), min_size=1, max_size=40),
)
def test_whatever_is_answered_alone_is_read_in_the_end(error: DriverError, holes: set[int], seed: set[int]) -> None:
    """Any holes, refused in any manner wherever a read touches one: at most a few cycles later all else is GOOD."""

    def refuses(asked: Sequence[int]) -> DriverError | None:
        return error if any(low <= hole <= high for hole in holes for low, high in [(min(asked), max(asked))]) else None

    field = Field(tags(*sorted(seed)), refuses)
    for _ in range(40):
        try:
            field.poll(after_s=61.0)
        except DriverError as lost:
            assert lost.scope is Scope.SESSION
    assert field.bad() == seed & holes


@manners
def test_what_was_split_is_joined_again_once_that_works(error: DriverError) -> None:
    hostile = True
    field = Field(tags(*range(20)), lambda asked: error if hostile and len(asked) > 1 else None)
    field.poll()
    for _ in range(60):
        assert field.poll() <= 23, "one try beside the parts, now and then"
        assert field.bad() == set()
    hostile = False
    counts = [field.poll(after_s=20.0) for _ in range(200)]
    assert counts[-1] == 1 and field.bad() == set()


def test_tries_to_join_again_become_rare() -> None:
    field = Field(tags(*range(20)), lambda asked: SILENT if len(asked) > 1 else None)
    field.poll()
    early = sum(field.poll(after_s=5.0) > 20 for _ in range(720))
    late = sum(field.poll(after_s=5.0) > 20 for _ in range(720))
    assert early > late
    assert late <= 2 * 19, "19 ways to join halves, each twice an hour at the most"


@manners
def test_one_register_that_can_not_be_read_leaves_the_others_joined_in_time(error: DriverError) -> None:
    field = Field(tags(*range(64)), lambda asked: error if 37 in asked else None)
    for _ in range(100):
        field.poll(after_s=20.0)
    assert field.bad() == {37}
    assert min(field.poll() for _ in range(3)) <= 7


def test_a_busy_device_is_asked_once_more_and_costs_only_what_was_asked() -> None:
    turns = 0

    def refuses(asked: Sequence[int]) -> DriverError | None:
        nonlocal turns
        turns += 300 in asked
        return exception(6) if 300 in asked and turns % 2 else None

    field = Field(tags(0, 300), refuses)
    for _ in range(10):
        field.poll()
        assert field.bad() == set()
    always = Field(tags(0, 300), lambda asked: exception(5) if 300 in asked else None)
    for _ in range(3):
        assert always.poll() == 3
        assert always.bad() == {300}


class Items(Field):
    """A device that answers each read, and has no value of some registers in some reads.

    Attributes:
        faults: By register, the faults of the reads to come; empty is GOOD.
    """

    def __init__(self, registers: Sequence[int]) -> None:
        super().__init__(tags(*registers), lambda _: None)
        self.faults: dict[int, list[Fault]] = {}

    async def read(self, request: Request) -> ReadResult:
        """As `Field.read`."""
        result = await super().read(request)
        found = {at: self.faults[one].pop(0) for at, one in enumerate(self.asked[-1]) if self.faults.get(one)}
        return ReadResult(result.values, found)


def test_one_point_that_the_device_is_busy_with_is_asked_once_more() -> None:
    busy = Fault(Reason.DEVICE_TIMEOUT, 0x800A0000, transient=True)
    field = Items((0, 1))
    field.poll()
    field.faults[1] = [busy]
    assert (field.poll(), field.bad()) == (2, set())
    field.faults[1] = [busy] * 9
    assert (field.poll(), field.bad()) == (2, {1})
    assert (field.poll(), field.bad()) == (1, {1}), "what was BAD before is worth no second read"
    field.faults[1] = []
    assert (field.poll(), field.bad()) == (1, set())
    field.faults[1] = [Fault(Reason.ILLEGAL_ADDRESS)]
    assert (field.poll(), field.bad()) == (1, {1})


def test_what_was_read_is_kept_when_the_second_read_of_a_busy_point_fails() -> None:
    field = Items((0, 1))
    field.poll()
    field.faults[1] = [Fault(Reason.DEVICE_TIMEOUT, transient=True)]
    field.refuses = lambda _: SILENT if len(field.asked) == 3 else None
    assert (field.poll(), field.bad()) == (2, {1})


@pytest.mark.parametrize("late", [(0,), (300,)], ids=str)
def test_an_answer_that_is_late_once_costs_nothing(late: tuple[int, ...]) -> None:
    missing: list[int] = []

    def refuses(asked: Sequence[int]) -> DriverError | None:
        return SILENT if missing and missing.pop() in asked else None

    field = Field(tags(0, 300), refuses)
    field.poll()
    for _ in range(5):
        missing[:] = late
        field.poll()
        assert field.bad() == set()


def test_a_device_that_was_held_up_is_read_as_before() -> None:
    """What is silent until another read is answered was no join that the device does not like."""
    silent = 0

    def refuses(_: Sequence[int]) -> DriverError | None:
        nonlocal silent
        silent -= 1
        return SILENT if silent >= 0 else None

    field = Field(tags(0, 2, 300), refuses)
    field.poll()
    silent, before = 2, len(field.asked)
    field.poll()
    assert field.asked[before:] == [(0, 2), (0, 2), (300,), (0, 2), (300,)]
    assert field.bad() == set() and not field.device.splits


def test_what_answered_in_another_interval_speaks_for_the_device() -> None:
    """A register that is never answered, in an interval of its own, does not make the rest BAD."""
    field = Field({**tags(0), **tags(300, poll_ms=5000)}, lambda asked: SILENT if 300 in asked else None)
    field.poll(intervals=[1000])
    field.poll(intervals=[5000])
    assert field.bad() == {300}
    assert field.device.reachable and not field.device.blocked_s
    field.poll(intervals=[5000], after_s=0.5)
    assert len(field.asked) == 4, "left alone for a while: 0; 300, again, 0; nothing"


def test_a_dead_device_costs_few_time_outs_and_all_its_tags() -> None:
    silent = False
    field = Field(tags(*range(0, 2000, 200)), lambda asked: SILENT if silent else None)
    field.poll()
    silent = True
    assert field.poll() <= 4
    assert field.bad() == set(range(0, 2000, 200))
    assert not field.device.reachable
    for _ in range(5):
        assert field.poll(after_s=61.0) <= 2
    silent = False
    field.poll(after_s=61.0)
    assert field.bad() == set()


def test_a_device_whose_first_registers_are_mute_is_found_alive() -> None:
    field = Field(tags(*range(0, 2000, 200)), lambda asked: SILENT if asked[0] < 1800 else None)
    for _ in range(30):
        field.poll(after_s=61.0)
    assert field.bad() == set(range(0, 1800, 200))


def test_a_link_that_closes_after_each_answer_is_read_whole() -> None:
    answered = 0

    def refuses(asked: Sequence[int]) -> DriverError | None:
        nonlocal answered
        answered += 1
        return CLOSED if answered % 2 else None

    field = Field(tags(0, 300, 600), refuses)
    for _ in range(5):
        field.poll()
        assert field.bad() == set()
    assert field.opened == 15


def test_a_link_that_can_not_be_had_again_is_lost() -> None:
    field = Field(tags(0, 300), lambda asked: CLOSED)
    field.alive = False
    with pytest.raises(DriverError) as caught:
        field.poll()
    assert caught.value is CLOSED and field.opened == 1
    field.alive = True
    with pytest.raises(DriverError):
        field.poll()
    assert field.opened <= 4, "it is not opened over and over when nothing is answered"
