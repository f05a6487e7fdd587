"""From one account to another without a moment in which nothing is subscribed: the old connection ends after the new one listens.

For clients that take messages which are not sent again. Both connections deliver meanwhile: messages of shared subscriptions come
once, all others may come twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Mapping

from nexus_cli.wire.connection import Connection
from nexus_cli.wire.identity import SECRET_BYTES
from nexus_cli.wire.lost import LostError

LEAVE_S = 3.0
"""Longest time in which the broker sends the old connection what it had queued for it, in seconds."""


def another_id(client_id: str) -> str:
    """A client id for the same purpose; the same one would end the old connection at once."""
    return f"{client_id.rpartition('-')[0]}-{secrets.token_hex(SECRET_BYTES)}"


async def listen(connection: Connection, subscribed: Mapping[str, int]) -> bool:
    """Open a connection and subscribe all of it; False when the broker refuses, and nothing is left open then."""
    try:
        await connection.open()
        if not await connection.subscribe_all(list(subscribed.items())):
            return True
    except LostError:
        pass
    except BaseException:
        await connection.close()
        raise
    await connection.close()
    return False


async def leave(connection: Connection, subscribed: Mapping[str, int]) -> None:
    """End the subscriptions of a connection, take what the broker has queued for it, and close it."""
    connection.hold(False)
    try:
        with contextlib.suppress(TimeoutError, LostError):
            async with asyncio.timeout(LEAVE_S):
                await connection.unsubscribe_all(list(subscribed))
                before = -1
                while before != connection.received or connection.inflight:
                    before = connection.received
                    await connection.answered()
    finally:
        await connection.close()
