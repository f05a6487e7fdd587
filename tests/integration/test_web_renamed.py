"""Links with a former path lead to what was renamed, for those who may read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.settings import Settings
from tests.integration.control_world import device
from tests.integration.web_world import WebWorld, web_world

pytestmark = [pytest.mark.needs_database]


async def now(web: WebWorld, path: str, *, user: str = "vera") -> str:
    found = await web.ask("GET", f"/renamed/{path}", user=user)
    return str(found.json()["path"]) if found.status_code == 200 else f"{found.status_code}"


async def test_a_former_path_of_a_tag_a_device_and_a_line_leads_to_the_present_one(
    database: Settings, tmp_path: Path
) -> None:
    half = {"role__half": {"read": ["c/k/two/voltage"]}, "user__hal": {"roles": ["half"]}}
    async with web_world(database, tmp_path, **half) as web:
        await web.record({"device.c/k/two": device("c/k/two")})
        for tag in ("energy", "voltage"):
            await web.people.pool.execute(
                "INSERT INTO nexus.series (site, ulid, path, former_paths, type, retention) "
                "VALUES ('acme/chicago', $1, $2, $3, 'float64', 'default')",
                f"ULID{tag}",
                f"c/k/two/{tag}",
                [f"old/k/two/{tag}"],
            )
        assert await now(web, "old/k/two/energy") == "c/k/two/energy"
        assert await now(web, "old/k/two") == "c/k/two"
        assert await now(web, "old/k") == "c/k"
        assert await now(web, "old") == "c"
        assert await now(web, "never/k/two") == "404"
        assert await now(web, "old/k/two/voltage", user="hal") == "c/k/two/voltage"
        assert await now(web, "old/k/two/energy", user="hal") == "404", "it may not be read"
