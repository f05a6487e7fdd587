"""Reads the newest values of a wave's tags: what the broker keeps of them, else what is stored."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection

from nexus_cli.database import alert_states
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.lifecycle import tasks, wait_for
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.message import Message
from nexus_cli.wire.reading import PayloadError, parse_payload
from nexus_cli.wire.sample import Quality
from nexus_cli.wire.signature import unsealed_value
from nexus_cli.wire.topic import Topics

ECHO_S = 20.0
"""Limit for receiving what the broker keeps, in seconds."""
SETTLE_S = 0.5
"""Extra wait, in seconds: amqtt sends retained messages out of order with other messages."""
UNREADABLE = "unreadable"


class WaveValues:
    """Reads qualities, in a session of its own, so that control's main one does not wait."""

    def __init__(self, *, settings: Settings, pool: Pool, client_id: Callable[[], str], clock: Clock) -> None:
        """Join the parts.

        Args:
            settings: Broker and site.
            pool: Where stored values are.
            client_id: Makes a new client id for each session.
            clock: Time.
        """
        self._settings, self._pool, self._client_id, self._clock = settings, pool, client_id, clock
        enterprise, _, name = settings.site.partition("/")
        self._topics = Topics(enterprise, name)

    async def qualities(self, paths: Collection[str]) -> dict[str, str]:
        """Quality of the newest value of each tag, by path: `GOOD`, `UNCERTAIN`, `BAD`; "" where there is none.

        Raises:
            NexusError: NX6010 and others of the broker, NX62xx of the database.
        """
        if not paths:
            return {}
        found = await self._kept(paths)
        missing = [path for path in paths if path not in found]
        if missing:
            with plain_errors(self._settings):
                async with self._pool.acquire() as conn:
                    stored = await alert_states.last_values(conn, self._settings.site, missing)
            found |= {path: _name(value.quality) for path, value in stored.items()}
        return {path: found.get(path, "") for path in sorted(paths)}

    async def _kept(self, paths: Collection[str]) -> dict[str, str]:
        """What the broker keeps, or a newer value that arrives meanwhile."""
        wanted, found = set(paths), dict[str, str]()
        client = BrokerClient(settings=self._settings, client_id=self._client_id())
        canary, token = self._topics.canary(self._settings.principal), secrets.token_hex(8).encode()
        echoed = asyncio.Event()

        def take(message: Message) -> None:
            path = self._topics.path(message.topic)
            if path in wanted and message.payload:
                found[path] = _quality(message.payload)

        async with client.session() as messages, tasks("values of a wave") as group:

            async def read() -> None:
                async for message in messages:
                    if message.topic != canary:
                        take(message)
                    elif message.payload == token:
                        echoed.set()

            reader = group.create_task(read(), name="values of a wave")
            devices = sorted({path.rpartition("/")[0] for path in wanted})
            await client.subscribe([(canary, 1)])
            await client.subscribe([(self._topics.tag(f"{device}/+"), 1) for device in devices])
            await client.publish(canary, token)
            echo_came = await wait_for(echoed, timeout_s=ECHO_S)
            await self._clock.sleep(SETTLE_S)
            reader.cancel()
        if not echo_came:
            raise NexusError("The broker does not deliver what it keeps.", code="NX6010", retriable=True)
        return found


def _quality(payload: bytes) -> str:
    try:
        found = parse_payload(unsealed_value(payload), now_us=None)
    except PayloadError:
        return UNREADABLE
    return found.state.name


def _name(quality: int) -> str:
    """Of a stored quality, which is a number."""
    return next((each.name for each in Quality if int(each) == quality), "BAD")
