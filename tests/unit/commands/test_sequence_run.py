"""Runs of sequences on a field that a test scripts: order, abort branch, time-outs, and what the journal says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import TagConfig
from nexus_cli.model.procedure_config import MessageConfig, SequenceConfig, StepConfig
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.control.live_values import LiveValues, paths_in
from nexus_cli.runtime.control.sequence_run import Run
from nexus_cli.wire.command import Response, State
from nexus_cli.wire.topic import Topics

TOPICS = Topics("acme", "chicago")
TEMPERATURE = "a/l/d/temperature"


class Field:
    """Hands, journal and values in one."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, Any]] = []
        self.published: list[tuple[str, bytes]] = []
        self.lines: list[tuple[int, str, str]] = []
        self.ended: tuple[str, Mapping[str, Any]] = ("", {})
        self.answers: dict[str, State] = {}
        self.database_away = False
        self.values = LiveValues(TOPICS)
        self.values.want([TEMPERATURE])

    def live(self, value: Any, quality: str = "GOOD") -> None:
        self.values.hear(TOPICS.tag(TEMPERATURE), orjson.dumps({"value": value, "quality": quality, "timestamp": 1}))

    async def write(self, path: str, *, command_id: str, value: Any, **_: Any) -> Response:
        self.writes.append((command_id, value))
        state = self.answers.get(path, State.DONE)
        return Response(id=command_id, state=state, path=path, code="" if state is State.DONE else "NX6806")

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        self.published.append((topic, payload))

    async def step(self, number: int, branch: str, text: str, state: str, detail: Mapping[str, Any]) -> None:
        if self.database_away:
            raise NexusError("The database is away.", code="NX6200")
        self.lines.append((number, branch, state))

    async def end(self, state: str, detail: Mapping[str, Any]) -> None:
        self.ended = (state, detail)

    def run(self, config: SequenceConfig) -> Run:
        return Run(
            id="r1",
            name="test",
            who="desk",
            config=config,
            tags={TEMPERATURE: TagConfig(type="float64")},
            messages={"hello": MessageConfig(topic="x/{who}")},
            hands=self,
            journal=self,
            values=self.values,
            clock=SystemClock(),
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
    assert field.ended == ("done", {})


async def test_a_precondition_that_fails_or_has_no_value_writes_nothing() -> None:
    field = Field()
    config = SequenceConfig(requires=[f"{{{TEMPERATURE}}} > 40"], steps=[write("a/l/d/one", 1)], on_abort=BACK)
    field.live(30.0)
    assert await field.run(config).carry_out() == "refused"
    field.live(None, "BAD")
    assert await field.run(config).carry_out() == "refused"
    assert field.ended[1]["code"] == "NX6832" and field.writes == []


async def test_a_failed_step_ends_the_rest_and_the_abort_branch_is_tried_whole() -> None:
    field = Field()
    field.answers = {"a/l/d/bad": State.REFUSED, "a/l/d/one": State.FAILED}
    config = SequenceConfig(steps=[write("a/l/d/bad", 1), write("a/l/d/never", 2)], on_abort=BACK)
    assert await field.run(config).carry_out() == "failed"
    assert [name for name, _ in field.writes] == ["r1.1", "r1.2", "r1.3"]
    assert field.ended[1]["abort_branch"] == "1 of 2 steps failed"
    assert (1, "steps", "refused") in field.lines


async def test_unknown_is_a_failure_too() -> None:
    field = Field()
    field.answers = {"a/l/d/one": State.UNKNOWN}
    config = SequenceConfig(steps=[write("a/l/d/one", 1), write("a/l/d/two", 2)])
    assert await field.run(config).carry_out() == "failed"
    assert len(field.writes) == 1 and field.ended[1]["abort_branch"] == "none"


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
    assert field.ended[1]["code"] == "NX6833"
    run = field.run(config)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run.carry_out())
        await asyncio.sleep(0.01)
        run.aborted.set()
    assert running.result() == "aborted"


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


def test_paths_of_conditions() -> None:
    assert paths_in([f"{{{TEMPERATURE}}} > 1 and x", "{", "1 > 0"]) == {TEMPERATURE}
