"""Polls without a task: when they are made, when they are handed over, and what is left of them then."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from nexus_cli.drivers.base import DriverError, Fault, Request, Scope, Session
from nexus_cli.model.config import TagConfig
from nexus_cli.runtime.gateway.field.link_times import LinkTimes
from nexus_cli.runtime.gateway.field.prompt import PromptPolls
from nexus_cli.runtime.gateway.field.schedule import share
from nexus_cli.wire.sample import Reason
from tests.field import FakeDriver, device
from tests.scripted_link import ScriptedLink

pytestmark = pytest.mark.simulated_time
ONE, TWO, THREE = "a/l/one", "a/l/two", "a/l/three"
SILENT = DriverError("no answer", scope=Scope.DEVICE, reason=Reason.DEVICE_TIMEOUT)
RESET = DriverError("connection reset", scope=Scope.SESSION, reason=Reason.LINK_LOST)
PROMPT = "prompt"


class HalvesDriver(FakeDriver):
    """Each tag is a read of its own."""

    def group(self, device: object, points: object, *, fill_gaps: bool = True) -> tuple[Request, ...]:
        return tuple(Request(device.path, (one,), {"gaps": False}) for one in points)  # type: ignore[attr-defined]


async def test_the_first_poll_is_the_tasks_and_the_others_are_not(way: str) -> None:
    link = ScriptedLink(device(ONE))
    await link.run_for(2.0)
    reads = len(link.driver.reads)
    assert reads in (19, 20, 21)
    assert link.driver.sent == (reads - 1 if way == PROMPT else 0)
    assert len(link.recorded.frames) == reads, "each is a frame"


async def test_several_devices_of_a_link_are_read_one_after_the_other_in_the_order_of_their_turn(way: str) -> None:
    link = ScriptedLink(device(ONE), device(TWO), device(THREE))
    link.driver.delay_s = 0.011
    running: list[int] = []
    most: list[int] = []
    value = link.driver.value

    def watched(path: str, tag: str) -> object:
        running.append(1)
        most.append(len(running))
        running.pop()
        return value(path, tag)

    link.driver.value = watched  # type: ignore[assignment]
    await link.run_for(3.0)
    times = [at for at, _, _ in link.driver.reads]
    assert all(after - before >= 0.011 - 1e-9 for before, after in pairwise(times)), "one request at a time"
    assert sum(one.counters.missed for one in link.supervisor.devices.values()) == 0
    assert (link.driver.sent > 80) == (way == PROMPT)


async def test_the_intervals_are_exact(way: str) -> None:
    link = ScriptedLink(device(ONE, poll_ms=1000))
    await link.run_for(20.5)
    waits = [after - before for before, after in pairwise(link.driver.polls(ONE))][1:]
    assert len(waits) >= 18 and all(wait == pytest.approx(1.0) for wait in waits)
    assert link.device(ONE).counters.missed == link.device(ONE).counters.skipped == 0
    assert link.device(ONE).counters.cycles == len(link.driver.reads)
    assert link.device(ONE).counters.answered_us > 0


async def test_a_slow_answer_costs_whole_cycles_which_are_counted(way: str) -> None:
    link = ScriptedLink(device(ONE, poll_ms=100))
    link.driver.delay_s = 0.25
    await link.run_for(6.0)
    counters = link.device(ONE).counters
    assert counters.cycles == len(link.driver.reads) == 24
    assert counters.cycles + counters.missed in (57, 58, 59, 60), "each cycle was made or is counted"


async def test_work_goes_before_the_next_read_of_a_poll_that_runs(way: str) -> None:
    link = ScriptedLink(device(ONE, tags=4), driver=HalvesDriver())
    link.driver.delay_s = 0.01
    done: list[int] = []

    async def work(session: Session) -> None:
        done.append(len(link.driver.reads))

    async with link.running():
        while len(link.driver.reads) < 6:  # the second read of the second poll is on its way
            await asyncio.sleep(0.001)
        assert link.supervisor.submit(work)
        await asyncio.sleep(0.05)
        assert done == [6], "after the read that was on its way, before the next one"
        await asyncio.sleep(1.0)
    assert [names for _, _, names in link.driver.reads[4:12]] == [(f"t{at}",) for at in (0, 1, 2, 3)] * 2
    assert [sorted(frame.samples) for frame in link.recorded.frames[:3]] == [["t0", "t1", "t2", "t3"]] * 3


@pytest.mark.parametrize("error", [SILENT, RESET, DriverError("busy", scope=Scope.REQUEST, transient=True)])
async def test_an_error_in_the_middle_of_a_poll_costs_what_it_costs_the_task(error: DriverError, way: str) -> None:
    link = ScriptedLink(device(ONE, tags=3), device(TWO, tags=3), driver=HalvesDriver())
    link.driver.delay_s = 0.001
    left = [error]
    async with link.running():
        await asyncio.sleep(1.0)

        def refuses(request: Request) -> DriverError | None:
            wanted = request.device == ONE and request.points[0].name == "t1"
            return left.pop() if left and wanted else None

        before = len(link.driver.polls(ONE))
        link.driver.refuses = refuses
        await asyncio.sleep(1.0)
        assert not left and link.supervisor.connected
    asked = [names[0] for _, path, names in link.driver.reads if path == ONE]
    assert before % 3 == 0 and asked[before : before + 3][0] == "t0"
    failed = asked.index("t1", before)
    assert asked[failed : failed + 3] in (["t1", "t1", "t2"], ["t1", "t0", "t1"]), "it is tried again within the poll"
    assert None not in [*link.recorded.values(f"{ONE}/t1"), *link.recorded.values(f"{TWO}/t1")]
    assert len(link.driver.connects) == (2 if error is RESET else 1)


async def test_a_device_that_falls_silent_is_lost_and_comes_back(way: str) -> None:
    link = ScriptedLink(device(ONE), device(TWO))
    async with link.running():
        await asyncio.sleep(1.0)
        link.driver.dead.add(ONE)
        await asyncio.sleep(3.0)
        assert not link.device(ONE).reachable and link.device(TWO).reachable
        assert link.device(ONE).counters.skipped > 0
        link.driver.dead.clear()
        await asyncio.sleep(5.0)
        assert link.device(ONE).reachable
        sent = link.driver.sent
        await asyncio.sleep(1.0)
        assert (link.driver.sent > sent + 15) == (way == PROMPT)


async def test_a_point_that_a_busy_device_has_no_value_for_is_asked_once_more(way: str) -> None:
    link = ScriptedLink(device(ONE, tags=2, poll_ms=1000))
    async with link.running():
        await asyncio.sleep(2.7)
        before = len(link.driver.reads)
        link.driver.faults[ONE, "t1"] = Fault(Reason.DEVICE_ERROR, 6, transient=True)
        await asyncio.sleep(1.0)
        assert len(link.driver.reads) == before + 2
        assert link.recorded.frames[-1].quality["t1"] == ("BAD", "device_error", 6)


async def test_a_bug_in_the_program_is_the_tasks_and_costs_a_reconnect(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    link = ScriptedLink(device(ONE))
    async with link.running():
        await asyncio.sleep(1.0)
        link.driver.bug = ONE
        await asyncio.sleep(0.2)
        assert link.supervisor.state.state == "backoff"
        assert link.supervisor.state.detail == "RuntimeError: a bug in the driver"
        link.driver.bug = ""
        await asyncio.sleep(5.0)
        assert link.supervisor.connected
    assert sum(1 for one in caplog.records if one.exc_info) == 1


async def test_a_stop_waits_for_the_poll_that_runs(way: str) -> None:
    link = ScriptedLink(device(ONE, tags=3), driver=HalvesDriver())
    link.driver.delay_s = 0.01
    async with link.running():
        while len(link.driver.reads) < 10:
            await asyncio.sleep(0.001)
    assert len(link.driver.reads) == 12, "the poll is completed"
    assert sorted(link.recorded.frames[-1].samples) == ["t0", "t1", "t2"]
    assert all(one.closed for one in link.driver.sessions)


async def test_a_link_that_is_cut_keeps_what_was_read(way: str) -> None:
    link = ScriptedLink(device(ONE, tags=3), driver=HalvesDriver())
    link.driver.delay_s = 0.01
    running = asyncio.create_task(link.supervisor.run(asyncio.Event()))
    while len(link.driver.reads) < 11:  # the third poll: its first read is answered, its second one on its way
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.wait([running])
    assert [sorted(frame.samples) for frame in link.recorded.frames] == [["t0", "t1", "t2"]] * 3 + [["t0"]]
    await asyncio.sleep(1.0)
    assert len(link.recorded.frames) == 4, "an answer that comes later is dropped"


async def test_a_device_with_reports_is_polled_by_the_task(way: str) -> None:
    reported = {"r": TagConfig(type="float64", address="r", mode="subscribe")}
    link = ScriptedLink(device(ONE, more=reported))
    await link.run_for(2.0)
    assert len(link.driver.polls(ONE)) >= 19 and link.driver.sent == 0


async def test_a_new_device_and_a_new_interval_are_polled_from_then_on(way: str) -> None:
    link = ScriptedLink(device(ONE, poll_ms=1000))
    async with link.running():
        await asyncio.sleep(3.0)
        link.apply(device(ONE, poll_ms=1000), device(TWO, poll_ms=100))
        await asyncio.sleep(3.0)
        assert len(link.driver.polls(TWO)) >= 20
        link.apply(device(TWO, poll_ms=100))
        gone = len(link.driver.polls(ONE))
        await asyncio.sleep(3.0)
        assert len(link.driver.polls(ONE)) == gone


async def test_a_link_with_a_device_that_answers_needs_no_checks_beside_one_that_is_away(way: str) -> None:
    names = [f"a/l/d{number}" for number in range(5000)]
    away = next(one for one in names if 0.0 < share(one) - share(ONE) < 0.0005)  # both are due in each poll
    link = ScriptedLink(device(ONE, poll_ms=1000), device(away, poll_ms=1000))
    link.driver.dead.add(away)
    await link.run_for(30.5)
    assert len(link.driver.polls(ONE)) >= 30 and link.driver.checks == []


async def test_a_poll_that_is_due_in_the_turn_that_wakes_the_task_is_the_tasks(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    link = ScriptedLink(device(ONE, poll_ms=1000))
    link.driver.delay_s = 0.01
    due = PromptPolls._due
    woken: list[float] = []

    def woken_and_due(polls: PromptPolls) -> None:
        woken.append(1.0)
        link.apply(device(ONE, poll_ms=1000))
        due(polls)

    monkeypatch.setattr(PromptPolls, "_due", woken_and_due)
    await link.run_for(5.5)
    assert len(woken) >= 5
    assert len(link.driver.reads) == len(link.recorded.frames) == link.device(ONE).counters.cycles
    assert len(link.driver.reads) in (5, 6) and link.device(ONE).counters.missed == 0


async def test_a_session_that_can_not_send_now_is_read_by_the_task(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    link = ScriptedLink(device(ONE))
    async with link.running():
        await asyncio.sleep(1.0)
        if way == PROMPT:
            monkeypatch.setattr(type(link.driver.sessions[0]), "send", lambda *_: None)
        before, sent = len(link.driver.reads), link.driver.sent
        link.driver.delay_s = 0.02
        times = link.supervisor.times = LinkTimes(link.clock)
        await asyncio.sleep(1.0)
        assert (len(link.driver.reads) - before, link.driver.sent - sent) == (10, 0)
        assert (round(times.cycle_ms), times.requests) == (20, 1), "a poll that the task ends is measured as any other"


async def test_each_read_and_each_cycle_is_measured(way: str) -> None:
    link = ScriptedLink(device(ONE, tags=3), device(TWO, tags=1), driver=HalvesDriver())
    link.driver.delay_s = 0.01
    await link.run_for(10.5)
    read, poll = (link.latencies[name].read().minute for name in ("read", "poll"))
    assert read.count in (len(link.driver.reads), len(link.driver.reads) - 1), "the stop cuts one off"
    assert read.p50_ms == read.max_ms == pytest.approx(10.0)
    assert poll.count in (cycles := sum(one.counters.cycles for one in link.supervisor.devices.values()), cycles - 1)
    assert (poll.p50_ms, poll.max_ms) == (pytest.approx(10.0, rel=1 / 32), pytest.approx(30.0)), "three reads, or one"


async def test_a_request_without_an_answer_is_no_read_and_its_cycle_is_a_poll(way: str) -> None:
    link = ScriptedLink(device(ONE), device(TWO))
    link.driver.delay_s = 0.01
    async with link.running():
        await asyncio.sleep(1.0)
        link.driver.dead.add(ONE)
        died_s = asyncio.get_running_loop().time()
        await asyncio.sleep(3.0)
    unanswered = sum(path == ONE and at >= died_s for at, path, _ in link.driver.reads)
    answered = len(link.driver.reads) - unanswered
    cycles = sum(one.counters.cycles for one in link.supervisor.devices.values())
    read, poll = (link.latencies[name].read().minute for name in ("read", "poll"))
    assert unanswered >= 2 and read.count in (answered, answered - 1)
    assert read.max_ms == pytest.approx(10.0)
    assert poll.count in (cycles, cycles - 1)
    assert poll.max_ms >= link.driver.timeout_s * 1000


async def test_a_refusal_of_the_device_is_an_answer(way: str) -> None:
    link = ScriptedLink(device(ONE))
    link.driver.illegal_gaps.add(ONE)
    link.driver.refuses = lambda request: DriverError("no", scope=Scope.REQUEST, retriable=False)
    await link.run_for(2.0)
    assert link.driver.reads and link.latencies["read"].read().minute.count == len(link.driver.reads)
