"""What libraries raise past `except Exception`: made ours at the door, seen by groups, and never taken for a stop."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.foreign import Door, name_of
from nexus_cli.diagnostics.groups import Cut, Group, TaskLostError, tasks

PACKAGE = Path(__file__).parents[3] / "nexus_cli"


class WithResult(asyncio.CancelledError):
    """As of `wait_for2`: a cancellation that carries a result."""


class Abrupt(BaseException):
    """As of a library that wants to get past `except Exception`."""


FOREIGN = [asyncio.CancelledError(), WithResult("answer", None), Abrupt("gone"), GeneratorExit(), SystemExit(3)]


def ours(error: BaseException) -> NexusError:
    return NexusError("ours", cause=name_of(error))


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
async def test_a_door_makes_foreign_exceptions_ours(error: BaseException) -> None:
    with pytest.raises(NexusError, match="ours") as failed, Door(ours):
        await asyncio.sleep(0)
        raise error
    assert type(error).__name__ in failed.value.cause
    assert failed.value.__cause__ is error


@pytest.mark.parametrize("error", [ValueError("a bug"), TimeoutError(), KeyboardInterrupt()], ids=repr)
async def test_a_door_passes_what_callers_know(error: BaseException) -> None:
    with pytest.raises(type(error)) as failed, Door(ours):
        raise error
    assert failed.value is error


@pytest.mark.parametrize("raised", [asyncio.CancelledError, WithResult])
async def test_a_cancellation_that_was_asked_for_leaves_as_a_plain_one(raised: type[asyncio.CancelledError]) -> None:
    left: list[type[BaseException]] = []

    async def work() -> None:
        try:
            with Door(ours):
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    raise raised from None
        except BaseException as error:
            left.append(type(error))
            raise

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left == [asyncio.CancelledError]
    assert task.cancelled()


async def test_a_time_out_stays_one_although_the_library_raises_its_own_cancellation() -> None:
    async def library() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise WithResult("the answer", None) from None

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            with Door(ours):
                await library()


async def test_a_cancellation_that_the_library_swallowed_comes_after_all() -> None:
    async def work() -> str:
        with Door(ours):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass  # as `asyncio.wait_for` of Python 3.11 may
        return "went on"

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_coroutine_that_is_closed_with_its_loop_ends_quietly() -> None:
    async def work() -> None:
        with Door(ours):
            await asyncio.get_running_loop().create_future()

    async def begin() -> asyncio.Task[None]:
        async with Group() as group:
            inside = group.create_task(asyncio.sleep(0), name="a turn")
            task = asyncio.ensure_future(work())
            await inside
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(begin())
    loop.close()
    coroutine = task.get_coro()
    assert asyncio.iscoroutine(coroutine)
    coroutine.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", FOREIGN[:3], ids=lambda error: type(error).__name__)
async def test_a_group_sees_a_task_that_ended_by_a_foreign_exception(error: BaseException) -> None:
    reached = False

    async def lost() -> None:
        await asyncio.sleep(0)
        raise error

    async def other() -> None:
        nonlocal reached
        await asyncio.sleep(60)
        reached = True

    with pytest.raises(TaskLostError, match=r"task 'deployer' .*" + type(error).__name__):
        async with tasks("role") as group:
            group.create_task(other(), name="other")
            group.create_task(lost(), name="deployer")
    assert not reached


async def test_a_group_lets_its_own_cancellations_be() -> None:
    async with Group() as group:
        one = group.create_task(asyncio.sleep(60), name="one")
        before_its_first_step = group.create_task(asyncio.sleep(60), name="two")
        before_its_first_step.cancel()
        await asyncio.sleep(0.01)
        one.cancel()
    assert one.cancelled()
    assert before_its_first_step.cancelled()


async def test_a_cut_ends_its_block_at_an_await_and_nothing_else() -> None:
    loop = asyncio.get_running_loop()
    passed: list[str] = []
    async with Cut() as cut:
        loop.call_soon(cut.end)
        try:
            await asyncio.sleep(60)
        finally:
            passed.append("cleaned up")
        passed.append("not reached")
    assert passed == ["cleaned up"]
    assert cut.ended.is_set()
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0
    cut.end()  # harmless afterwards
    await asyncio.sleep(0)


async def test_a_cut_that_was_ended_before_ends_its_block_at_once() -> None:
    cut = Cut()
    cut.end()
    async with cut:
        await asyncio.sleep(60)


async def test_a_time_out_inside_of_a_cut_is_its_own() -> None:
    with pytest.raises(TimeoutError):
        async with Cut(), asyncio.timeout(0.001):
            await asyncio.sleep(60)


def test_every_group_of_the_package_is_one_that_sees_lost_tasks() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        if path.name != "groups.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\basyncio\.TaskGroup\(\)|\basyncio\.(gather|wait_for|shield)\(", line)
    ]
    assert found == []
