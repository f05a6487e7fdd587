"""The record of a discovery through a gateway: who looked at what, how it ended, and what was found."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable

from ulid import ULID

from nexus_cli.database.connect import connection
from nexus_cli.database.discoveries import StoredDiscovery, add_discovery
from nexus_cli.diagnostics import NexusError
from nexus_cli.discover.found import Discovery, Found
from nexus_cli.settings import Settings

MOST_VALUES = 5_000
"""Values of a run that are kept; `found` has the number of all."""
RECORD_S = 10.0
"""Longest wait for the database: what was found is shown without it, too."""


async def recorded(
    looking: Awaitable[Discovery], *, gateway: str, target: str, settings: Settings, stop: asyncio.Event
) -> Discovery:
    """What was found; the run is recorded, also one that failed. A database that is away is no error here."""
    started_us = _now_us()
    try:
        found = await looking
    except NexusError as error:
        run = _run(None, gateway, target, settings, started_us, outcome="failed", detail=error.message)
        await _write(run, settings)
        raise
    outcome = "stopped" if stop.is_set() else "done"
    await _write(_run(found, gateway, target, settings, started_us, outcome=outcome), settings)
    return found


def _run(
    found: Discovery | None,
    gateway: str,
    target: str,
    settings: Settings,
    started_us: int,
    *,
    outcome: str,
    detail: str = "",
) -> StoredDiscovery:
    values = found.found if found is not None else []
    skipped = found.skipped if found is not None else []
    return StoredDiscovery(
        id=str(ULID()),
        who=settings.principal or "nexus.cli",
        gateway=gateway,
        target=target,
        started_us=started_us,
        ended_us=_now_us(),
        outcome=outcome,
        detail=detail,
        found=len(values),
        skipped=len(skipped),
        values=[_value(each) for each in values[:MOST_VALUES]],
        skipped_reasons=dict(Counter(each.reason for each in skipped).most_common(50)),
    )


def _value(found: Found) -> dict[str, str]:
    keys = ("address", "type", "unit", "description")
    said = {key: str(found.tag.get(key) or "") for key in keys}
    return {"path": "/".join((found.device, *found.name) if found.device else found.name), **said}


async def _write(run: StoredDiscovery, settings: Settings) -> None:
    with contextlib.suppress(NexusError, TimeoutError):
        async with asyncio.timeout(RECORD_S), connection(settings, application="nexus-discover") as conn:
            await add_discovery(conn, settings.site, run)


def _now_us() -> int:
    return time.time_ns() // 1000
