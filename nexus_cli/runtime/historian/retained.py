"""Retained messages of others: a shared subscription brings none, so a session of its own fetches them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient, Message
from nexus_cli.wire.identity import client_id

QUIET_S = 1.0
"""Brokers send what they retain right after the subscription: this long without any is the end of it."""
LONGEST_S = 60.0


async def fetch_retained(
    settings: Settings, *, filters: Sequence[str], put: Callable[[Message], None], stop: asyncio.Event
) -> int:
    """Take what the broker retains below some filters; what is published meanwhile comes to others.

    Args:
        settings: Where the broker is.
        filters: MQTT filters.
        put: Called for each retained message.
        stop: Ends it early.

    Returns:
        How many there were, the dropped ones of a full session included.

    Raises:
        NexusError: NX6010 the broker is away, NX6012 it refuses a filter.
    """
    client = BrokerClient(settings=settings, client_id=client_id("retained"))
    count = 0
    try:
        async with asyncio.timeout(LONGEST_S), client.session() as messages:
            await client.subscribe([(each, 1) for each in filters])
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(QUIET_S) as quiet:
                async for message in messages:
                    if stop.is_set():
                        break
                    if message.retain:
                        count += 1
                        put(message)
                        quiet.reschedule(loop.time() + QUIET_S)
    except TimeoutError:
        pass
    return count + client.dropped
