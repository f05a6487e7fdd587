"""Stored samples of the page's plant: hours of one tag, with a BAD span, an UNCERTAIN one and a gap."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from nexus_cli.database.class_table import table_name
from nexus_cli.database.series import sync_series
from nexus_cli.model.config import device_from_json
from tests.integration.identity_world import SITE
from tests.integration.web_world import WebWorld

DEVICE = "packaging/line-1/filler"
STORED = f"{DEVICE}/temperature"
STEP_S = 5
BAD, UNCERTAIN, GOOD = 0, 64, 192


def sample(second: int) -> tuple[float | None, int]:
    """Value and quality so many seconds before now."""
    if 1500 <= second < 1800:
        return None, BAD
    value = 71.4 + 3 * math.sin(second / 300) + 0.2 * math.sin(second / 13)
    return round(value, 2), UNCERTAIN if 600 <= second < 780 else GOOD


async def know_series(world: WebWorld, plant: Mapping[str, Any]) -> None:
    """Every tag has a series, as after a deployment."""
    found = [device_from_json(each) for name, each in plant.items() if name.startswith("device__")]
    async with world.people.pool.acquire() as conn:
        await sync_series(conn, site=SITE, devices={each.path: each for each in found})


async def fill_history(world: WebWorld, *, hours: int = 4) -> int:
    """Write them; gives how many. The gap is from 40 to 44 minutes ago."""
    now = datetime.now(UTC).replace(microsecond=0)
    async with world.people.pool.acquire() as conn:
        ident = await conn.fetchval("SELECT id FROM nexus.series WHERE path = $1", STORED)
        rows = [
            (now - timedelta(seconds=second), ident, *sample(second))
            for second in range(1, hours * 3600, STEP_S)
            if not 2400 <= second < 2640
        ]
        table = table_name("default", site=SITE)
        await conn.executemany(
            f"INSERT INTO nexus.{table} (time, series_id, value, quality) VALUES ($1, $2, $3, $4)", rows
        )
        await conn.execute(
            'INSERT INTO nexus.gap (site, gateway, device, start, "end", frames, reason) VALUES ($1,$2,$3,$4,$5,$6,$7)',
            *(SITE, "gw-1", DEVICE, now - timedelta(seconds=2640), now - timedelta(seconds=2400), 48, "overflow"),
        )
    return len(rows)
