"""`nexus mcp` over its standard input and output, driven by the library's own client."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.settings import Settings
from tests.integration.mcp_world import names, over_stdio, structure
from tests.integration.web_world import served_web
from tests.servers import new_broker

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
ENERGY = "a/l/one/energy"


async def test_an_agent_finds_and_reads(database: Settings, tmp_path: Path) -> None:
    (folder := tmp_path / "broker").mkdir()
    broker = new_broker(folder).start()
    try:
        async with (
            served_web(database, tmp_path, broker_url=broker.url) as web,
            over_stdio(web.url, await web.people.token("vera"), tmp_path / "mcp") as client,
        ):
            web.say(ENERGY, 4.5, unit="kWh")
            assert "write" not in await names(client)
            found = await structure(client, "find", text="energy")
            assert [each["path"] for each in found["found"]] == [ENERGY, "a/m/two/energy"]
            read = await structure(client, "read", paths=[ENERGY, "a/l/one/nothing"])
            first, second = read["values"]
            assert (first["value"], first["unit"], first["quality"]) == (4.5, "kWh", "GOOD")
            assert second["problem"].startswith("NX6802")
    finally:
        broker.stop()
