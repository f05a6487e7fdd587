"""The role web over a real PostgreSQL, with people of every kind: without sockets, or whole beside a broker."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson

from nexus_cli.database import deployments as db
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.health import health_routes
from nexus_cli.runtime.web.routes.api import make_api
from nexus_cli.runtime.web.web import Web
from nexus_cli.settings import Settings
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics
from tests.integration.identity_world import PREFIX, People, people
from tests.servers import free_port
from tests.waiting import until

TOPICS = Topics("acme", "chicago")


@dataclasses.dataclass
class WebWorld:
    """Web's application, and what is behind it.

    Attributes:
        people: Control, the database, and tokens of everybody (`people.token("vera")`).
        web: The role.
        http: Without a token.
        url: Where it listens; "" when it does not.
    """

    people: People
    web: Web
    http: httpx.AsyncClient
    url: str = ""

    def say(self, path: str, value: Any, **more: Any) -> None:
        """A live message of a tag, put into the cache as if the broker had sent it."""
        body = orjson.dumps({"value": value, "timestamp": 1_767_225_600_000, "quality": "GOOD", **more})
        self.web.parts.cache.take(Message(TOPICS.tag(path), body, 0, False))

    async def record(self, changed: Mapping[str, Any]) -> None:
        """Record resources as a deployment does, and let web look; None removes one."""
        await self.people.record(changed)
        await self.people.pool.execute(
            "INSERT INTO nexus.journal (deployment_id, step, state) SELECT max(id), $1, 'done' FROM nexus.deployment",
            db.RECORD_STEP,
        )
        await self.web.parts.keeper.look()

    async def ask(self, method: str, path: str, *, user: str = "", token: str = "", **keys: Any) -> httpx.Response:
        """One request below the site, as a declared user, or with a token of its own."""
        token = token or (await self.people.token(user) if user else "")
        head = {"authorization": f"Bearer {token}"} if token else {}
        return await self.http.request(method, PREFIX + path, headers=head | keys.pop("headers", {}), **keys)


@contextlib.asynccontextmanager
async def web_world(database: Settings, home: Path, **more: Any) -> AsyncIterator[WebWorld]:
    """The application without a socket; `more` are resources (`kind__name`) beside those of `identity_world`."""
    async with people(database, home, **more) as world:
        settings = dataclasses.replace(world.settings, principal="nexus.web")
        web = Web(settings, pool=world.pool, clock=SystemClock())
        await web.parts.keeper.look()
        app = make_api(web.parts, health=list(health_routes(web)), sockets=web.sockets)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True, client=("192.0.2.1", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://web") as http:
            yield WebWorld(world, web, http)


@contextlib.asynccontextmanager
async def served_web(database: Settings, home: Path, *, broker_url: str, **more: Any) -> AsyncIterator[WebWorld]:
    """The whole role on a port, connected to a broker."""
    async with people(database, home, **more) as world:
        port = free_port()
        settings = dataclasses.replace(world.settings, principal="nexus.web", broker_url=broker_url, http_port=port)
        web, stop = Web(settings, pool=world.pool, clock=SystemClock()), asyncio.Event()
        running = asyncio.create_task(web.run(stop))
        url = f"http://127.0.0.1:{port}"
        try:
            await until(lambda: running.done() or web.ready()[0], "web is ready")
            async with httpx.AsyncClient(base_url=url, timeout=30) as http:
                yield WebWorld(world, web, http, url)
        finally:
            stop.set()
            await running
