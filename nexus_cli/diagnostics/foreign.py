"""The guard at every door: what a library raises past `except Exception` becomes an error of NEXUS.

A cancellation is a request to a task, and `asyncio` counts it (`Task.cancelling`). Libraries raise `CancelledError`,
or a subclass of it, without such a request: when a time-out meets the answer, or when something they wait for was
cancelled. `asyncio.timeout` does not convert a subclass, and a `TaskGroup` takes a task that ended so for one that was
cancelled on purpose: the work ends without an error. The count distinguishes the two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from nexus_cli.diagnostics.printable import one_line


def is_foreign(error: BaseException, *, task: asyncio.Task[object] | None = None) -> bool:
    """True for what must not pass a door: a cancellation without a request, or an exception that is no `Exception`.

    Args:
        error: What was caught, in the task that caught it.
        task: The task that was running before, where it may be another one by now; the current one when left out.
    """
    if isinstance(error, (Exception, KeyboardInterrupt)):
        return False
    current = _current_task()
    if isinstance(error, asyncio.CancelledError):
        return current is None or not current.cancelling()
    # A coroutine that is closed from outside, with its loop, gets a GeneratorExit while its task does not run.
    return not isinstance(error, GeneratorExit) or (current is not None and current is (task or current))


class Door:
    """`with Door(make):` around awaits of a library. Never around a `yield`: its end is an intended `GeneratorExit`.

    - A cancellation without a request, and any other exception that is no `Exception`, is raised as `make(error)`.
    - A requested one leaves as a plain `CancelledError`, which `asyncio.timeout` and task groups understand.
    - One that the library swallowed is raised after all.
    - `KeyboardInterrupt` and every `Exception` pass as they are.
    """

    __slots__ = ("_asked", "_make", "_task")

    def __init__(self, make: Callable[[BaseException], Exception]) -> None:
        """Guard a block.

        Args:
            make: Makes our error from the foreign exception.
        """
        self._make = make
        self._task: asyncio.Task[object] | None = None
        self._asked = 0

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._asked = 0 if self._task is None else self._task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = self._task
        if error is None:
            if task is not None and task.cancelling() > self._asked:
                raise asyncio.CancelledError
        elif is_foreign(error, task=task):
            raise self._make(error) from error
        elif isinstance(error, asyncio.CancelledError) and kind is not asyncio.CancelledError:
            raise asyncio.CancelledError from error


def name_of(error: BaseException) -> str:
    """A foreign exception in a few words, for the cause of a `NexusError`."""
    text = one_line(str(error))
    return f"{type(error).__name__}: {text}" if text and len(text) <= 200 else type(error).__name__


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs
        return None
