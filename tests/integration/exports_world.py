"""Exports over web's API, and the worker's handler for them, on a real PostgreSQL: what their tests share."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nexus_cli.database import exports
from nexus_cli.database.job_queue import Taken
from nexus_cli.runtime.worker.exporting import Exporting
from nexus_cli.runtime.worker.worker import run_worker
from nexus_cli.settings import Settings
from nexus_cli.wire.web_exports import Export
from tests.integration.identity_world import SITE
from tests.integration.test_web_rest_stored import ENERGY, fill
from tests.integration.web_world import WebWorld
from tests.servers import free_port
from tests.waiting import until_found

HALF = {"role__half": {"read": ["a/l/one/voltage"]}, "user__hal": {"roles": ["half"]}}
SPAN = {"from": "1h"}

__all__ = [
    "ENERGY",
    "HALF",
    "SITE",
    "SPAN",
    "ask",
    "ended",
    "fill",
    "handler",
    "job_of",
    "row_of",
    "try_once",
    "worker",
]


async def ask(web: WebWorld, *, user: str = "vera", **body: Any) -> str:
    """Ask for an export; its id."""
    answer = await web.ask("POST", "/exports", user=user, json=SPAN | {"selectors": [ENERGY], "format": "csv"} | body)
    assert answer.status_code == 202, answer.text
    made: str = answer.json()["id"]
    assert answer.headers["location"] == f"/v1/sites/{SITE}/exports/{made}"
    return made


def handler(web: WebWorld, **more: Any) -> Exporting:
    """The worker's part, over the same database and place."""
    return Exporting(dataclasses.replace(web.people.settings, **more), pool=web.people.pool)


def job_of(export: str, *, attempt: int = 1) -> Taken:
    return Taken(id=1, kind="export", payload={"export": export}, attempt=attempt)


async def try_once(web: WebWorld, export: str, *, attempt: int = 1) -> None:
    """One try, as the worker makes it."""
    await handler(web).export(job_of(export, attempt=attempt))


async def row_of(web: WebWorld, export: str) -> Export | None:
    async with web.people.pool.acquire() as conn:
        return await exports.find_export(conn, SITE, export)


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[None]:
    """A whole worker, without a broker."""
    stop = asyncio.Event()
    running = asyncio.create_task(
        run_worker(dataclasses.replace(settings, broker_url=f"mqtt://127.0.0.1:{free_port()}"), stop=stop)
    )
    try:
        yield
    finally:
        stop.set()
        await running


async def ended(web: WebWorld, export: str) -> Export:
    """The export when it is done or has failed."""

    async def look() -> Export | None:
        return await row_of(web, export)

    found = await until_found(look, lambda row: row is None or row.state in ("done", "failed"))
    assert found is not None
    return found
