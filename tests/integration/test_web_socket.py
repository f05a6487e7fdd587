"""The WebSocket of the role web over real sockets: values, resuming, rights, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.settings import Settings
from tests.integration.socket_client import SocketClient, socket_client
from tests.integration.web_world import WebWorld, served_web
from tests.servers import new_broker

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
ENERGY, VOLTAGE, OTHER = "a/l/one/energy", "a/l/one/voltage", "a/m/two/energy"
TIME_US = 1_767_225_600_000_000


@pytest.fixture
async def web(database: Settings, tmp_path: Path) -> AsyncIterator[WebWorld]:
    (folder := tmp_path / "broker").mkdir()
    broker = new_broker(folder).start()
    try:
        more: dict[str, Any] = {"role__half": {"read": [VOLTAGE]}, "user__hal": {"roles": ["half"]}}
        async with served_web(database, tmp_path, broker_url=broker.url, **more) as world:
            yield world
    finally:
        broker.stop()


async def values(client: SocketClient, *, id: int) -> dict[str, Any]:
    found = await client.until("values", lambda each: each["id"] == id)
    return {row[0]: row[1] for row in found["values"]}


async def test_newest_values_come_and_then_what_changes(web: WebWorld) -> None:
    web.say(ENERGY, 1)
    async with socket_client(web.url, token=await web.people.token("vera")) as client:
        hello = await client.next()
        assert hello["op"] == "hello" and hello["web"] == web.web.name
        assert hello["turn"] == web.web.parts.cache.turn
        await client.ask("watch", id=7, paths=["a/l/**"], every_ms=100)
        watching = await client.until("watching")
        first = await client.until("values")
        assert watching == {"op": "watching", "id": 7, "tags": len(first["values"])}
        rows = {row[0]: row for row in first["values"]}
        assert rows[ENERGY] == [ENERGY, 1, "GOOD", TIME_US, "", ""]
        assert rows[VOLTAGE] == [VOLTAGE, None, "BAD", None, "no_value", ""]
        for number in range(2, 50):
            web.say(ENERGY, number)
        assert await values(client, id=7) == {ENERGY: 49}
        await client.ask("unwatch", id=7)
        assert await client.until("unwatched") == {"op": "unwatched", "id": 7}
        web.say(ENERGY, 50)
        await client.ask("watch", id=8, paths=[ENERGY], every_ms=100)
        assert await values(client, id=8) == {ENERGY: 50}
        assert all(each["id"] == 8 for each in client.heard[-2:])
