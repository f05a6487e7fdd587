"""Task groups in which no task ends unseen.

See docs/decisions/0026.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Generator
from contextvars import Context
from types import TracebackType
from typing import Any, TypeVar

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.foreign import is_foreign, name_of

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)


class TaskLostError(RuntimeError):
    """A task ended by something that was neither its own error nor a requested cancellation."""


class Group(asyncio.TaskGroup):
    """A `TaskGroup` that treats a cancellation without a request as a failure of its task.

    The group of the standard library ignores every child that ended cancelled, and continues without its work.
    """

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """As `asyncio.TaskGroup.create_task`; a lost task fails the group with `TaskLostError`."""
        seen = _seen(coro, name or str(getattr(coro, "__qualname__", "without a name")))
        try:
            task = super().create_task(seen, name=name, context=context)
        except RuntimeError:
            seen.close()
            coro.close()
            raise
        task.add_done_callback(lambda _: coro.close())  # one that was cancelled before its first step never began it
        return task


async def _seen(coro: Generator[Any, None, T] | Coroutine[Any, Any, T], name: str) -> T:
    assert asyncio.iscoroutine(coro)
    task = asyncio.current_task()
    try:
        return await coro
    except BaseException as error:
        if is_foreign(error, task=task):
            raise TaskLostError(f"task '{name}' was ended by a foreign {name_of(error)}") from error
        raise


async def wait_for(event: asyncio.Event, *, timeout_s: float | None) -> bool:
    """Wait until an event is set, at most `timeout_s` (None is as long as it takes); True when it is set."""
    if event.is_set():
        return True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
    return event.is_set()


class Cut:
    """A block that a call ends: `async with Cut() as cut:` is left quietly once `cut.end()` was called, at its next await.

    For work that makes sense only as long as something else lasts. One call ends it for good.

    Attributes:
        ended: Set by `end`.
    """

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self._scope: asyncio.Timeout | None = None

    def end(self) -> None:
        """End the block. May be called on the loop at any time, before and after it too."""
        if not self.ended.is_set():
            self.ended.set()
            if self._scope is not None:
                self._scope.reschedule(asyncio.get_running_loop().time())

    async def __aenter__(self) -> Cut:
        self._scope = await asyncio.timeout(None).__aenter__()
        if self.ended.is_set():
            self._scope.reschedule(asyncio.get_running_loop().time())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        scope, self._scope = self._scope, None
        assert scope is not None
        try:
            await scope.__aexit__(kind, error, trace)
        except TimeoutError:  # ours: one of the block's own passes as it is
            return True
        return False


@contextlib.asynccontextmanager
async def tasks(name: str) -> AsyncIterator[Group]:
    """A group whose failure leaves as itself: one error comes out bare, several as a group.

    Args:
        name: What runs here; the group's note has it when several tasks failed.
    """
    try:
        async with Group() as group:
            yield group
    except BaseExceptionGroup as failed:
        only = first_failure(failed)
        if only is not None:
            raise only from only.__cause__
        failed.add_note(f"in the tasks of {name}")
        raise


def first_of_group(group: BaseExceptionGroup[E]) -> E:
    """The first error inside nested groups: where one reason is enough."""
    error = group.exceptions[0]
    return first_of_group(error) if isinstance(error, BaseExceptionGroup) else error


def first_failure(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """The one error inside nested groups; with several, the first `NexusError`, or None when there is none."""
    flat: list[BaseException] = []
    queue: list[BaseException] = [group]
    while queue:
        error = queue.pop(0)
        if isinstance(error, BaseExceptionGroup):
            queue.extend(error.exceptions)
        else:
            flat.append(error)
    if len(flat) == 1:
        return flat[0]
    return next((error for error in flat if isinstance(error, NexusError)), None)
