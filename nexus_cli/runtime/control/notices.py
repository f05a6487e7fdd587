"""The notices of control: each says which configuration a gateway is to run; the gateway asks control for it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from nexus_cli.apply.run import gateway_digest, notice
from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Pool
from nexus_cli.wire.topic import Topics


class Publish(Protocol):
    """Publishes a retained message, while the term lasts."""

    def __call__(self, topic: str, payload: bytes) -> Awaitable[None]:
        """Wait until the broker has it."""


class Notices:
    """What is on record, said to the gateways."""

    def __init__(self, *, pool: Pool, site: str, topics: Topics, publish: Publish) -> None:
        """Nothing is published yet."""
        self._pool, self._site, self._topics, self._publish = pool, site, topics, publish

    async def all(self) -> None:
        """Publish each again, since the broker may have lost its state."""
        state = await self._recorded()
        for gateway in state.every_gateway():
            await self._say(state, gateway)

    async def ask_again(self, gateway: str) -> None:
        """Request that a gateway publishes all tags again."""
        await self._say(await self._recorded(), gateway, again=True)

    async def one(self, gateway: str) -> None:
        """Publish the notice of a gateway, which then asks for what it is to run."""
        await self._say(await self._recorded(), gateway)

    async def _recorded(self) -> db.Recorded:
        async with self._pool.acquire() as conn:
            return await db.recorded(conn, self._site)

    async def _say(self, state: db.Recorded, gateway: str, *, again: bool = False) -> None:
        digest = gateway_digest(state.gateway_devices(gateway))
        payload = notice(deployment=state.number, digest=digest, again=again)
        await self._publish(self._topics.config(gateway), payload)
