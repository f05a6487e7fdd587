"""The driver's futures that nobody waits for any more, ended without a word in the log.

asyncpg makes a future for each answer that it expects. When a connection attempt runs out of time inside the event loop's
own connecting, or a statement is cancelled while its connection dies, nobody awaits that future any more, and the loss of
the connection is written into it: asyncio then logs "Future exception was never retrieved" from the garbage collector,
which looks like a fault and tells nothing that the caller was not told.

Source: asyncpg 0.32, connect_utils.py (`TLSUpgradeProto.connection_lost`) and protocol.pyx
(`_handle_waiter_on_connection_lost`).
"""

from __future__ import annotations

import asyncio
from typing import Any


class DriverLoop:
    """The running event loop, for the driver: a future that it makes counts as looked at once it is done.

    Whoever awaits one gets its exception as ever.
    """

    __slots__ = ("_loop",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wrap a loop."""
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def create_future(self) -> asyncio.Future[Any]:
        """A future of the loop."""
        made: asyncio.Future[Any] = self._loop.create_future()
        made.add_done_callback(_look_at)
        return made


def _look_at(done: asyncio.Future[Any]) -> None:
    if not done.cancelled():
        done.exception()


def driver_loop() -> DriverLoop:
    """The running loop as `asyncpg.connect(loop=…)` takes it."""
    return DriverLoop(asyncio.get_running_loop())
