"""Tests whether the broker supports shared subscriptions: amqtt accepts `$share/…` as an ordinary filter, without an
error."""

from __future__ import annotations

import asyncio
import logging

from ulid import ULID

from nexus_cli.backoff import Backoff
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.topic import Topics

_log = logging.getLogger("nexus.historian.shared_subscriptions")
ECHO_S = 1.5


async def broker_shares(settings: Settings, *, topics: Topics, stop: asyncio.Event) -> bool:
    """Publish a test message to a shared subscription of its own; True when it is delivered.

    False also when the broker refuses it; waits while the broker is unreachable, until `stop`.
    """
    backoff = Backoff(first_s=0.3, cap_s=5.0)
    said = False
    while not stop.is_set():
        try:
            return await _echo(settings, topics)
        except NexusError as error:
            if not error.retriable or error.code == "NX6012":
                return False
            if not said:
                _log.warning("%s %s", error.message, error.cause)
                said = True
        await wait_for(stop, timeout_s=backoff.next_s())
    return False


async def _echo(settings: Settings, topics: Topics) -> bool:
    token = str(ULID())
    topic = topics.canary(settings.principal)
    client = BrokerClient(settings=settings, client_id=client_id(settings, "sharing"))
    async with client.session() as messages:
        await client.subscribe([(f"$share/{token}/{topic}", 1)])
        await client.publish(topic, token.encode(), qos=1)
        try:
            async with asyncio.timeout(ECHO_S):
                async for message in messages:
                    if message.payload == token.encode():
                        return True
        except TimeoutError:
            return False
    return False
