"""Discovery as a job: the worker browses through the gateway, stores what it finds, and continues where another one ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from nexus_cli.database import device_walks as walks
from nexus_cli.database import jobs
from nexus_cli.database.connect import Pool, open_pool
from nexus_cli.database.discoveries import load_discoveries
from nexus_cli.database.job_queue import GiveUpError, Taken
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.discover import frontier, via
from nexus_cli.drivers.opcua.simulator import serve as serve_opcua
from nexus_cli.model.config import to_json
from nexus_cli.project.discover import Ask, Wanted
from nexus_cli.project.discover_later import (
    delete_discovery,
    discover_later,
    find_discovery,
    list_discoveries,
    stored_items,
)
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.gateway import gateway as gateway_role
from nexus_cli.runtime.worker import discovering
from nexus_cli.runtime.worker.discovering import Discovering
from nexus_cli.runtime.worker.worker import run_worker
from nexus_cli.settings import Settings
from nexus_cli.wire.control_discoveries import DeviceDiscovery
from tests.integration.control_world import API, World, world
from tests.integration.identity_world import SITE, people, write
from tests.integration.test_discover_via import count_looks, gateway, plc, walked
from tests.servers import free_port
from tests.waiting import until_found

__all__ = ["world"]
pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
DEVICE, NODES = "a/l/plc", 600
POLL_MS = 10_000
"""Seldom: that a walk goes below polls is shown in `test_discover_via`, on its own time. On a busy machine a step takes longer
than short polls leave, and each then waits until it has starved (`browsing.STARVED_S`)."""


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_role, "DRAIN_S", 0.1)
    monkeypatch.setattr(frontier, "BATCH", 50)
    monkeypatch.setattr(discovering, "SAVE_S", 0.0)


class KilledError(BaseException):
    """Ends a worker as SIGKILL does: nobody catches it."""


@dataclass
class Plant:
    """Control, a gateway with a device, and the database."""

    world: World
    pool: Pool
    cli: Settings
    server: Any
    port: int

    def worker(self) -> Discovering:
        return Discovering(replace(self.world.settings, principal="nexus.worker"), pool=self.pool, clock=SystemClock())

    async def try_once(self, made: DeviceDiscovery, *, attempt: int = 1) -> None:
        job = Taken(id=1, kind="discover", payload={"discovery": made.id}, attempt=attempt)
        await self.worker().discover(job)

    async def row(self, made: DeviceDiscovery) -> DeviceDiscovery:
        return await find_discovery(made.id, settings=self.cli)

    async def ended(self, made: DeviceDiscovery) -> DeviceDiscovery:
        """Once it is done or has failed. A busy machine may take its time, as long as more is found: a walk goes below polls."""
        row = await self.row(made)

        def further(one: DeviceDiscovery) -> bool:
            return (one.state, one.found, one.waiting) != (row.state, row.found, row.waiting)

        while row.state not in ("done", "failed"):
            row = await until_found(lambda: self.row(made), further)
        return row


@contextlib.asynccontextmanager
async def plant(world: World, tmp_path: Path) -> AsyncIterator[Plant]:
    port = free_port()
    polled = plc(port, DEVICE, 20, poll_ms=POLL_MS)
    server = await serve_opcua([polled, plc(port, "a/l/rest", NODES)], port=port)
    pool = await open_pool(world.settings)
    try:
        await write(pool, {f"device.{DEVICE}": to_json(polled), "device.a/l/other": to_json(plc(port, "a/l/other", 1))})
        cli = replace(world.settings, principal="nexus.cli", control_token=API["nexus.cli"], home=tmp_path / "cli")
        async with world.control(), gateway(world.broker, [polled], tmp_path / "gateway", polls=1):
            yield Plant(world, pool, cli, server, port)
    finally:
        pool.terminate()
        await server.close()


def dies_after(saves: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The worker's process ends when it has stored so often."""
    real, count = walks.save, [0]

    async def save(*args: Any, **more: Any) -> bool:
        done = await real(*args, **more)
        count[0] += 1
        if count[0] == saves:
            raise KilledError  # nothing more is said
        return done

    monkeypatch.setattr(walks, "save", save)
    return lambda: monkeypatch.setattr(walks, "save", real)


async def test_what_the_worker_finds_is_what_a_live_walk_finds(world: World, tmp_path: Path) -> None:
    async with plant(world, tmp_path) as here:
        live = await walked(Ask(target=f"opcua://127.0.0.1:{here.port}", via="gw-1"), here.cli)
        made = await discover_later(Ask(at=DEVICE), settings=here.cli)
        assert (made.state, made.gateway, made.protocol, made.who) == ("waiting", "gw-1", "opcua", "nexus.cli")
        with pytest.raises(NexusError, match="not done") as early:
            await walked(Ask(stored=made.id), here.cli)
        assert early.value.code == "NX6614"
        stop = asyncio.Event()
        settings = replace(world.settings, principal="nexus.worker", home=tmp_path / "worker", http_port=0)
        worker = asyncio.create_task(run_worker(settings, stop=stop))
        try:
            found = await here.ended(made)
        finally:
            stop.set()
            await worker
        assert (found.state, found.found, found.waiting, found.reason) == ("done", NODES + 20, 0, "")
        kept = [each async for each in stored_items(made.id, here.cli)]
        addresses = {each.address for each in kept if each.type}
        assert {str(tag.keys["node"]) for one in live.devices for tag in one.tags} <= addresses
        assert len(addresses) == len([each for each in kept if each.type])
        stored = await here.pool.fetchval("SELECT string_agg(t::text, '') FROM nexus.device_walk t")
        assert "127.0.0.1" not in stored
        trail = await here.pool.fetch("SELECT who, subject, detail FROM nexus.audit WHERE what = 'discover'")
        assert [(row["who"], row["subject"]) for row in trail] == [("nexus.cli", DEVICE)]
        async with here.pool.acquire() as conn:
            (record,) = (each for each in await load_discoveries(conn, site=SITE, limit=9) if each.id == made.id)
        assert (record.who, record.gateway, record.outcome, record.found) == ("nexus.cli", "gw-1", "done", NODES + 20)


async def test_the_next_worker_goes_on_where_one_ended(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with plant(world, tmp_path) as here:
        made = await discover_later(Ask(at=DEVICE), settings=here.cli)
        looks = count_looks(here.server)
        alive = dies_after(8, monkeypatch)
        with pytest.raises(KilledError):
            await here.try_once(made)
        alive()
        before = await here.row(made)
        assert before.state == "running"
        assert before.waiting > 0
        pieces = await here.pool.fetchval("SELECT count(*) FROM nexus.device_walk_piece")
        assert pieces > 0
        await here.try_once(made, attempt=2)
        found = await here.row(made)
        assert (found.state, found.found) == ("done", NODES + 20)
        kept = [each.address async for each in stored_items(made.id, here.cli) if each.type]
        assert len(kept) == len(set(kept)) >= NODES + 20
        again = sum(count - 1 for count in looks.values())
        assert again <= 3 * 50, "one request's nodes at most were looked at twice"


async def test_one_discovery_of_a_device_at_a_time_and_who_may_ask(world: World, tmp_path: Path) -> None:
    async with plant(world, tmp_path) as here:
        made = await discover_later(Ask(at=DEVICE, wanted=Wanted(include=("x/**",), depth=3)), settings=here.cli)
        assert (made.wanted["include"], made.wanted["depth"]) == (["x/**"], 3)
        with pytest.raises(NexusError) as second:
            await discover_later(Ask(at=DEVICE), settings=here.cli)
        assert (second.value.code, made.id in second.value.message) == ("NX6612", True)
        await discover_later(Ask(at="a/l/other"), settings=here.cli)
        with pytest.raises(NexusError) as unknown:
            await discover_later(Ask(at="a/l/none"), settings=here.cli)
        assert unknown.value.code == "NX6614"
        lesser = replace(here.cli, control_token=API["nexus.gateway.gw-1"], principal="")
        with pytest.raises(NexusError) as refused:
            await discover_later(Ask(at=DEVICE), settings=lesser)
        assert refused.value.code == "NX6403"
        await delete_discovery(made.id, settings=here.cli)
        assert [one.device for one in (await list_discoveries(settings=here.cli)).discoveries] == ["a/l/other"]
        assert await here.pool.fetchval("SELECT count(*) FROM nexus.job") == 1
        with pytest.raises(NexusError) as gone:
            await here.row(made)
        assert gone.value.code == "NX6921"
        await here.try_once(made)
        await discover_later(Ask(at=DEVICE), settings=here.cli)


async def test_a_walk_that_was_taken_over_or_removed_ends(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with plant(world, tmp_path) as here:
        made = await discover_later(Ask(at=DEVICE), settings=here.cli)
        real, held, reached = walks.save, asyncio.Event(), asyncio.Event()
        calls = [0]

        async def save(*args: Any, **more: Any) -> bool:
            calls[0] += 1
            if calls[0] == 4:
                reached.set()
                await held.wait()
            return await real(*args, **more)

        monkeypatch.setattr(walks, "save", save)
        early = asyncio.create_task(here.try_once(made))
        await reached.wait()
        await here.try_once(made, attempt=2)
        held.set()
        await early
        found = await here.row(made)
        assert (found.state, found.found) == ("done", NODES + 20)
        kept = [each.address async for each in stored_items(made.id, here.cli) if each.type]
        assert len(kept) == len(set(kept))

        calls[0] = 0
        held.clear(), reached.clear()
        second = await discover_later(Ask(at=DEVICE), settings=here.cli)
        running = asyncio.create_task(here.try_once(second))
        await reached.wait()
        await delete_discovery(second.id, settings=here.cli)
        held.set()
        await running
        assert await here.pool.fetchval("SELECT count(*) FROM nexus.device_walk_piece WHERE walk = $1", second.id) == 0


async def test_why_a_discovery_failed_is_in_its_row(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(via, "SILENCE_S", 0.5)
    async with plant(world, tmp_path) as here:
        other = await discover_later(Ask(at="a/l/other"), settings=here.cli)
        with pytest.raises(GiveUpError, match="runs no such device"):
            await here.try_once(other)
        found = await here.row(other)
        assert (found.state, "runs no such device" in found.reason) == ("failed", True)
        away = await discover_later(Ask(at=DEVICE, via="gw-9"), settings=here.cli)
        for attempt, state in ((1, "waiting"), (discovering.TRIES, "failed")):
            with pytest.raises(NexusError, match="does not answer"):
                await here.try_once(away, attempt=attempt)
            assert (await here.row(away)).state == state
        monkeypatch.setattr(walks, "MOST_BYTES", 100)
        much = await discover_later(Ask(at=DEVICE), settings=here.cli)
        with pytest.raises(GiveUpError, match="offers more than"):
            await here.try_once(much)
        assert (await here.row(much)).state == "failed"
        lost = await discover_later(Ask(at="a/l/other"), settings=here.cli)
        async with here.pool.acquire() as conn:
            ids = [row["id"] for row in await conn.fetch("SELECT id FROM nexus.job ORDER BY id DESC LIMIT 1")]
            assert await jobs.discard(conn, SITE, ids=ids, kind="", all_=False, who="erik") == ids
            await walks.keep_up(conn, SITE)
        assert (await here.row(lost)).reason == "its job was discarded"


async def test_the_rights_are_those_of_a_deployment_of_the_device(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as here:
        for user, device, status in (
            ("vera", "a/l/one", 403),
            ("tess", "a/l/one", 403),
            ("lars", "a/l/one", 202),
            ("tess", "a/m/two/energy", 422),
            ("erik", "a/m/two", 202),
        ):
            answer = await here.ask("POST", "/discoveries", token=await here.token(user), json={"device": device})
            assert answer.status_code == status, (user, answer.text)
        (one, other) = (await here.ask("GET", "/discoveries", token=await here.token("erik"))).json()["discoveries"]
        assert [(each["who"], each["device"]) for each in (one, other)] == [("erik", "a/m/two"), ("lars", "a/l/one")]
        refused = await here.ask("DELETE", f"/discoveries/{one['id']}", token=await here.token("lars"))
        assert refused.status_code == 403
        assert (await here.ask("GET", "/discoveries", token=await here.token("vera"))).status_code == 403
        assert (
            await here.ask("DELETE", f"/discoveries/{other['id']}", token=await here.token("lars"))
        ).status_code == 200
        assert [line["subject"] for line in await here.trail("delete-discovery")] == ["a/l/one"]
        for body in ({}, {"device": "a/l/one", "connection": {}}, {"device": "a/l/one", "depth": -1}):
            answer = await here.ask("POST", "/discoveries", token="cli-token", json=body)
            assert answer.status_code == 422, body


SITE_FILE = """\
nexus: 1
enterprise: acme
site: chicago
gateways: {{gw-1: {{}}}}
areas:
  a:
    lines:
      l:
        devices:
          plc:
            protocol: opcua
            connection: {{endpoint: "opc.tcp://127.0.0.1:{port}"}}
            tags: {{}}
"""


async def test_the_command_line(world: World, tmp_path: Path) -> None:
    async with plant(world, tmp_path) as here:
        (folder := tmp_path / "site").mkdir()
        (folder / "site.yaml").write_text(SITE_FILE.format(port=here.port))

        async def nexus(*arguments: str) -> tuple[int, str, str]:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "nexus_cli", *arguments),
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(folder),
                    "NEXUS_SITE": SITE,
                    "NEXUS_CONTROL_URL": here.cli.control_url,
                    "NEXUS_CONTROL_TOKEN": here.cli.control_token,
                },
            )
            out, err = await child.communicate()
            assert child.returncode is not None
            return child.returncode, out.decode(), err.decode()

        code, out, said = await nexus("discover", "--later", "--at", DEVICE, "--include", "**/v1*", "--format", "json")
        assert code == 0, said
        made = DeviceDiscovery(**orjson.loads(out))
        await here.try_once(made)
        find = await here.row(made)
        code, out, _ = await nexus("discoveries", "list")
        assert out.splitlines()[1].split()[:5] == [made.id, DEVICE, "gw-1", "done", str(find.found)]
        code, out, _ = await nexus("discoveries", "show", made.id)
        assert "include **/v1*" in out
        before = (folder / "site.yaml").read_text()
        code, out, said = await nexus("discover", "--from", made.id, "--into", "site.yaml", "--dry-run")
        assert code == 0, said
        assert (folder / "site.yaml").read_text() == before
        code, out, said = await nexus("discover", "--from", made.id, "--into", "site.yaml", "--format", "json")
        assert code == 0, said
        assert (folder / "site.yaml").read_text().count("address:") + (folder / "site.yaml").read_text().count(
            "node:"
        ) == find.found
        code, out, said = await nexus("validate")
        assert code == 0, out + said
        code, out, _ = await nexus("discoveries", "delete", made.id)
        assert (code, out) == (0, f"discovery {made.id} was removed\n")
        assert (await nexus("discover", "--from", made.id, "--dry-run"))[0] in (1, 6)
        for arguments in (
            ("--later",),
            ("opcua://10.0.0.5:4840", "--later"),
            ("--from", "X", "--via", "gw-1"),
            ("--from", "X", "--include", "a"),
        ):
            assert (await nexus("discover", *arguments))[0] == 64, arguments
