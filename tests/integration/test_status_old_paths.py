"""`nexus status` asks control for old paths under which values are still published."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from nexus_cli.local.old_paths import old_paths
from nexus_cli.local.status_report import RoleReport
from tests.integration.control_world import API, FakeGateway, World, applied, device, snapshot, world

__all__ = ["world"]
pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
UP = RoleReport(name="control", state="up", detail="", port=1, status=msgspec.Raw(b'{"leads":true}'))


async def test_old_paths_that_have_not_ended_are_listed_with_their_end(world: World) -> None:
    settings = dataclasses.replace(world.settings, control_token=API["nexus.cli"])
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(device("a/l/one"), device("a/l/two")))
        assert await old_paths(settings, UP) == []
        keeping = {"to": "a/l/new", "for_ms": 3_600_000, "gateways": ["gw-1"]}
        over = {"to": "a/l/fresh", "for_ms": 1, "gateways": ["gw-1"]}
        moved = [("a/l/one", "a/l/new"), ("a/l/two", "a/l/fresh")]
        site = snapshot(device("a/l/new"), device("a/l/fresh"), **{"alias.a/l/one": keeping, "alias.a/l/two": over})
        await applied(control, site, moved=moved)
        known = {each.old: each for each in (await control.state()).aliases}
        assert known.keys() == {"a/l/one", "a/l/two"} and known["a/l/two"].left_us == 0
        found = await old_paths(settings, UP)
        assert [(each.old, each.to, each.until) for each in found or []] == [
            ("a/l/one", "a/l/new", known["a/l/one"].until)
        ]
        refused = dataclasses.replace(settings, control_token="another")
        assert await old_paths(refused, UP) is msgspec.UNSET, "not known is not none"
    assert await old_paths(settings, UP) is msgspec.UNSET, "control is away"
    assert await old_paths(settings, None) is msgspec.UNSET
