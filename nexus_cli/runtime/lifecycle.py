"""The life cycle of a role: signals become an event, tasks run in named groups, scopes close against the data flow."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator

from nexus_cli.diagnostics.groups import Cut, Group, first_failure, tasks, wait_for


@contextlib.contextmanager
def on_signals(act: Callable[[], object]) -> Iterator[None]:
    """Call a function on the event loop at SIGTERM, SIGINT and SIGHUP (the terminal was closed), during a block.

    SIGHUP stays ignored if it is, as `nohup` requires. SIGINT is handled even if a script's shell ignores it for
    background commands (`&`): ending the script must also end the runtime.
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
    """An event that SIGTERM, SIGINT and SIGHUP set. A stop is an event, not a cancellation: the parts stop in order.

    A second signal has no further effect; SIGKILL ends the process at once, which the outbox survives.
    """
    stop = asyncio.Event()
    with on_signals(stop.set):
        yield stop


async def first_of(one: asyncio.Event, other: asyncio.Event, *, timeout_s: float) -> None:
    """Wait until either event is set, at most `timeout_s`."""
    async with Cut() as cut, Group() as group:

        async def watch(event: asyncio.Event) -> None:
            await event.wait()
            cut.end()

        for event in (one, other):
            group.create_task(watch(event), name="first of two")
        await wait_for(cut.ended, timeout_s=timeout_s)
        cut.end()


__all__ = ["first_failure", "first_of", "on_signals", "stop_on_signals", "tasks", "wait_for"]
