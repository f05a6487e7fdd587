"""Runs of sequences on a field that a test scripts: order, abort branch, time-outs, and what the journal says."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import TagConfig
from nexus_cli.model.procedure_config import MessageConfig, SequenceConfig, StepConfig
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.control.sequences.live_values import LiveValues, paths_in
from nexus_cli.runtime.control.sequences.run import Run
from nexus_cli.wire.command import Response, State
from nexus_cli.wire.control_sequences import RunEnd, StepFacts
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock
from tests.simulated_time import LoopClock

pytestmark = pytest.mark.simulated_time

TOPICS = Topics("acme", "chicago")
TEMPERATURE = "a/l/d/temperature"


class Field:
    """Hands, journal and values in one."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or LoopClock()
        self.writes: list[tuple[str, Any]] = []
        self.published: list[tuple[str, bytes]] = []
        self.lines: list[tuple[int, str, str]] = []
        self.details: list[StepFacts] = []
        self.ended: tuple[str, RunEnd] = ("", RunEnd())
        self.answers: dict[str, State] = {}
        self.database_away = False
        self.broker_away = 0
        self.lifetimes: list[float] = []
        self.values = LiveValues(TOPICS, clock=self.clock)
        self.values.gateways = {"a/l/d": "gw"}
        self.values.want([TEMPERATURE])

    def live(self, value: Any, quality: Any = "GOOD") -> None:
        message = {"value": value, "quality": quality, "timestamp": 1_700_000_000_000}
        self.values.receive(TOPICS.tag(TEMPERATURE), orjson.dumps(message))

    async def write(self, path: str, *, command_id: str, value: Any, timeout_s: float, **_: Any) -> Response:
        if self.broker_away:
            self.broker_away -= 1
            raise NexusError("The broker is away.", code="NX6010", retriable=True)
        self.writes.append((command_id, value))
        self.lifetimes.append(timeout_s)
        state = self.answers.get(path, State.DONE)
        return Response(id=command_id, state=state, path=path, code="" if state is State.DONE else "NX6806")

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        self.published.append((topic, payload))

    async def step(self, number: int, branch: str, text: str, state: str, detail: StepFacts) -> None:
        if self.database_away:
            raise NexusError("The database is away.", code="NX6200")
        self.lines.append((number, branch, state))
        self.details.append(detail)

    async def end(self, state: str, detail: RunEnd) -> None:
        self.ended = (state, detail)

    def run(self, config: SequenceConfig, **more: Any) -> Run:
        return Run(
            id="r1",
            name="test",
            who="desk",
            config=config,
            tags={TEMPERATURE: TagConfig(type="float64")},
            messages={"hello": MessageConfig(topic="x/{who}")},
            sender=self,
            journal=self,
            values=self.values,
            clock=self.clock,
            **more,
        )


def write(path: str, value: Any) -> StepConfig:
    return StepConfig(do="write", subject=path, value=value, timeout_ms=1000)


def until(text: str, timeout_ms: int = 100) -> StepConfig:
    return StepConfig(do="until", subject=text, timeout_ms=timeout_ms)


BACK = [write("a/l/d/one", 0), write("a/l/d/two", 0)]


async def test_steps_in_order_with_rising_numbers() -> None:
    field = Field()
    field.live(50.0)
    steps = [write("a/l/d/one", 1), StepConfig(do="wait", wait_ms=10), write("a/l/d/two", 2)]
    steps.append(StepConfig(do="publish", subject="hello", fields={"who": "me"}))
    config = SequenceConfig(requires=[f"{{{TEMPERATURE}}} > 40"], steps=steps, on_abort=BACK)
    assert await field.run(config).carry_out() == "done"
    assert field.writes == [("r1.2", 1), ("r1.4", 2)]
    assert field.published == [("x/me", b"{}")]
    assert field.lines[:3] == [(1, "requires", "done"), (2, "steps", "begun"), (2, "steps", "done")]
    assert field.ended == ("done", RunEnd())


async def test_a_precondition_that_fails_or_has_no_value_writes_nothing() -> None:
    field = Field()
    config = SequenceConfig(requires=[f"{{{TEMPERATURE}}} > 40"], steps=[write("a/l/d/one", 1)], on_abort=BACK)
    field.live(30.0)
    assert await field.run(config).carry_out() == "refused"
    field.live(None, "BAD")
    assert await field.run(config).carry_out() == "refused"
    assert field.ended[1].code == "NX6832" and field.writes == []


async def test_a_failed_step_ends_the_rest_and_the_abort_branch_is_tried_whole() -> None:
    field = Field()
    field.answers = {"a/l/d/bad": State.REFUSED, "a/l/d/one": State.FAILED}
    config = SequenceConfig(steps=[write("a/l/d/bad", 1), write("a/l/d/never", 2)], on_abort=BACK)
    assert await field.run(config).carry_out() == "failed"
    assert [name for name, _ in field.writes] == ["r1.1", "r1.3", "r1.4"], "numbers are fixed"
    assert field.ended[1].abort_branch == "1 of 2 steps failed"
    assert (1, "steps", "refused") in field.lines


async def test_unknown_is_a_failure_too() -> None:
    field = Field()
    field.answers = {"a/l/d/one": State.UNKNOWN}
    config = SequenceConfig(steps=[write("a/l/d/one", 1), write("a/l/d/two", 2)])
    assert await field.run(config).carry_out() == "failed"
    assert len(field.writes) == 1 and field.ended[1].abort_branch == "none"


async def test_waits_end_by_value_by_time_and_by_hand() -> None:
    field = Field()
    field.live(10.0)
    config = SequenceConfig(steps=[until(f"{{{TEMPERATURE}}} > 40", 2000), write("a/l/d/one", 1)], on_abort=BACK)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(field.run(config).carry_out())
        await asyncio.sleep(0)
        field.live(45.0)
    assert running.result() == "done"
    field.live(10.0)
    late = SequenceConfig(steps=[until(f"{{{TEMPERATURE}}} > 40", 50)], on_abort=BACK)
    assert await field.run(late).carry_out() == "failed"
    assert field.ended[1].code == "NX6833"
    run = field.run(config)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run.carry_out())
        await asyncio.sleep(0.01)
        assert run.abort(by="anna")
    assert running.result() == "aborted"
    assert field.ended[1].aborted_by == "anna" and "anna" in field.ended[1].detail


async def test_the_whole_has_a_time_out_and_goes_back() -> None:
    field = Field()
    config = SequenceConfig(steps=[StepConfig(do="wait", wait_ms=60_000)], on_abort=BACK, timeout_ms=30)
    assert await field.run(config).carry_out() == "failed"
    assert [value for _, value in field.writes] == [0, 0]


async def test_no_step_without_its_line_but_the_way_back_does_not_wait_for_a_database() -> None:
    field = Field()
    field.database_away = True
    config = SequenceConfig(steps=[write("a/l/d/one", 1)], on_abort=BACK)
    assert await field.run(config).carry_out() == "failed"
    assert [name for name, _ in field.writes] == ["r1.2", "r1.3"], "the first step was not begun"


async def test_a_broker_that_is_away_for_a_moment_costs_no_step_of_the_abort_branch() -> None:
    field = Field()
    field.answers = {"a/l/d/bad": State.REFUSED}
    run = field.run(SequenceConfig(steps=[write("a/l/d/bad", 1)], on_abort=BACK))
    field.broker_away = 2
    assert await run.carry_out() == "failed"
    assert field.ended[1].abort_branch == "done"
    assert [value for _, value in field.writes] == [1, 0, 0]
    assert (1, "steps", "waiting") in field.lines, "that nothing was sent yet is told"


class Passing(FakeClock):
    """A clock that each look at it moves on by 10 ms."""

    def monotonic_s(self) -> float:
        self.advance(0.01)
        return super().monotonic_s()


class Away:
    """A broker that is away until a moment of the clock; notes when each try came."""

    def __init__(self, field: Field, clock: FakeClock, *, for_s: float) -> None:
        self.field, self.clock, self.begun_s, self.for_s = field, clock, clock._monotonic_s, for_s
        self.tries: list[tuple[str, float]] = []

    async def write(self, path: str, *, command_id: str, **keys: Any) -> Response:
        passed_s = self.clock._monotonic_s - self.begun_s
        self.tries.append((command_id, passed_s))
        self.clock.advance(1.0)
        self.field.broker_away = int(passed_s < self.for_s)
        return await self.field.write(path, command_id=command_id, **keys)


@pytest.mark.parametrize(
    ("for_s", "sent", "branch"),
    [(20.0, ["1"], ""), (40.0, ["2", "3"], "done"), (1e6, [], "2 of 2 steps failed")],
)
async def test_a_broker_that_stays_away_is_waited_for_thirty_seconds_a_step(
    for_s: float, sent: list[str], branch: str
) -> None:
    clock = Passing()
    field = Field(clock)
    run = field.run(SequenceConfig(steps=[write("a/l/d/one", 1)], on_abort=BACK))
    away = Away(field, clock, for_s=for_s)
    run.sender = away
    assert await run.carry_out() == ("failed" if branch else "done")
    assert [name.split(".")[1] for name, _ in field.writes] == sent, "of each step the command that was sent"
    if branch:
        first = [at_s for name, at_s in away.tries if name.startswith("r1.1")]
        assert 28 < first[-1] < 30, "up to the bound, and no longer"
    assert field.lines[:3] == [
        (1, "steps", "begun"),
        (1, "steps", "waiting"),
        (1, "steps", "failed" if branch else "done"),
    ]
    assert field.details[1].detail == "not sent, tried again for 30 s: The broker is away."
    if branch:
        assert (field.ended[1].code, field.ended[1].abort_branch) == ("NX6010", branch)
    if not sent:
        last = [at_s for name, at_s in away.tries if name.startswith("r1.3")]
        assert 28 < last[-1] - last[0] < 30, "the last step of the abort branch has a bound of its own"


@pytest.mark.parametrize("code", ["NX6812", "NX6811"])
async def test_what_was_not_sent_to_the_device_is_tried_again_under_an_id_of_its_own(code: str) -> None:
    field = Field()
    answers = [State.REFUSED, State.REFUSED, State.DONE]

    async def write_(path: str, *, command_id: str, **_: Any) -> Response:
        field.writes.append((command_id, 0))
        state = answers.pop(0)
        return Response(id=command_id, state=state, path=path, code="" if state is State.DONE else code)

    run = field.run(SequenceConfig(steps=[write("a/l/d/one", 1)]))
    run.sender = type("Hands", (), {"write": staticmethod(write_)})()
    assert await run.carry_out() == "done"
    assert [name for name, _ in field.writes] == ["r1.1", "r1.1.1", "r1.1.2"]


async def test_what_the_device_may_have_is_never_tried_again() -> None:
    field = Field()
    field.answers = {"a/l/d/one": State.UNKNOWN, "a/l/d/two": State.FAILED}
    assert await field.run(SequenceConfig(steps=[write("a/l/d/one", 1)], on_abort=BACK)).carry_out() == "failed"
    assert len(field.writes) == 3


async def test_a_second_abort_does_not_cut_the_waits_of_the_abort_branch() -> None:
    field = Field()
    back = [write("a/l/d/one", 0), StepConfig(do="wait", wait_ms=60), write("a/l/d/two", 0)]
    run = field.run(SequenceConfig(steps=[StepConfig(do="wait", wait_ms=60_000)], on_abort=back))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run.carry_out())
        await asyncio.sleep(0)
        assert run.abort(by="anna")
        while not field.writes:
            await asyncio.sleep(0.001)
        assert not run.abort(by="ben")
    assert running.result() == "aborted" and field.ended[1].abort_branch == "done"
    assert len(field.writes) == 2 and field.ended[1].aborted_by == "anna"


async def test_a_command_lives_no_longer_than_what_is_left_of_the_run() -> None:
    field = Field()
    step = StepConfig(do="write", subject="a/l/d/one", value=1, timeout_ms=60_000)
    assert await field.run(SequenceConfig(steps=[step], timeout_ms=2_000)).carry_out() == "done"
    assert 0 < field.lifetimes[0] <= 2.0


async def test_the_answer_of_a_slow_step_is_waited_for_and_the_time_out_names_the_step() -> None:
    field = Field()

    async def slow(path: str, *, command_id: str, **_: Any) -> Response:
        await asyncio.sleep(0.05)
        field.writes.append((command_id, 0))
        return Response(id=command_id, state=State.DONE, path=path)

    config = SequenceConfig(steps=[write("a/l/d/one", 1), write("a/l/d/two", 1)], timeout_ms=20, on_abort=BACK)
    run = field.run(config)
    run.sender = type("Hands", (), {"write": staticmethod(slow)})()
    assert await run.carry_out() == "failed"
    assert (1, "steps", "done") in field.lines
    assert (field.ended[1].code, field.ended[1].step) == ("NX6833", 2)
    assert [name for name, _ in field.writes] == ["r1.1", "r1.3", "r1.4"]


@pytest.mark.parametrize("quality", ["bad", 0, "UNCERTAIN", 64])
async def test_a_condition_goes_by_good_values(quality: Any) -> None:
    field = Field()
    field.live(50.0, quality)
    config = SequenceConfig(requires=[f"{{{TEMPERATURE}}} > 40"], steps=[write("a/l/d/one", 1)])
    assert await field.run(config).carry_out() == "refused"
    assert field.writes == []


async def test_an_uncertain_value_counts_where_that_is_declared() -> None:
    field = Field()
    field.live(50.0, "UNCERTAIN")
    config = SequenceConfig(requires=[f"{{{TEMPERATURE}}} > 40"], steps=[write("a/l/d/one", 1)], uncertain=True)
    assert await field.run(config).carry_out() == "done"


async def test_a_step_on_a_tag_that_means_something_else_by_now_is_not_done() -> None:
    field = Field()
    config = SequenceConfig(steps=[write("a/l/d/one", 1), write("a/l/d/two", 2)], on_abort=BACK)
    assert await field.run(config, changed={"a/l/d/one"}).carry_out() == "failed"
    assert field.ended[1].code == "NX6838" and field.ended[1].abort_branch == "1 of 2 steps failed"
    assert [name for name, _ in field.writes] == ["r1.4"]


def test_paths_of_conditions() -> None:
    assert paths_in([f"{{{TEMPERATURE}}} > 1 and x", "{", "1 > 0"]) == {TEMPERATURE}
