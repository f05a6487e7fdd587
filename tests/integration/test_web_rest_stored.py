"""Stored values, statistics, gaps and commands over HTTP: for who may read the tag, and with the database away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nexus_cli.database.class_table import table_name
from nexus_cli.database.series import sync_series
from nexus_cli.model.config import device_from_json
from nexus_cli.settings import Settings
from tests.integration.control_world import device, tag
from tests.integration.identity_world import SITE
from tests.integration.web_world import WebWorld, web_world

pytestmark = [pytest.mark.needs_database]
ENERGY = "a/l/one/energy"
HALF = {"role__half": {"read": ["a/l/one/voltage"]}, "user__hal": {"roles": ["half"]}}


async def fill(web: WebWorld) -> datetime:
    """Ten samples of one a minute, the newest 11 minutes before the moment that is given, and a gap."""
    now = datetime.now(UTC).replace(microsecond=0)
    found = device_from_json(device("a/l/one", tags={"energy": tag(unit="kWh"), "voltage": tag(address="holding:2")}))
    async with web.people.pool.acquire() as conn:
        await sync_series(conn, site=SITE, devices={found.path: found})
        ident = await conn.fetchval("SELECT id FROM nexus.series WHERE path = $1", ENERGY)
        table = table_name("default", site=SITE)
        await conn.executemany(
            f"INSERT INTO nexus.{table} (time, series_id, value, quality) VALUES ($1, $2, $3, 192)",
            [(now - timedelta(minutes=20 - minute), ident, float(minute)) for minute in range(10)],
        )
        await conn.execute(
            'INSERT INTO nexus.gap (site, gateway, device, start, "end", frames, reason) VALUES ($1,$2,$3,$4,$5,$6,$7)',
            *(SITE, "gw-1", "a/l/one", now - timedelta(minutes=9), now - timedelta(minutes=8), 60, "overflow"),
        )
    return now


async def test_history_is_what_the_command_shows(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **HALF) as web:
        await fill(web)
        answer = await web.ask("GET", f"/history/{ENERGY}", user="vera", params={"limit": 3})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert ([one["value"] for one in found["samples"]], found["truncated"]) == ([7.0, 8.0, 9.0], True)
        assert (found["unit"], [gap["reason"] for gap in found["gaps"]]) == ("kWh", ["overflow"])
        assert "buckets" not in found
        params = {"every": "10m", "aggregate": "max", "zone": "Europe/Berlin"}
        found = (await web.ask("GET", f"/history/{ENERGY}", user="vera", params=params)).json()
        assert max(one["value"] for one in found["samples"]) == 9.0
        assert (found["aggregate"], found["every_ms"]) == ("max", 600_000)
        drawn = (await web.ask("GET", f"/history/{ENERGY}", user="vera", params={"drawn": 1, "limit": 5})).json()
        assert drawn["every"] is not None
        for user, path, code in (("hal", ENERGY, "NX6802"), ("vera", "a/m/two/energy", "NX6210")):
            refused = await web.ask("GET", f"/history/{path}", user=user)
            assert (refused.status_code, refused.json()["code"]) == (404, code)
        for params in ({"since": "later"}, {"zone": "Nowhere/At"}, {"every": "0s"}, {"limit": "0"}):
            refused = await web.ask("GET", f"/history/{ENERGY}", user="vera", params=params)
            assert refused.status_code == 422, params


async def test_statistics_over_a_window(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path, **HALF) as web:
        now = await fill(web)
        found = (await web.ask("GET", f"/statistics/{ENERGY}", user="vera")).json()
        assert (found["count"], found["good_share"], found["minimum"], found["maximum"]) == (10, 1.0, 0.0, 9.0)
        assert (found["mean"], found["unit"]) == (4.5, "kWh")
        assert found["stddev"] == pytest.approx(8.25**0.5)
        assert (found["first"]["value"], found["last"]["value"]) == (0.0, 9.0)
        since = (now - timedelta(minutes=15)).isoformat()
        until = (now - timedelta(minutes=13)).isoformat()
        params = {"since": since, "until": until}
        found = (await web.ask("GET", f"/statistics/{ENERGY}", user="vera", params=params)).json()
        assert (found["count"], found["time_weighted_mean"], found["covered_share"]) == (2, 5.5, 1.0)
        refused = await web.ask("GET", f"/statistics/{ENERGY}", user="hal")
        assert (refused.status_code, refused.json()["code"]) == (404, "NX6802")
