"""A command on its device: what is written is what was agreed, and its answer says what the device has."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from nexus_cli.drivers.base import DriverError, Effect, Scope
from nexus_cli.runtime.gateway.commands.admission import Accepted, Clocks, admit
from nexus_cli.runtime.gateway.commands.execution import CommandResult, PendingCommand
from nexus_cli.wire.command import State
from tests.unit.runtime.gateway.commands.oven import NOW_US, PATH, Oven, command, oven


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
    assert plant.recorded.frames == []


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


# --- one order on its session -----------------------------------------------------------------------------------


def ordered(plant: Oven, **keys: Any) -> PendingCommand:
    verdict = admit(plant.device, "set", command(42, **keys), Clocks(lambda: NOW_US))
    assert isinstance(verdict, Accepted)
    return PendingCommand(
        path=f"{PATH}/set",
        principal="op",
        command=command(42, **keys),
        received_us=0,
        deadline_s=1e18,
        accepted=verdict,
        fingerprint="",
    )


async def test_a_value_that_is_written_and_read_back_is_done_and_the_live_view_shows_it() -> None:
    plant = Oven(oven(), oven())
    order = ordered(plant)
    await plant.execution.write(order, plant.driver)(plant)
    found = order.ended.result()
    assert (found.state, found.value, found.read_back, plant.wire) == (State.DONE, 42, 42, [("5", 42)])
    assert plant.recorded.values(f"{PATH}/set") == [42]


async def test_an_order_that_nobody_waits_for_or_that_was_answered_is_not_begun() -> None:
    plant = Oven(oven(), oven())
    order = ordered(plant)
    order.withdrawn = True
    await plant.execution.write(order, plant.driver)(plant)
    other = ordered(plant)
    other.dropped("reset")
    await plant.execution.write(other, plant.driver)(plant)
    assert (plant.wire, plant.reads, order.begun, other.begun) == ([], 0, False, False)
    assert other.ended.result().detail == "the link was lost before the write began: reset"


async def test_an_order_that_has_expired_when_its_turn_comes_writes_nothing() -> None:
    plant = Oven(oven(), oven())
    plant.execution._expired = lambda _: True
    order = ordered(plant)
    await plant.execution.write(order, plant.driver)(plant)
    assert (order.ended.result().code, plant.wire) == ("NX6808", [])


@pytest.mark.parametrize(("held", "state", "code"), [(7, State.DONE, ""), (8, State.REFUSED, "NX6813")])
async def test_what_a_command_expects_is_read_before_it_writes(held: int, state: State, code: str) -> None:
    plant = Oven(oven(), oven())
    plant.registers["5"] = held
    order = ordered(plant, expect=7)
    await plant.execution.write(order, plant.driver)(plant)
    found = order.ended.result()
    assert (found.state, found.code, found.old) == (state, code, held)
    assert plant.wire == ([("5", 42)] if state is State.DONE else [])


@pytest.mark.parametrize("during", ["read", "write"])
async def test_a_bug_in_a_driver_is_answered_with_what_may_be_at_the_device_and_passed_on(during: str) -> None:
    plant = Oven(oven(), oven())

    async def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    setattr(plant, during, broken)
    order = ordered(plant, expect=0) if during == "read" else ordered(plant)
    with pytest.raises(RuntimeError):
        await plant.execution.write(order, plant.driver)(plant)
    found = order.ended.result()
    assert (found.state, found.code) == {
        "read": (State.REFUSED, "NX6812"),
        "write": (State.UNKNOWN, "NX6816"),
    }[during]


@pytest.mark.parametrize(("scope", "ends"), [(Scope.SESSION, True), (Scope.DEVICE, False), (Scope.ITEM, False)])
async def test_a_read_back_that_fails_leaves_it_unknown_and_ends_the_session_only_when_that_is_gone(
    scope: Scope, ends: bool
) -> None:
    plant = Oven(oven(), oven())

    async def read(_: Any) -> None:
        raise DriverError("no", scope=scope)

    plant.read = read  # type: ignore[method-assign,assignment]
    order = ordered(plant)
    work = plant.execution.write(order, plant.driver)
    if ends:
        with pytest.raises(DriverError):
            await work(plant)
    else:
        await work(plant)
    assert (order.ended.result().state, order.ended.result().code) == (State.UNKNOWN, "NX6816")


async def test_a_value_that_shows_late_is_found_by_the_next_look() -> None:
    plant = Oven(oven(), oven())
    plant.takes = 0
    order = ordered(plant)
    await plant.execution.write(order, plant.driver)(plant)
    first = order.ended.result()
    assert (first.state, first.code, first.again, first.read_back) == (State.FAILED, "NX6815", True, 0)
    looked: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
    plant.registers["5"] = 42
    await plant.execution.look_again(plant.driver, first, looked)(plant)
    assert (looked.result().state, looked.result().read_back) == (State.DONE, 42)
    assert plant.wire == [("5", 42)], "a look writes nothing"
