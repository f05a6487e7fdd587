"""Fetches retained external messages in a separate session, since a shared subscription gets none (MQTT 5.0 §4.8.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.message import Message

QUIET_S = 1.0
"""Brokers send retained messages right after the subscription: this long without one is the end, in seconds."""
LONGEST_S = 60.0


async def fetch_retained(
    settings: Settings, *, filters: Sequence[str], put: Callable[[Message], None], stop: asyncio.Event
) -> int:
    """Fetch the retained messages of some filters; live messages are left to the normal subscriptions.

    Args:
        settings: Have the broker's address.
        filters: MQTT filters.
        put: Called for each retained message.
        stop: Ends it early.

    Returns:
        How many there were, the dropped ones of a full session included.

    Raises:
        NexusError: NX6010 the broker is unreachable, NX6012 it refuses a filter.
    """
    client = BrokerClient(settings=settings, client_id=client_id(settings, "retained"))
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
