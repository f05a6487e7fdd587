"""How a role lives and ends: signals become an event, tasks live in named groups, scopes close against the flow."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator

from nexus_cli.diagnostics.errors import NexusError


@contextlib.contextmanager
def on_signals(act: Callable[[], object]) -> Iterator[None]:
    """Call a function on the loop at SIGTERM, SIGINT and SIGHUP (the terminal was closed), for the length of a block.

    SIGHUP stays ignored where it is: that is what `nohup` asks for. SIGINT is heard even where a script's shell
    ignores it for what it starts with `&`: who ends the script must not be left with a runtime.
    """
    loop = asyncio.get_running_loop()
    handled: list[signal.Signals] = []
    wanted = [signal.SIGTERM, signal.SIGINT]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        wanted.append(signal.SIGHUP)
    for number in wanted:
        # Windows and threads other than the main one have no signal handlers on the loop.
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(number, act)
            handled.append(number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def stop_on_signals() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM, SIGINT and SIGHUP set. Stop is an event, not a cancel: every part ends in its turn.

    A second signal is as polite as the first; SIGKILL is the impolite one, and the outbox is made for it.
    """
    stop = asyncio.Event()
    with on_signals(stop.set):
        yield stop


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
