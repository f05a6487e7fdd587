"""A site whose page a browser opens: control and web on ports of their own, over a real database."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.health import serve_http
from nexus_cli.runtime.web.web import Web
from nexus_cli.settings import Settings
from tests.integration.identity_world import people
from tests.integration.web_world import WebWorld
from tests.servers import free_port
from tests.waiting import until


@contextlib.asynccontextmanager
async def page_world(
    database: Settings, home: Path, *, broker_url: str = "mqtt://127.0.0.1:1", **more: Any
) -> AsyncIterator[WebWorld]:
    """Control and web, both over HTTP; `more` are resources (`kind__name`) beside those of `identity_world`."""
    async with people(database, home, **more) as world:
        control, port = world.control, free_port()
        async with serve_http(
            control, host="127.0.0.1", port=0, app=control.app(), settings=world.settings
        ) as control_port:
            settings = dataclasses.replace(
                world.settings,
                principal="nexus.web",
                broker_url=broker_url,
                control_url=f"http://127.0.0.1:{control_port}",
                control_token="web-token",
                http_port=port,
            )
            web, stop = Web(settings, pool=world.pool, clock=SystemClock()), asyncio.Event()
            running = asyncio.create_task(web.run(stop))
            url = f"http://127.0.0.1:{port}"
            try:
                await until(lambda: running.done() or not web.parts.keeper.problem, "web has read the site")
                async with httpx.AsyncClient(base_url=url, timeout=30) as http:
                    yield WebWorld(world, web, http, url)
            finally:
                stop.set()
                await running
