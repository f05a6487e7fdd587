"""One link: what an error costs, when it is tried again, and what a new configuration leaves alone."""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from nexus_cli.drivers.base import DriverError, Fault, Request, Scope
from nexus_cli.model.config import TagConfig
from nexus_cli.runtime.gateway.devices.device import ILLEGAL_RETRY_S
from nexus_cli.runtime.gateway.field.supervisor import LINK_LONGEST_S, STUCK_S, WORK_QUEUE
from nexus_cli.wire.sample import Reason
from tests.field import FakeDriver, FakeSession, device
from tests.scripted_link import LINK, ScriptedLink

pytestmark = pytest.mark.simulated_time
ONE, TWO = "a/l/one", "a/l/two"
REST_S = 300.0
LINK_LOST = ("BAD", "link_lost", 0)
RESET = DriverError("connection reset", scope=Scope.SESSION, reason=Reason.LINK_LOST)


def waits(times: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(times)]


def follows_back_off(found: list[float]) -> bool:
    """Each wait lies between a half and the whole of 1, 2, 4 … 60 s."""
    ceilings = [min(LINK_LONGEST_S, 2.0**step) for step in range(len(found))]
    return all(ceiling / 2 <= one <= ceiling + 0.001 for one, ceiling in zip(found, ceilings, strict=True))


# --- the session ------------------------------------------------------------------------------------------------


async def test_a_link_that_is_refused_is_tried_with_a_back_off_and_its_tags_are_bad_once() -> None:
    link = ScriptedLink(device(ONE), device(TWO))
    link.driver.down.add(LINK)
    await link.run_for(200.0)
    assert follows_back_off(waits(link.driver.connects)) and len(link.driver.connects) >= 8
    assert [(one.device, set(one.quality.values())) for one in link.recorded.frames] == [
        (ONE, {LINK_LOST}),
        (TWO, {LINK_LOST}),
    ]
    assert {(state, detail) for _, state, detail in link.states} == {
        ("connecting", ""),
        ("backoff", "connection refused"),
    }
    assert link.supervisor.reconnects == 0, "there was no first session"


async def test_a_link_that_comes_back_is_connected_and_its_next_loss_begins_with_the_first_step() -> None:
    link = ScriptedLink(device(ONE))
    link.driver.down.add(LINK)
    async with link.running():
        await asyncio.sleep(40.0)
        link.driver.down.clear()
        await asyncio.sleep(70.0)  # the longest wait is 60 s
        assert link.supervisor.connected
        assert link.recorded.values(f"{ONE}/t0")[0] is None and link.recorded.values(f"{ONE}/t0")[-1] is not None
        link.driver.down.add(LINK)
        before = len(link.driver.connects)
        await asyncio.sleep(20.0)
    tried = link.driver.connects[before:]
    assert follows_back_off(waits(tried)), "an answer resets the back-off"


async def test_a_session_that_opens_and_gives_no_answer_does_not_reset_the_back_off() -> None:
    link = ScriptedLink(device(ONE))
    link.driver.refuses = lambda _: RESET
    await link.run_for(300.0)
    lost = [at for at, state, _ in link.states if state == "backoff"]
    assert follows_back_off(waits(lost)) and len(lost) > 8
    assert not any(value is not None for value in link.recorded.values(f"{ONE}/t0"))


async def test_a_session_that_ends_in_a_poll_is_opened_within_it_and_no_row_shows_it() -> None:
    link = ScriptedLink(device(ONE))
    losses = [RESET]
    async with link.running():
        await asyncio.sleep(2.0)
        link.driver.refuses = lambda _: losses.pop() if losses else None
        await asyncio.sleep(2.0)
        assert link.supervisor.connected and link.supervisor.reconnects == 1
    assert len(link.driver.connects) == 2
    assert [one.closed for one in link.driver.sessions] == [True, True]
    assert None not in link.recorded.values(f"{ONE}/t0")
    assert [state for _, state, _ in link.states] == ["connecting", "connected"]


async def test_a_bug_in_a_driver_costs_its_link_a_reconnect_and_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    link = ScriptedLink(device(ONE))
    link.driver.bug = ONE
    async with link.running():
        await asyncio.sleep(0.999)
        assert (link.supervisor.state.state, link.supervisor.state.detail) == (
            "backoff",
            "RuntimeError: a bug in the driver",
        )
        assert link.recorded.frames[-1].quality["t0"] == LINK_LOST
        link.driver.bug = ""
        await asyncio.sleep(5.0)
        assert link.supervisor.connected and link.recorded.values(f"{ONE}/t0")[-1] is not None
    errors = [one.levelno for one in caplog.records if one.exc_info]
    assert errors == [logging.ERROR] * (len(link.driver.connects) - 1)


async def test_a_link_without_polls_is_proved_alive_each_five_seconds() -> None:
    link = ScriptedLink(device(ONE, poll_ms=3_600_000))
    await link.run_for(60.0)
    assert len(link.driver.checks) == 11
    assert [round(one, 3) for one in waits(link.driver.checks)] == [5.0] * 10


async def test_a_link_that_fails_its_check_is_lost() -> None:
    link = ScriptedLink(device(ONE, poll_ms=3_600_000))
    async with link.running():
        await asyncio.sleep(4.0)
        link.driver.down.add(LINK)
        await asyncio.sleep(2.0)
        assert link.supervisor.state.state == "backoff"
        assert link.recorded.frames[-1].quality == {f"t{at}": LINK_LOST for at in range(4)}


class Refusing(FakeDriver):
    """Refuses the login, at a cost or without."""

    rest_s = 0.0

    async def connect(self, devices: object, *, home: str) -> FakeSession:
        self.connects.append(asyncio.get_running_loop().time())
        raise DriverError(
            "wrong", scope=Scope.SESSION, reason=Reason.ACCESS_DENIED, retriable=False, rest_s=self.rest_s
        )


async def test_a_costly_attempt_is_made_twice_then_rests() -> None:
    """A login that was refused twice rests: accounts get locked."""
    link = ScriptedLink(device(ONE), driver=Refusing())
    link.driver.rest_s = REST_S  # type: ignore[attr-defined]
    await link.run_for(1000.0)
    first, *others = waits(link.driver.connects)
    assert 0.5 <= first <= 1.001
    assert [round(one) for one in others] == [REST_S] * 3
    assert link.states[-1][1:] == ("backoff", "wrong; tried 2 times, again in 5 min, or when its configuration changes")
    assert link.recorded.frames[-1].quality["t0"] == ("BAD", "access_denied", 0)


async def test_what_costs_nothing_is_tried_with_the_usual_back_off() -> None:
    link = ScriptedLink(device(ONE), driver=Refusing())
    await link.run_for(1000.0)
    assert follows_back_off(waits(link.driver.connects))


# --- devices ----------------------------------------------------------------------------------------------------


async def test_a_device_that_does_not_answer_costs_nothing_but_itself() -> None:
    link = ScriptedLink(device(ONE), device(TWO))
    link.driver.dead.add(TWO)
    await link.run_for(100.0)
    assert link.driver.connects == [1000.0]
    assert [one.quality for one in link.recorded.of(TWO)] == [
        {f"t{at}": ("BAD", "device_timeout", 0) for at in range(4)}
    ]
    assert None not in link.recorded.values(f"{ONE}/t0")
    counters = link.device(ONE).counters
    assert counters.cycles + counters.missed in (999, 1000)
    asked = link.driver.polls(TWO)
    assert len(asked) < 20, "its own back-off goes up to a minute"
    assert counters.missed <= len(asked), "each time-out (50 ms) costs the others at most the cycle that it is in"


async def test_a_device_that_comes_back_is_read_as_before() -> None:
    link = ScriptedLink(device(ONE))
    link.driver.dead.add(ONE)
    async with link.running():
        await asyncio.sleep(30.0)
        assert link.device(ONE).trouble[0] is Reason.DEVICE_TIMEOUT
        link.driver.dead.clear()
        await asyncio.sleep(40.0)
        before = len(link.driver.polls(ONE))
        await asyncio.sleep(10.0)
    assert len(link.driver.polls(ONE)) - before == 100
    assert link.device(ONE).backoff.step == 0


async def test_a_held_up_poll_costs_the_cycles_it_lasted_and_the_others_keep_their_phase() -> None:
    link = ScriptedLink(device(ONE, poll_ms=100))
    async with link.running():
        await asyncio.sleep(5.0)
        link.driver.delay_s = 0.45
        await asyncio.sleep(0.1)
        link.driver.delay_s = 0.0
        await asyncio.sleep(5.0)
    counters, polls = link.device(ONE).counters, link.driver.polls(ONE)
    assert (counters.cycles, counters.missed) == (len(polls), 3)
    assert counters.cycles + counters.missed == 101
    off = [at for at in polls if abs((at - polls[0]) * 10 - round((at - polls[0]) * 10)) > 0.01]
    assert len(off) == 1, "one begins late, none is made up for, the next ones are on the grid again"


async def test_an_address_that_the_device_refuses_costs_its_tag_alone_and_is_left_alone() -> None:
    link = ScriptedLink(device(ONE, tags=23))
    link.driver.illegal.add((ONE, "a13"))
    link.driver.illegal_gaps.add(ONE)
    async with link.running():
        await asyncio.sleep(1.0)
        newest = {path.rpartition("/")[2]: marks[-1] for path, marks in link.recorded.marks.items()}
        assert {name for name, (_, quality, _) in newest.items() if quality == "BAD"} == {"t13"}
        assert newest["t13"] == (None, "BAD", 2) and len(newest) == 23
        before = len(link.driver.reads)
        await asyncio.sleep(5.0)  # the read as a whole is tried again after 7.5 s at the earliest
        assert len(link.driver.reads) > before + 50
        assert not any("t13" in names for _, _, names in link.driver.reads[before:])
        link.driver.illegal.clear()
        await asyncio.sleep(ILLEGAL_RETRY_S)
        assert link.recorded.values(f"{ONE}/t13")[-1] is not None


# --- what is reported -------------------------------------------------------------------------------------------


def reporting(**keys: Any) -> Any:
    """A device with a polled tag and a reported one."""
    return device(ONE, tags=1, more={"s0": TagConfig(type="float64", address="s0", mode="subscribe", **keys)})


async def test_reports_come_between_polls_and_the_session_is_checked_although_it_is_polled_rarely() -> None:
    link = ScriptedLink(reporting())
    async with link.running():
        await asyncio.sleep(2.0)
        link.driver.subscriptions[ONE].report(s0=1.5)
        await asyncio.sleep(2.0)
        link.driver.subscriptions[ONE].report(s0=2.5)
    assert link.recorded.values(f"{ONE}/s0") == [1.5, 2.5]
    assert len(link.driver.polls(ONE)) == 40


async def test_a_session_with_reports_is_not_replaced_in_silence_because_its_changes_are_lost() -> None:
    link = ScriptedLink(reporting())
    async with link.running():
        await asyncio.sleep(2.0)
        link.driver.subscriptions[ONE].report(s0=1.5)
        losses = [RESET]
        link.driver.refuses = lambda _: losses.pop() if losses else None
        await asyncio.sleep(2.0)
        assert link.supervisor.connected and link.supervisor.reconnects == 1
        link.driver.subscriptions[ONE].report(s0=1.5)
    assert link.recorded.marks[f"{ONE}/s0"] == [(1.5, "GOOD", 0), (None, "BAD", 0), (1.5, "GOOD", 0)]
    assert [state for _, state, _ in link.states] == ["connecting", "connected", "backoff", "connected"]


async def test_a_subscription_that_a_device_refuses_is_polled_until_it_is_taken() -> None:
    link = ScriptedLink(reporting(poll_ms=200))
    async with link.running():
        await asyncio.sleep(1.0)
        link.driver.subscriptions[ONE].faults["s0"] = Fault(Reason.DEVICE_ERROR)
        before = len([names for _, _, names in link.driver.reads if "s0" in names])
        await asyncio.sleep(5.5)
        polled = len([names for _, _, names in link.driver.reads if "s0" in names]) - before
        assert polled >= 1 and link.driver.subscriptions[ONE].retried >= 1
        link.driver.subscriptions[ONE].faults.clear()
        await asyncio.sleep(10.0)
        before = len([names for _, _, names in link.driver.reads if "s0" in names])
        await asyncio.sleep(10.0)
        assert len([names for _, _, names in link.driver.reads if "s0" in names]) == before


# --- configuration ----------------------------------------------------------------------------------------------


async def test_a_change_of_one_device_leaves_the_session_and_the_other_devices_alone() -> None:
    link = ScriptedLink(device(ONE), device(TWO))
    async with link.running():
        await asyncio.sleep(5.0)
        kept, frames = link.device(ONE), len(link.recorded.of(ONE))
        link.apply(device(ONE), device(TWO, tags=6))
        await asyncio.sleep(5.0)
        assert link.device(ONE) is kept
        assert len(link.recorded.of(ONE)) - frames == 50
    assert link.driver.connects == [1000.0] and link.driver.configured == 1
    assert [round(one, 3) for one in waits(link.driver.polls(ONE))] == [0.1] * 99
    assert set(link.recorded.of(TWO)[-1].samples) == {f"t{at}" for at in range(6)}


async def test_a_changed_key_of_the_link_opens_a_new_session_and_another_key_does_not() -> None:
    def plc(**connection: Any) -> Any:
        return device(ONE, connection={"host": "h", "timeout": 1000, **connection})

    link = ScriptedLink(plc(), link_keys=frozenset({"host"}))
    async with link.running():
        await asyncio.sleep(1.0)
        link.apply(plc(timeout=2000))
        await asyncio.sleep(1.0)
        assert len(link.driver.connects) == 1
        link.apply(plc(host="other"))
        await asyncio.sleep(1.0)
        assert len(link.driver.connects) == 2 and link.driver.sessions[0].closed
    assert None not in link.recorded.values(f"{ONE}/t0"), "that is no loss"


async def test_a_changed_configuration_ends_the_wait_for_the_next_try_only_with_the_key_of_the_link() -> None:
    def plc(**connection: Any) -> Any:
        return device(ONE, connection={"host": "h", **connection})

    link = ScriptedLink(plc(), driver=Refusing(), link_keys=frozenset({"host"}))
    link.driver.rest_s = REST_S  # type: ignore[attr-defined]
    async with link.running():
        await asyncio.sleep(10.0)
        assert len(link.driver.connects) == 2
        link.apply(plc(timeout=1))
        await asyncio.sleep(10.0)
        assert len(link.driver.connects) == 2
        link.apply(plc(host="other"))
        await asyncio.sleep(10.0)
        assert len(link.driver.connects) == 3


async def test_a_device_that_is_removed_is_read_no_more() -> None:
    link = ScriptedLink(device(ONE), device(TWO))
    async with link.running():
        await asyncio.sleep(2.0)
        link.apply(device(ONE))
        before = len(link.driver.polls(TWO)), len(link.driver.polls(ONE))
        await asyncio.sleep(2.0)
    assert len(link.driver.polls(TWO)) == before[0]
    assert len(link.driver.polls(ONE)) == before[1] + 20


async def test_a_link_whose_devices_are_switched_off_is_idle_and_says_so() -> None:
    off = msgspec.structs.replace(device(ONE), enabled=False)
    link = ScriptedLink(off)
    async with link.running():
        await asyncio.sleep(100.0)
        assert link.driver.connects == [] and link.supervisor.state.state == "idle"
        assert link.recorded.frames[-1].quality["t0"] == ("BAD", "out_of_service", 0)
        link.apply(device(ONE))
        await asyncio.sleep(1.0)
        assert link.supervisor.connected
        link.apply(off)
        await asyncio.sleep(1.0)
        assert link.supervisor.state.state == "idle" and link.driver.sessions[0].closed
    assert link.recorded.values(f"{ONE}/t0")[-1] is None


class Choosy(FakeDriver):
    """Can't group the reads of one device."""

    def group(self, device: Any, points: Any, *, fill_gaps: bool = True) -> tuple[Request, ...]:
        if device.path == TWO:
            raise ValueError("no such type: decimal128")
        return super().group(device, points, fill_gaps=fill_gaps)


async def test_a_device_that_can_not_be_run_is_named_and_the_others_run() -> None:
    link = ScriptedLink(device(ONE), device(TWO), driver=Choosy())
    assert link.failed == {TWO: "no such type: decimal128"}
    await link.run_for(1.0)
    assert len(link.driver.polls(ONE)) == 10 and not link.driver.polls(TWO)


async def test_a_device_that_comes_to_a_lost_link_is_bad_at_once() -> None:
    link = ScriptedLink(device(ONE))
    link.driver.down.add(LINK)
    async with link.running():
        await asyncio.sleep(100.0)
        link.apply(device(ONE), device(TWO))
        assert link.recorded.frames[-1].device == TWO
        assert set(link.recorded.frames[-1].quality.values()) == {LINK_LOST}


# --- work, health -----------------------------------------------------------------------------------------------


async def test_work_goes_before_the_next_poll_and_only_while_the_link_is_connected() -> None:
    link = ScriptedLink(device(ONE, poll_ms=10_000))
    done: list[float] = []

    async def work(session: Any) -> None:
        done.append(link.clock.monotonic_s())

    assert not link.supervisor.submit(work), "it is not connected"
    async with link.running():
        await asyncio.sleep(7.0)
        assert link.supervisor.submit(work)
        await asyncio.sleep(0.001)
    assert done == [1007.0], "it does not wait for a poll that is due later"


async def test_the_queue_of_work_is_bounded_and_a_lost_link_drops_it_with_the_reason() -> None:
    link = ScriptedLink(device(ONE, poll_ms=10_000))
    dropped: list[str] = []

    async def work(session: Any) -> None:
        raise RESET

    async with link.running():
        await asyncio.sleep(7.0)
        taken = [link.supervisor.submit(work, dropped=dropped.append) for _ in range(WORK_QUEUE + 1)]
        assert taken == [True] * WORK_QUEUE + [False]
        await asyncio.sleep(0.1)
        assert dropped == ["connection reset"] * (WORK_QUEUE - 1), "the first had its turn"


async def test_work_that_waits_when_the_link_is_stopped_is_dropped() -> None:
    link, dropped = ScriptedLink(device(ONE, poll_ms=10_000)), list[str]()

    async def work(session: Any) -> None:
        raise AssertionError("it must not be done")

    async with link.running():
        await asyncio.sleep(7.0)
        assert link.supervisor.submit(work, dropped=dropped.append)
    assert dropped == ["the link was closed"]


async def test_a_call_that_hangs_is_seen_as_one() -> None:
    link = ScriptedLink(device(ONE, connection={"timeout": 2000, "connect_timeout": 3000}))
    async with link.running():
        await asyncio.sleep(3.3)
        assert not link.supervisor.activity().waits, "between two polls it waits for nothing"
        link.driver.delay_s = 1000.0
        await asyncio.sleep(1.0)
        first = link.supervisor.activity()
        await asyncio.sleep(100.0)
        assert (first.waits, first.limit_s) == (True, STUCK_S + 6.0)
        assert link.supervisor.activity().moved == first.moved
        assert link.supervisor.free_s() == 0.0


async def test_how_long_a_link_is_free_is_until_its_next_poll() -> None:
    link = ScriptedLink(device(ONE, poll_ms=10_000))
    assert link.supervisor.free_s() == 0.0, "it is not connected"
    async with link.running():
        await asyncio.sleep(5.0)
        polled_s = link.driver.polls(ONE)[-1]
        following_s = next(one for one in (polled_s + at for at in range(1, 11)) if one > link.clock.monotonic_s())
        assert link.supervisor.free_s() >= following_s - link.clock.monotonic_s() - 0.001
        assert link.supervisor.free_s() <= 10.0
