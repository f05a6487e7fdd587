"""An archive that is applied: the database knows what goes there, until it is applied without one."""

from __future__ import annotations

from typing import Any

from tests.integration.control_world import FakeGateway, World, applied, device, plan_against, rows, snapshot, world

__all__ = ["world"]
DAY = 86_400_000
KEPT: dict[str, Any] = {"keep_ms": 60 * DAY, "rollups": []}


async def test_an_archive_is_applied_and_taken_away(world: World) -> None:
    with_it = snapshot(
        device("a/l/one"),
        retention__fast=KEPT | {"archive_after_ms": 7 * DAY, "archive_keep_ms": 900 * DAY},
        archive__store={"to": "s3://acme-history/x", "user": "nexus", "password": "${env:S3_PASSWORD}"},
    )
    ages = "SELECT archive_after_ms, archive_keep_ms FROM nexus.retention_class WHERE name = 'fast'"
    async with world.control() as control, FakeGateway(world.settings).up():
        assert (await applied(control, with_it)).outcome == "applied"
        assert await rows(world, ages) == [{"archive_after_ms": 7 * DAY, "archive_keep_ms": 900 * DAY}]
        store = await rows(
            world, "SELECT attributes->>'password' AS password FROM nexus.resource WHERE address = 'archive.store'"
        )
        assert store == [{"password": "${env:S3_PASSWORD}"}]
        assert (await plan_against(control, with_it)).empty
        without = snapshot(device("a/l/one"), retention__fast=KEPT)
        found = await applied(control, without, allow=("data-loss=fast",))
        assert found.outcome == "applied"
        assert await rows(world, ages) == [{"archive_after_ms": None, "archive_keep_ms": None}]
        assert await rows(world, "SELECT 1 FROM nexus.resource WHERE address = 'archive.store'") == []
