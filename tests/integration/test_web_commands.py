"""Commands through web: whose they are, what refuses them, and that nothing is sent twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.settings import Settings
from tests.integration.steering_world import SETPOINT, steering_world
from tests.waiting import until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]


async def test_a_command_is_done_under_the_callers_name(database: Settings, tmp_path: Path) -> None:
    async with steering_world(database, tmp_path) as world:
        status, found = await world.command("otto", 20.5, expect=20.0, reason="shift change")
        assert status == 200, found
        assert (found["state"], found["value"], found["old"], found["read_back"]) == ("done", 20.5, 20.0, 20.5)
        await until(lambda: found["id"] in world.bench.asker.reports)
        report = world.bench.asker.reports[found["id"]]
        assert (report.principal, report.asked_by, report.reason) == ("nexus.web", "otto", "shift change")
        assert [one[:2] for one in world.field.writes] == [(6, 0)]
        status, found = await world.command("vera", 21.0)
        assert (status, found["code"]) == (403, "NX6403")
        status, found = await world.command("nina", 21.0)
        assert (status, found["code"]) == (404, "NX6802")
        assert len(world.field.writes) == 1
        assert report.response.path == SETPOINT
