"""What web keeps of a site in memory: packed, shared, and set aside from the garbage collector."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nexus_cli.runtime.garbage import GARBAGE
from nexus_cli.settings import Settings
from tests.integration.web_world import web_world

pytestmark = [pytest.mark.needs_database]


async def test_a_device_is_unpacked_as_it_was_recorded(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        view = web.web.parts.keeper.view
        recorded = await web.people.pool.fetchval(
            "SELECT attributes::text FROM nexus.resource WHERE address = 'device.a/l/one'"
        )
        device = view.devices["a/l/one"]
        assert json.loads(device.raw) == json.loads(recorded)
        found = view.device("a/l/one")
        assert found is not None and list(found.tags) == [tag.name for tag in view.tags[device.first : device.last]]
        assert view.device("a/l/nothing") is None


async def test_equal_texts_of_tags_are_one(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        tags = web.web.parts.keeper.view.tags
        by_type: dict[str, set[int]] = {}
        for tag in tags:
            by_type.setdefault(tag.type, set()).add(id(tag.type))
        assert len(tags) > len(by_type) and all(len(ids) == 1 for ids in by_type.values())


async def test_each_new_view_is_set_aside_from_the_collector_once(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(GARBAGE, "changed", lambda: told.append(1))
    async with web_world(database, tmp_path) as web:
        assert told == [1]
        await web.web.parts.keeper.look()
        assert told == [1], "nothing was deployed since"
        await web.record({"role.other": {"read": ["a/**"]}})
        assert told == [1, 1]
