"""How a role lives and ends: signals become an event, tasks live in named groups, scopes close against the flow."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

from nexus_cli.diagnostics.errors import NexusError


@contextlib.asynccontextmanager
async def stop_on_signals() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set. Stop is an event, not a cancel: every part ends in its turn.

    A second signal is as polite as the first; SIGKILL is the impolite one, and the outbox is made for it.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    handled: list[signal.Signals] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        # Windows and threads other than the main one have no signal handlers on the loop.
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(number, stop.set)
            handled.append(number)
    try:
        yield stop
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def tasks(name: str) -> AsyncIterator[asyncio.TaskGroup]:
    """A TaskGroup whose failure leaves as itself: one error comes out bare, several as a group.

    Args:
        name: What runs here; it stands in the group's note when several tasks failed.
    """
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failed:
        only = first_failure(failed)
        if only is not None:
            raise only from only.__cause__
        failed.add_note(f"in the tasks of {name}")
        raise


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


async def wait_for(event: asyncio.Event, *, timeout_s: float) -> bool:
    """Wait until an event is set, at most so long; True when it is set."""
    if event.is_set():
        return True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
    return event.is_set()
