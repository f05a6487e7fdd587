"""The event loop as the driver gets it: abandoned futures end without a log line, and sockets find out that
their peer is gone.

asyncpg makes a future for each answer that it expects. When a connection attempt runs out of time inside the event loop's
own connecting, or a statement is cancelled while its connection dies, no task awaits that future any more, and the loss of
the connection is written into it: asyncio then logs "Future exception was never retrieved" from the garbage collector,
which looks like a fault although the caller got the error.

Source: asyncpg 0.32, connect_utils.py (`TLSUpgradeProto.connection_lost`) and protocol.pyx
(`_handle_waiter_on_connection_lost`).

asyncpg sets no option of its sockets. A statement without a limit of its own (upkeep, a migration) would wait for ever for
a server whose machine vanished: neither does the session's limit end it, which the server keeps.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

KEEPALIVE_S = 10
KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_COUNT = 3
USER_TIMEOUT_S = 25
"""A peer that acknowledges nothing for so long is gone, whether something was sent to it (user time-out) or not
(keep-alive). Both ends have the same: `connect.Limits.settings` is the server's.

Source: tcp(7); PostgreSQL documentation, 19.3.2 "TCP Settings".
"""
_OPTIONS = {  # by name, since not each system has each
    "TCP_KEEPIDLE": KEEPALIVE_S,
    "TCP_KEEPINTVL": KEEPALIVE_INTERVAL_S,
    "TCP_KEEPCNT": KEEPALIVE_COUNT,
    "TCP_USER_TIMEOUT": USER_TIMEOUT_S * 1000,
}


class DriverLoop:
    """The running event loop, for the driver: a future that it makes counts as looked at once it is done.

    A task that awaits one gets its exception as usual.
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

    async def create_connection(self, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        """A connection of the loop whose socket notices a vanished peer."""
        transport, protocol = await self._loop.create_connection(*arguments, **options)
        notice_silence(transport.get_extra_info("socket"))
        return transport, protocol


def notice_silence(end: Any) -> None:
    """Let the system end a TCP connection whose peer acknowledges nothing any more."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        number = getattr(socket, name, None)
        if number is not None:
            end.setsockopt(socket.IPPROTO_TCP, number, value)


def _look_at(done: asyncio.Future[Any]) -> None:
    if not done.cancelled():
        done.exception()


def driver_loop() -> DriverLoop:
    """The running loop as `asyncpg.connect(loop=…)` takes it."""
    return DriverLoop(asyncio.get_running_loop())
