"""Drift with a real control, database, broker, gateway and device: the command, the schedule, adoption, putting back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from nexus_cli.access.grants_file import mark_altered, mark_applied, read_wanted, wait_in_force
from nexus_cli.apply import rights
from nexus_cli.apply.run import gateway_digest
from nexus_cli.database import drift as stored
from nexus_cli.database.connect import Pool, open_pool
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drift.kinds import ignored_of
from nexus_cli.drift.report import exit_of
from nexus_cli.drivers.modbus.simulator import serve
from nexus_cli.exit_codes import Exit
from nexus_cli.project.drift import drift_site, revert_drift
from nexus_cli.project.drift_adopt import adoption, carry_out
from nexus_cli.project.plan import plan_site
from nexus_cli.project.text import load
from nexus_cli.runtime.control import drift_watch, rights_keeper
from nexus_cli.runtime.gateway import gateway as gateway_role
from nexus_cli.runtime.gateway.gateway import Gateway, run_gateway
from nexus_cli.settings import Settings
from nexus_cli.wire.control import as_object
from nexus_cli.wire.control_drift import DriftReport
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.schemas import report_schemas
from tests.integration.control_world import API, World, applied, world
from tests.servers import free_port
from tests.waiting import until, until_found

__all__ = ["world"]
pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
SITE = """\
nexus: 1
enterprise: acme
site: chicago
drift: {{every: 1m, severity: low, ignore: ["**:description-changed"]}}
gateways: {{gw-1: {{}}}}
areas:
  a:
    lines:
      l:
        devices:
          meter:   # the one by the door
            protocol: modbus
            connection: {{host: 127.0.0.1, port: {port}}}
            tags:
              speed: {{address: "holding:0", type: int16, unit: m/s, poll: 200ms}}   # of the belt
              level: {{address: "holding:9", type: int16, unit: m, poll: 200ms, writable: true}}
"""


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_role, "DRAIN_S", 0.1)
    monkeypatch.setattr(drift_watch, "LOOK_S", 0.1)


@dataclass
class Plant:
    """A site with one device, and everything that runs it."""

    world: World
    pool: Pool
    server: Any
    cli: Settings
    file: Path
    gateways: list[Gateway]

    async def look(self, **more: Any) -> DriftReport:
        found = await asyncio.to_thread(drift_site, str(self.file), settings=self.cli, **more)
        assert found.value is not None, found.findings
        return found.value

    async def newest(self, since: int = 0) -> DriftReport:
        """The first result after a time that has seen the device: the first look may come before the deployment ended."""

        async def ask() -> list[DriftReport]:
            async with self.pool.acquire() as conn:
                found = await stored.newest(conn, "acme/chicago")
                if found and "a/l/meter" not in found[0].identities:
                    await conn.execute("DELETE FROM nexus.drift_report")  # and again
                return found

        def seen(found: list[DriftReport]) -> bool:
            return bool(found) and found[0].time > since and "a/l/meter" in found[0].identities

        return (await until_found(ask, seen))[0]

    async def again(self) -> DriftReport:
        """Let the schedule be due: its last result is long ago."""
        async with self.pool.acquire() as conn:
            await conn.execute("UPDATE nexus.drift_report SET time_us = 1, report = jsonb_set(report, '{time}', '1')")
        return await self.newest(since=1)


@contextlib.asynccontextmanager
async def plant(world: World, tmp_path: Path) -> AsyncIterator[Plant]:
    port = free_port()
    file = tmp_path / "site" / "site.yaml"
    file.parent.mkdir()
    file.write_text(SITE.format(port=port))
    loaded = load(file).unwrap()
    devices = [one for _, one in loaded.snapshot.of_kind("device")]
    from nexus_cli.model.config import device_from_json

    server = await serve([device_from_json(one) for one in devices], port=port)
    pool = await open_pool(world.settings)
    home = tmp_path / "gateway"
    own = replace(
        world.broker.settings(principal="nexus.gateway.gw-1", home=home),
        site="acme/chicago",
        control_url=world.settings.control_url,
        control_token=API["nexus.gateway.gw-1"],
    )
    stop, gateways = asyncio.Event(), list[Gateway]()
    try:
        async with world.control() as control, asyncio.TaskGroup() as group:
            group.create_task(run_gateway(own, name="gw-1", stop=stop, started=gateways.append))
            try:
                done = await applied(control, loaded.snapshot)
                assert done.outcome == "applied", done
                cli = replace(
                    world.settings, principal="nexus.cli", control_token=API["nexus.cli"], home=tmp_path / "cli"
                )
                yield Plant(world, pool, server, cli, file, gateways)
            finally:
                stop.set()
    finally:
        pool.terminate()
        await server.close()


async def test_a_plant_as_it_is_recorded_and_then_not(world: World, tmp_path: Path) -> None:
    async with plant(world, tmp_path) as here:
        await here.newest()
        report = await here.look()
        assert (report.findings, report.unknown, exit_of(report)) == ([], [], Exit.OK)
        assert report.planes == ["declared", "recorded", "observed", "device", "database"]
        rows = "SELECT (SELECT count(*) FROM nexus.audit), (SELECT count(*) FROM nexus.deployment)"
        before = await here.pool.fetchrow(rows)
        here.server.forbid("a/l/meter", "level")
        here.file.write_text(here.file.read_text().replace("unit: m/s", "unit: km/h"))
        report = await here.look()
        assert [(one.path, one.plane, one.kind, one.severity) for one in report.findings] == [
            ("a/l/meter/level", "device", "address-gone", "critical"),
            ("a/l/meter/speed", "declared", "type-changed", "high"),
        ]
        assert exit_of(report) == Exit.CHANGES
        jsonschema.validate(orjson.loads(orjson.dumps(report, default=as_object)), report_schemas()["drift"])
        assert await here.pool.fetchrow(rows) == before, "nothing is written"
        left = await here.look(ignore=[ignored_of("a/l/meter/level:address-*")], least="critical")
        assert (left.findings, left.ignored, exit_of(left)) == ([], 2, Exit.OK)
        alone = await here.look(devices=False)
        assert [one.plane for one in alone.findings] == ["declared"]
        assert alone.devices == 0


async def test_the_schedule_records_raises_and_survives_control(world: World, tmp_path: Path) -> None:
    async with plant(world, tmp_path) as here:
        first = await here.newest()
        assert first.planes == ["observed", "device", "database"]
        here.server.forbid("a/l/meter", "level")
        found = await here.again()
        assert [one.kind for one in found.findings] == ["address-gone"]
        assert found.identities.keys() == {"a/l/meter"}

        async def alerts() -> dict[str, tuple[str, str]]:
            async with world.client() as control:
                return {one.name: (one.state, one.priority) for one in await control.alerts()}

        raised = await until_found(alerts, lambda every: every.get("nexus-drift-critical", ("",))[0] == "active")
        assert raised["nexus-drift-critical"] == ("active", "critical")
        assert raised["nexus-drift-low"] == ("cleared", "low")
        status = await world.status()
        assert status["drift"]["findings"]["critical"] == 1
        assert status["drift"]["looked"] == found.time
        async with ControlClient(here.cli) as control:
            import httpx

            async with httpx.AsyncClient(base_url=world.settings.control_url) as http:
                metrics = (await http.get("/metrics")).text
            assert 'nexus_drift_findings{severity="critical"} 1.0' in metrics
            assert (await control.state()).deployment == 1
    async with world.control():
        again = await until_found(world.status, lambda said: bool(said.get("drift", {}).get("looked")))
        assert again["drift"]["looked"] == found.time, "the next control continues: it does not look again"


async def test_an_alarm_of_drift_stays_while_the_device_is_away(world: World, tmp_path: Path) -> None:
    async with plant(world, tmp_path) as here:
        await here.newest()
        here.server.forbid("a/l/meter", "level")
        assert [one.kind for one in (await here.again()).findings] == ["address-gone"]
        await here.server.close()
        one = here.gateways[0].links.devices()[0]
        await until(lambda: not one.reachable)
        async with here.pool.acquire() as conn:
            await conn.execute("DELETE FROM nexus.drift_report WHERE time_us = 1")
            await conn.execute("UPDATE nexus.drift_report SET time_us = 1, report = jsonb_set(report, '{time}', '1')")

        async def reports() -> list[DriftReport]:
            async with here.pool.acquire() as conn:
                return await stored.newest(conn, "acme/chicago")

        after, *_ = await until_found(reports, lambda found: bool(found) and found[0].time > 1)
        assert after.counts["critical"] == 1
        assert "a/l/meter" in {each.path for each in after.unknown}


async def test_what_a_deployment_in_flight_changes_is_no_drift(world: World, tmp_path: Path) -> None:
    async with plant(world, tmp_path) as here:
        await here.newest()
        here.server.forbid("a/l/meter", "level")
        await here.pool.execute(
            "INSERT INTO nexus.deployment (site, number, who, reason, outcome, base_digest, desired_digest, plan) "
            """VALUES ('acme/chicago', 9, 'x', '', 'running', '', '', '{"changed": {"device.a/l/meter": null}}')"""
        )
        report = await here.look()
        assert (report.findings, report.running) == ([], 9)
        assert "in flight" in report.notes[0]
        with pytest.raises(NexusError) as caught:
            await asyncio.to_thread(revert_drift, here.cli, preview=True)
        assert (caught.value.code, caught.value.exit_code) == ("NX4203", Exit.CONFLICT)


async def test_a_gateway_that_is_away_is_not_known(world: World, tmp_path: Path) -> None:
    async with plant(world, tmp_path) as here:
        await here.newest()
        await here.server.close()
        one = here.gateways[0].links.devices()[0]
        await until(lambda: not one.reachable)
        report = await here.look()
        assert exit_of(report) in (Exit.CHANGES, Exit.OUTSIDE)
        assert "a/l/meter" in {each.path for each in report.unknown}


async def test_a_changed_identity_is_adopted_in_control(world: World, tmp_path: Path) -> None:
    async with plant(world, tmp_path) as here:
        await here.newest()
        here.server.units[1].identity[0] = b"Somebody else"
        report = await here.look()
        assert [one.kind for one in report.findings] == ["identity-changed"]
        made = adoption(report, str(here.file)).unwrap()
        assert not made.edits
        await asyncio.to_thread(carry_out, made, settings=here.cli)
        assert (await here.look()).findings == []
        who = await here.pool.fetchval("SELECT who FROM nexus.audit WHERE what = 'adopt-identity'")
        assert who == "nexus.cli"


async def test_what_is_not_certain_is_not_adopted(world: World, tmp_path: Path) -> None:
    async with plant(world, tmp_path) as here:
        await here.newest()
        here.server.forbid("a/l/meter", "level")
        before = here.file.read_text()
        made = adoption(await here.look(), str(here.file)).unwrap()
        assert made.empty
        assert [one.code for one in made.adopted.left] == ["NX4202"]
        assert here.file.read_text() == before


async def test_a_gateway_behind_is_notified_again(world: World, tmp_path: Path) -> None:
    async with plant(world, tmp_path) as here:
        await here.newest()
        async with here.pool.acquire() as conn:  # recorded, and nobody told the gateway
            await conn.execute(
                "UPDATE nexus.resource SET digest = 'sha256:' || repeat('0', 64) WHERE address = 'device.a/l/meter'"
            )
        report = await here.look(devices=False)
        assert "gateway-behind" in {one.kind for one in report.findings}
        shown = await asyncio.to_thread(revert_drift, here.cli, preview=True)
        assert shown.preview
        assert any("gw-1" in one for one in shown.done)
        assert not await here.pool.fetchval("SELECT count(*) FROM nexus.audit WHERE what = 'revert-drift'")
        done = await asyncio.to_thread(revert_drift, here.cli, preview=False)
        assert any("never written" in one for one in done.left)
        assert await here.pool.fetchval("SELECT count(*) FROM nexus.audit WHERE what = 'revert-drift'") == 1
        wanted = gateway_digest({"a/l/meter": "sha256:" + "0" * 64})
        await until(lambda: here.gateways[0].configuration.digest == wanted, "the gateway did not follow")
        await until(lambda: here.gateways[0].links.devices()[0].counters.cycles > 0)


async def test_rights_that_somebody_changed_at_the_broker_are_drift_and_written_again(
    world: World, tmp_path: Path
) -> None:
    async with plant(world, tmp_path) as here:
        await here.newest()
        home = world.settings.home

        def digest() -> str:
            wanted = read_wanted(home)
            assert wanted is not None
            return wanted.digest

        mark_applied(home, digest())
        assert (await here.look(devices=False)).findings == []
        mark_altered(home, ["acl"])
        (said,) = (await here.look(devices=False)).findings
        assert (said.kind, said.severity) == ("rights-behind", "critical")
        assert "acl of the broker changed by hand" in said.text
        asked = (home / "access.json").stat().st_ino

        async def supervisor() -> None:
            await until(lambda: (home / "access.json").stat().st_ino != asked, "control did not ask again")
            mark_applied(home, digest())

        async with asyncio.TaskGroup() as group:
            group.create_task(supervisor())
            done = await asyncio.to_thread(revert_drift, here.cli, preview=False)
        assert "the broker's rights are written again" in done.done
        assert (await here.look(devices=False)).findings == []


async def test_rights_that_the_broker_does_not_take_are_not_called_written(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights_keeper, "PATIENCE_S", 2.0)
    monkeypatch.setattr(rights, "wait_in_force", partial(wait_in_force, timeout_s=0.1))
    async with plant(world, tmp_path) as here:
        await here.newest()
        mark_altered(world.settings.home, ["acl"])
        done = await asyncio.to_thread(revert_drift, here.cli, preview=False)
        assert "the broker's rights are written again" not in done.done
        assert "not as recorded yet" in done.left[0]


async def test_an_edit_for_what_a_device_has_keeps_comments_and_shows_as_a_change(world: World, tmp_path: Path) -> None:
    async with plant(world, tmp_path) as here:
        await here.newest()
        report = await here.look()
        from nexus_cli.drift.kinds import found

        said = found("read-only", "a/l/meter/level", "device", "level takes no writes", adoptable=True)
        made = adoption(DriftReport(site=report.site, time=1, findings=[said]), str(here.file)).unwrap()
        await asyncio.to_thread(carry_out, made, settings=here.cli)
        text = here.file.read_text()
        assert "writable: false" in text
        assert "# the one by the door" in text
        assert "# of the belt" in text
        planned = (await asyncio.to_thread(plan_site, str(here.file), settings=here.cli)).unwrap()
        assert [each["address"] for each in planned.document["resource_changes"]] == ["device.a/l/meter"]


async def test_what_is_gone_from_the_database_is_drift_and_put_back(world: World, tmp_path: Path) -> None:
    """In the command, in the schedule, and not while a deployment is in flight."""
    async with plant(world, tmp_path) as here:
        await here.newest()
        first = await here.look(devices=False)
        assert first.findings == [] and "database" in first.planes
        await here.pool.execute("DROP INDEX nexus.ix_audit_site_at")
        await here.pool.execute("DROP TRIGGER audit_no_truncate ON nexus.audit")
        await here.pool.execute("ALTER TABLE nexus.gap DROP COLUMN reason")
        found = {one.path: one for one in (await here.look(devices=False)).findings}
        assert {path: (one.plane, one.kind, one.severity) for path, one in found.items()} == {
            "database.audit/audit_no_truncate": ("database", "database-trigger", "critical"),
            "database.gap/reason": ("database", "database-column", "high"),
            "database.audit/ix_audit_site_at": ("database", "database-index", "medium"),
        }
        scheduled = await here.again()
        assert scheduled.planes == ["observed", "device", "database"]
        assert set(found) <= {one.path for one in scheduled.findings} and scheduled.counts["critical"] >= 1
        await here.pool.execute(
            "INSERT INTO nexus.deployment (site, number, who, reason, outcome, base_digest, desired_digest, plan) "
            """VALUES ('acme/chicago', 9, 'x', '', 'running', '', '', '{"changed": {}}')"""
        )
        flying = await here.look(devices=False)
        assert flying.findings == [] and "database" not in flying.planes
        await here.pool.execute("DELETE FROM nexus.deployment WHERE number = 9")
        shown = await asyncio.to_thread(revert_drift, here.cli, preview=True)
        back = [f"database.audit/{name} is put back" for name in ("ix_audit_site_at", "audit_no_truncate")]
        assert shown.done[-2:] == back and any("reason of gap is gone" in one for one in shown.left)
        assert len((await here.look(devices=False)).findings) == 3, "a preview changes nothing"
        done = await asyncio.to_thread(revert_drift, here.cli, preview=False)
        assert done.done[-2:] == back
        assert [one.path for one in (await here.look(devices=False)).findings] == ["database.gap/reason"]
