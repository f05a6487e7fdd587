"""`write` of `nexus mcp`: only where the server was started so, and only what a dry run has shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.settings import Settings
from tests.integration.mcp_world import READING, names, over_http, over_stdio, refusal, serving_http, structure
from tests.integration.steering_world import SETPOINT, steering_world
from tests.waiting import until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]


async def test_a_write_needs_its_dry_run(database: Settings, tmp_path: Path) -> None:
    async with steering_world(database, tmp_path) as world:
        cache = world.web.web.parts.cache
        slot = cache.slot(world.web.web.parts.topics.tag(SETPOINT))
        await until(lambda: cache.read(slot).value == 20.0, "the setpoint is published")
        otto, vera, mes = [await world.web.people.token(user) for user in ("otto", "vera", "mes")]
        async with over_stdio(world.web.url, otto, tmp_path / "mcp", "--allow-write", "a/l/drive/set*") as client:
            tools = {each.name: each for each in (await client.list_tools()).tools}
            assert list(tools) == [*READING, "write"]
            hints = tools["write"].annotations
            assert hints is not None and (hints.read_only_hint, hints.destructive_hint) == (False, True)
            assert (await refusal(client, "alarms")).startswith("NX6400"), "control is away, and it is said"
            wish = {"path": SETPOINT, "value": 20.5}
            assert (await refusal(client, "write", **wish, confirmation="guessed")).startswith("NX6945")
            dry = await structure(client, "write", **wish)
            assert (dry["state"], dry["old"], dry["will_be"], dry["unit"]) == ("dry_run", 20.0, 20.5, "degC")
            assert not world.field.writes
            key = dry["confirmation"]
            other = await refusal(client, "write", path=SETPOINT, value=21.5, confirmation=key)
            assert other.startswith("NX6945"), "another value"
            done = await structure(client, "write", **wish, reason="shift change", confirmation=key)
            assert (done["state"], done["old"], done["read_back"]) == ("done", 20.0, 20.5)
            await until(lambda: len(world.bench.asker.reports) == 1)
            (report,) = world.bench.asker.reports.values()
            assert (report.asked_by, report.reason) == ("otto", "mcp: shift change")
            assert (await refusal(client, "write", **wish, confirmation=key)).startswith("NX6945"), "once"
            assert [int.from_bytes(data[:2], "big") for _, _, data in world.field.writes] == [205]
            assert (await refusal(client, "write", path="a/l/drive/mode", value="on")).startswith("NX6944")
            assert (await refusal(client, "write", path=SETPOINT, value=90.1)).startswith("NX6806")
            await until(lambda: cache.read(slot).value == 20.5, "the written value is published")
            stale = (await structure(client, "write", path=SETPOINT, value=22.0))["confirmation"]
            assert (await world.command("mes", 21.0))[1]["state"] == "done"
            await until(lambda: cache.read(slot).value == 21.0, "somebody else's value is published")
            moved = await refusal(client, "write", path=SETPOINT, value=22.0, confirmation=stale)
            assert moved.startswith("NX6945") and "20.5" in moved and "21.0" in moved
        async with (
            serving_http(world.web.url, tmp_path / "mcp", "--allow-write", "**") as url,
            over_http(url, vera) as viewer,
            over_http(url, otto) as operator,
            over_http(url, mes) as application,
        ):
            assert "write" in await names(viewer), "the list is the server's; the right is the caller's"
            assert (await refusal(viewer, "write", path=SETPOINT, value=22.0)).startswith("NX6403: vera may not write")
            key = (await structure(operator, "write", path=SETPOINT, value=22.0))["confirmation"]
            theirs = await refusal(application, "write", path=SETPOINT, value=22.0, confirmation=key)
            assert theirs.startswith("NX6945"), "somebody else's confirmation"
            done = await structure(operator, "write", path=SETPOINT, value=22.0, confirmation=key)
            assert (done["state"], done["read_back"]) == ("done", 22.0)
