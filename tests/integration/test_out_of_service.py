"""Devices out of service through control: recorded, told, audited; control's death, a deployment and a rename change nothing."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import to_json
from nexus_cli.settings import Settings
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.http_steering import SteeringClient
from tests.commanding import GW, Bench, CountingServer, counting, drive
from tests.integration.control_world import API, World, applied, rows, snapshot
from tests.integration.control_world import world as world
from tests.integration.identity_world import people
from tests.waiting import until, until_found

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
OUT, RENAMED = "a/l/drive", "a/l/mixer"
WRITE = ("write-enable",)


@contextlib.asynccontextmanager
async def plant(world: World, home: Path, field: CountingServer) -> AsyncIterator[Bench]:
    """A real gateway that asks this control for its configuration."""
    bench = Bench(world.broker, home, [])
    token = API[f"nexus.gateway.{GW}"]
    bench.settings = dataclasses.replace(bench.settings, control_url=world.settings.control_url, control_token=token)
    async with ControlClient(bench.settings) as source:
        bench.source = source  # type: ignore[assignment]
        async with bench.running():
            yield bench


@pytest.fixture
async def field() -> AsyncIterator[CountingServer]:
    async with counting([drive()]) as server:
        yield server


def steering(world: World) -> SteeringClient:
    return SteeringClient(dataclasses.replace(world.settings, control_token=API["nexus.cli"]))


def cycles(bench: Bench, path: str = OUT) -> int:
    return sum(one.counters.cycles for one in bench.gateway.links.devices() if one.path == path)


async def test_a_device_goes_out_and_comes_back(world: World, field: CountingServer, tmp_path: Path) -> None:
    desired = snapshot(to_json(drive(port=field.port)))
    async with world.control() as control:
        await applied(control, desired, allow=WRITE)
        async with plant(world, tmp_path / "gw", field) as bench, steering(world) as client:
            await until(lambda: cycles(bench) > 1, "polls")
            made = await client.take_out(OUT, for_s=1800, reason="new valve")
            assert made.in_force and made.gateway == GW and 1790e6 < made.until - made.since <= 1800e6
            assert cycles(bench) == 0
            (listed,) = await client.out_of_service()
            assert listed == made and (listed.who, listed.reason) == ("nexus.cli", "new valve")
            longer = await client.take_out(OUT, for_s=3600, reason="takes longer")
            assert longer.since == made.since and longer.until > made.until and longer.in_force
            assert await client.take_in(OUT) and not await client.take_in(OUT)
            await until(lambda: cycles(bench) > 1, "it is read again")
            assert await client.out_of_service() == []
            with pytest.raises(NexusError) as missing:
                await client.take_out("a/l/nothing", for_s=60, reason="x")
            assert missing.value.code == "NX6802"
            trail = (await control.audit(kind="device")).entries
            assert [(one.what, one.subject, one.reason or "") for one in trail] == [
                ("out-of-service", OUT, "new valve"),
                ("out-of-service", OUT, "takes longer"),
                ("in-service", OUT, ""),
            ]
            assert trail[1].until == longer.until


async def test_control_dies_and_it_ends_by_itself_in_time(world: World, field: CountingServer, tmp_path: Path) -> None:
    desired = snapshot(to_json(drive(port=field.port)))
    first = world.control_process()
    await world.until_leads()
    async with world.client() as control:
        await applied(control, desired, allow=WRITE)
    async with plant(world, tmp_path / "gw", field) as bench, steering(world) as client:
        await until(lambda: cycles(bench) > 1, "polls")
        made = await client.take_out(OUT, for_s=1800, reason="new valve")
        assert made.in_force
        first.kill()
        second = world.control_process()
        try:
            await world.until_leads()
            again = await until_found(client.out_of_service, lambda found: bool(found) and found[0].in_force)
            assert again == [made], "the same end, the same reason"
            assert cycles(bench) == 0
            await rows(world, "UPDATE nexus.out_of_service SET until = now() + interval '4 seconds' RETURNING 1")
            bench.gateway.following.notice()
            await until(lambda: bench.gateway.pauses.next_s() < 5.0, "the new end")
        finally:
            second.kill()
        await until(lambda: cycles(bench) > 1, "it is read again, without control")


async def test_a_deployment_and_a_rename_in_between(world: World, field: CountingServer, tmp_path: Path) -> None:
    before = drive(port=field.port)
    async with world.control() as control:
        await applied(control, snapshot(to_json(before)), allow=WRITE)
        async with plant(world, tmp_path / "gw", field) as bench, steering(world) as client:
            await until(lambda: cycles(bench) > 1, "polls")
            made = await client.take_out(OUT, for_s=1800, reason="new valve")
            deployed = to_json(before) | {"description": "after the deployment"}
            done = await applied(control, snapshot(deployed), allow=WRITE)
            row = next(one for one in done.table if one.address == f"device.{OUT}")
            assert row.verification == "unverified" and "out of service until" in row.detail, row
            assert await client.out_of_service() == [made] and cycles(bench) == 0
            renamed = deployed | {"path": RENAMED}
            renamed["tags"] = {
                name: tag | ({"read_back": f"{RENAMED}/shown"} if name == "asked" else {})
                for name, tag in renamed["tags"].items()
            }
            await applied(control, snapshot(renamed), allow=(*WRITE, "retire-data", "rename"), moved=((OUT, RENAMED),))
            (after,) = await client.out_of_service()
            assert (after.device, after.until, after.who) == (RENAMED, made.until, made.who)
            await until(lambda: RENAMED in bench.gateway.pauses, "the gateway follows")
            assert cycles(bench, RENAMED) == 0


@pytest.mark.parametrize(
    ("user", "device", "status"),
    [
        ("vera", "a/l/one", 403),
        ("nina", "a/l/one", 403),
        ("otto", "a/l/one", 200),
        ("dora", "a/l/one", 200),
        ("mes", "a/l/one", 200),
        ("erik", "a/m/two", 200),
        ("lars", "a/l/one", 200),
        ("lars", "a/m/two", 403),
        ("tess", "a/m/two", 403),
        ("otto", "a/m/two", 403),
        ("ada", "a/m/two", 200),
        ("otto", "a/l/nothing", 403),
        ("erik", "a/l/nothing", 404),
        ("past", "a/l/one", 403),
    ],
)
async def test_who_may(database: Settings, tmp_path: Path, user: str, device: str, status: int) -> None:
    writable = to_json(drive("a/l/one"))
    async with people(database, tmp_path, **{"device.a/l/one": writable}) as world:
        token = await world.token(user)
        body = {"for_s": 600, "reason": "new valve"}
        found = await world.ask("POST", f"/devices/{device}/out-of-service", token=token, json=body)
        assert found.status_code == status, found.text
        ended = await world.ask("DELETE", f"/devices/{device}/out-of-service", token=token)
        assert ended.status_code == status and (status != 200 or ended.json() == {"ended": True})


@pytest.mark.parametrize(
    "body",
    [
        {"for_s": 59, "reason": "x"},
        {"for_s": 28_801, "reason": "x"},
        {"for_s": 600, "reason": ""},
        {"for_s": 600},
        {"for_s": 600.5, "reason": "x"},
        {"for_s": 600, "reason": "x", "more": 1},
    ],
)
async def test_what_is_not_a_request(database: Settings, tmp_path: Path, body: dict[str, object]) -> None:
    async with people(database, tmp_path) as world:
        token = await world.token("ada")
        found = await world.ask("POST", "/devices/a/l/one/out-of-service", token=token, json=body)
        assert (found.status_code, found.json()["code"]) == (422, "NX6405")
        assert (await world.ask("GET", "/out-of-service", token=token)).json() == {"devices": []}
