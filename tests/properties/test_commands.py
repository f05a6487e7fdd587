"""Commands over random configurations and deployments: what was agreed is what is written, or nothing is."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.drivers.base import DriverError, Effect, Point, ReadResult, Request, Scope
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS
from nexus_cli.model.quantities import conversion
from nexus_cli.runtime.clock import FakeClock, RisingTime
from nexus_cli.runtime.gateway.commands.admission import Accepted, Clocks, Rejection, admit
from nexus_cli.runtime.gateway.commands.execution import CommandResult, Execution, PendingCommand
from nexus_cli.runtime.gateway.devices.absence import Absence
from nexus_cli.runtime.gateway.devices.device import device_runtime
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.wire.command import Command, State
from nexus_cli.wire.topic import Topics
from tests.field import FakeDriver

PATH = "a/l/oven"
NOW_US = 1_700_000_000_000_000
MOMENTS = ("waiting", "expecting", "writing", "reading back", "never")


class Nowhere:
    """An outbox and a live view that remember the samples."""

    def __init__(self) -> None:
        self.samples: list[tuple[str, Any]] = []

    def add_frame(self, topic: str, *, samples: dict[str, Any], **_: Any) -> bool:
        self.samples += samples.items()
        return True

    def put(self, states: Any) -> None:
        pass

    def forget(self, topic: str) -> None:
        pass


class Oven:
    """A device whose registers are a dictionary, and a deployment that comes when it is told to.

    Attributes:
        registers: Raw values by address.
        wire: Writes, (address, raw), in order.
        refuse: What a write raises.
    """

    def __init__(self, before: DeviceConfig, after: DeviceConfig, *, moment: str = "never") -> None:
        self.registers: dict[str, Any] = {}
        self.wire: list[tuple[str, Any]] = []
        self.refuse: DriverError | None = None
        self.takes: Any = None
        self.after, self.moment, self.reads = after, moment, 0
        clock, nowhere = FakeClock(), Nowhere()
        self.rows = nowhere.samples
        self.pipeline = Pipeline(
            topics=Topics("e", "s"),
            gateway="gw-1",
            outbox=nowhere,  # type: ignore[arg-type]
            live=nowhere,  # type: ignore[arg-type]
            time=RisingTime(clock),
            absence=Absence(clock=clock, add_gap=lambda **_: None),
        )
        self.driver = FakeDriver()
        self.device = device_runtime(before, "1", self.driver)
        self.pipeline.configure([self.device])
        self.execution = Execution(pipeline=self.pipeline, find=self.find, expired=lambda order: False)

    def find(self, path: str) -> Any:
        """The device that runs now."""
        return self.device if path == PATH else None

    def deploy(self, moment: str) -> None:
        """The configuration changes, if this is the moment."""
        if moment == self.moment:
            self.moment = ""
            self.device = device_runtime(self.after, "2", self.driver)
            self.pipeline.configure([self.device])

    async def read(self, request: Request) -> ReadResult:
        """Answer; the deployment comes while the answer is on its way."""
        self.reads += 1
        values = [self.registers.get(point.address, 0) for point in request.points]
        self.deploy("reading back" if self.wire else "expecting")
        return ReadResult(values)

    async def write(self, path: str, point: Point, value: Any) -> None:
        """Take a value; the deployment comes while it is on its way."""
        self.wire.append((point.address, value))
        if self.refuse is not None:
            raise self.refuse
        self.registers[point.address] = value if self.takes is None else self.takes
        self.deploy("writing")

    def carry_out(self, command: Command) -> CommandResult:
        """From the arrival to the answer."""

        async def run() -> CommandResult:
            verdict = admit(self.device, "set", command, Clocks(lambda: NOW_US))
            if isinstance(verdict, Rejection):
                return CommandResult(state=State.REFUSED, code=verdict.code, detail=verdict.detail)
            order = PendingCommand(
                path=f"{PATH}/set",
                principal="op",
                command=command,
                received_us=0,
                deadline_s=1e18,
                accepted=verdict,
                fingerprint="",
            )
            self.deploy("waiting")
            work = self.execution.write(order, self.driver)
            try:
                await work(self)  # type: ignore[arg-type]
            except DriverError as error:
                assert error.scope is Scope.SESSION
            return await order.ended

        return asyncio.run(run())


def command(value: Any, **keys: Any) -> Command:
    return Command(id="1", value=value, expires_at=NOW_US + 10_000_000, **keys)


def oven(**keys: Any) -> DeviceConfig:
    """A setpoint, and a place where it shows."""
    tag = TagConfig(**{"type": "int16", "address": "5", "writable": True, **keys})
    shown = TagConfig(type=tag.type, address="70", scale=tag.scale)
    return DeviceConfig(path=PATH, protocol="fake", link="x", gateway="gw-1", tags={"set": tag, "shown": shown})


_units = st.sampled_from([("", ""), ("degC", "degC"), ("degF", "degC"), ("degC", "degF")])


@st.composite
def configurations(draw: st.DrawFn) -> DeviceConfig:
    unit, published = draw(_units)
    factor, shift = conversion(unit, published) if unit != published else (1.0, 0.0)
    return oven(
        type=draw(st.sampled_from(["int16", "uint16", "int32"])),
        address=draw(st.sampled_from(["5", "5", "9"])),
        scale=draw(st.sampled_from([1.0, 0.1, 0.5])),
        offset=draw(st.sampled_from([0.0, 0.0, -40.0])),
        unit=unit,
        publish_unit=published,
        unit_factor=factor,
        unit_shift=shift,
        range=draw(st.sampled_from([None, (0.0, 100.0), (0.0, 40.0)])),
        writable=draw(st.sampled_from([True, True, True, False])),
        enabled=draw(st.sampled_from([True, True, True, False])),
        deadband=draw(st.sampled_from([0.0, 1.0])),
        read_back=draw(st.sampled_from(["", "", "none", f"{PATH}/shown"])),
    )


@given(
    before=configurations(),
    after=configurations(),
    same=st.booleans(),
    moment=st.sampled_from(MOMENTS),
    value=st.integers(-20, 1200).map(lambda tenths: tenths / 10),
    expects=st.booleans(),
)
def test_what_was_agreed_is_written_or_nothing(
    before: DeviceConfig, after: DeviceConfig, same: bool, moment: str, value: float, expects: bool
) -> None:
    tag = before.tags["set"]
    if same:  # a deployment that changes what is no matter of the command
        after = msgspec.structs.replace(before, description="new", connection={"timeout": 900})
    plant = Oven(before, after, moment=moment)
    plant.registers = {"5": 0, "9": 0, "70": 0}
    holds = (tag.offset * tag.unit_factor + tag.unit_shift) if expects else None
    asked = command(value) if holds is None else command(value, expect=round(holds, 9))
    ended = plant.carry_out(asked)
    if plant.wire:
        ((address, raw),) = plant.wire
        assert address == tag.address and tag.writable and tag.enabled
        low, high = INTEGER_BOUNDS[tag.type]
        assert low <= raw <= high
        published = (Decimal(raw) * Decimal(str(tag.scale)) + Decimal(str(tag.offset))) * Decimal(tag.unit_factor)
        away = abs(float(published) + tag.unit_shift - value)
        assert away <= abs(tag.scale * tag.unit_factor) + 1e-9 if tag.unit != tag.publish_unit else away < 1e-9
        if tag.range is not None:
            assert tag.range[0] - 1e-9 <= float(published) + tag.unit_shift <= tag.range[1] + 1e-9  # type: ignore[operator]
        assert ended.state in (State.DONE, State.FAILED)
        assert ended.state is State.DONE or tag.read_back == f"{PATH}/shown"
    else:
        assert ended.state is State.REFUSED and ended.code.startswith("NX68")
        if same and moment == "waiting":
            assert ended.code != "NX6803" or not tag.writable
    if moment == "waiting" and plant.moment == "" and ended.state is not State.REFUSED:
        assert after.tags["set"].address == tag.address and after.tags["set"].range == tag.range


def test_a_command_that_waits_is_refused_when_its_meaning_changes() -> None:
    before = oven(scale=0.1, range=(0.0, 100.0))
    for changed in (
        {"scale": 0.5},
        {"offset": 1.0},
        {"range": (0.0, 40.0)},
        {"address": "6"},
        {"publish_unit": "degF"},
        {"values": {"0": "off"}},
        {"read_back": f"{PATH}/shown"},
        {"type": "uint16"},
    ):
        plant = Oven(before, oven(**{"scale": 0.1, "range": (0.0, 100.0), **changed}), moment="waiting")
        ended = plant.carry_out(command(50))
        assert (ended.state, ended.code, plant.wire) == (State.REFUSED, "NX6803", [])
        assert next(iter(changed)) in ended.detail


def test_a_place_of_yesterday_is_read_back_and_is_no_sample() -> None:
    before = oven()
    plant = Oven(before, oven(address="70"), moment="writing")
    ended = plant.carry_out(command(77))
    assert (ended.state, ended.read_back, plant.wire) == (State.DONE, 77, [("5", 77)])
    assert plant.rows == []


def test_another_device_proves_nothing() -> None:
    before = oven()
    plant = Oven(before, msgspec.structs.replace(before, connection={"unit_id": 7}), moment="writing")
    ended = plant.carry_out(command(77))
    assert (ended.state, ended.code) == (State.UNKNOWN, "NX6816")


def _error(scope: Scope, effect: Effect | None) -> DriverError:
    return DriverError("no", scope=scope, effect=effect)


def test_what_a_failure_says_of_the_device() -> None:
    for scope, effect, state, code in (
        (Scope.ITEM, None, State.FAILED, "NX6814"),
        (Scope.ITEM, Effect.REFUSED, State.FAILED, "NX6814"),
        (Scope.ITEM, Effect.MAYBE, State.UNKNOWN, "NX6816"),
        (Scope.ITEM, Effect.NONE, State.REFUSED, "NX6814"),
        (Scope.DEVICE, None, State.UNKNOWN, "NX6816"),
        (Scope.DEVICE, Effect.REFUSED, State.FAILED, "NX6814"),
        (Scope.SESSION, None, State.UNKNOWN, "NX6816"),
        (Scope.SESSION, Effect.NONE, State.REFUSED, "NX6812"),
    ):
        plant = Oven(oven(), oven())
        plant.refuse = _error(scope, effect)
        ended = plant.carry_out(command(5))
        assert (ended.state, ended.code) == (state, code), (scope, effect)


def test_a_value_is_proved_as_what_it_is() -> None:
    for type_, value, holds, state in (
        ("datetime", "2026-11-30T14:30:00+02:00", "2026-11-30T12:30:00Z", State.DONE),
        ("datetime", "2026-11-30T12:45:00.000Z", "2026-11-30T12:45:00Z", State.DONE),
        ("datetime", "2026-11-30 12:50:00.250", "2026-11-30T12:50:00.250000Z", State.DONE),
        ("datetime", "2026-11-30", "2026-11-30T00:00:00Z", State.DONE),
        ("datetime", "2026-11-30T12:30:00Z", "2026-11-30T12:30:01Z", State.FAILED),
        ("string[10]", "ab ", "ab", State.DONE),
        ("string[10]", "äöüäöüäöüä", "äöüäöüäöüä", State.DONE),
        ("string[10]", "ab", "abc", State.FAILED),
        ("float32", 0.1, 0.10000000149011612, State.DONE),
        ("float32", 0.1, 0.11, State.FAILED),
        ("float64", 0.1, 0.10000000149011612, State.FAILED),
        ("bool", True, 1, State.FAILED),
    ):
        plant = Oven(oven(type=type_), oven(type=type_))
        plant.takes = holds
        ended = plant.carry_out(command(value))
        assert ended.state is state, (type_, value, holds, ended)


def test_a_feedback_that_differs_is_named() -> None:
    plant = Oven(oven(read_back=f"{PATH}/shown"), oven())
    ended = plant.carry_out(command(1))
    assert (ended.state, ended.again) == (State.FAILED, True)
    assert f"{PATH}/shown shows 0 instead of 1 within 5 s" in ended.detail


def test_an_accepted_command_keeps_what_it_was_judged_by() -> None:
    plant = Oven(oven(), oven())
    verdict = admit(plant.device, "set", command(1), Clocks(lambda: NOW_US))
    assert verdict == Accepted(plant.device.config, plant.device.config.tags["set"])
