"""A site in two versions, a folder that pushes, and a cluster of EMQX that other tenants use, too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.model.snapshot import Snapshot
from nexus_cli.project.access_canary import MqttSubscriber
from nexus_cli.project.access_push import Push, prepare, refuse_blocked
from nexus_cli.project.access_push_memory import PushMemory
from nexus_cli.project.access_push_run import Done, PushRun
from nexus_cli.project.access_push_wanted import nothing, wanted_of
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.emqx import Emqx
from nexus_cli.wire.emqx_request import EmqxRequests, Pace
from nexus_cli.wire.emqx_settings import EmqxSettings
from tests.emqx_mqtt import EmqxMqtt
from tests.emqx_server import KEY, SECRET, EmqxServer, Session
from tests.emqx_site import NEW, OLD, SUFFIX, snapshot_of, tenants, write_home


async def no_wait(_seconds: float) -> None:
    await asyncio.sleep(0)


@dataclass
class EmqxWorld:
    """A site in two versions, a folder that pushes, and a cluster."""

    home: Path
    old: Snapshot
    new: Snapshot
    server: EmqxServer

    def settings(self, **more: Any) -> Settings:
        return replace(load_settings(environ={}, home=self.home), **more)

    def api(self, *, secret: str = SECRET, sleep: Callable[[float], Awaitable[None]] = no_wait) -> Emqx:
        reach = EmqxSettings(url=self.server.url, key=KEY, secret=secret)
        return Emqx(EmqxRequests(reach, pace=Pace(10_000.0, sleep=sleep), sleep=sleep))

    async def plan(self, snapshot: Snapshot | None, emqx: Emqx, *, settings: bool = False) -> tuple[Push, PushMemory]:
        memory = PushMemory(self.home, emqx.url)
        site = wanted_of(self.old, self.settings()).accounts
        wanted = nothing(site) if snapshot is None else wanted_of(snapshot, self.settings())
        return await prepare(emqx, wanted, memory, settings=settings), memory

    async def push(
        self, snapshot: Snapshot | None, *, settings: bool = False, mqtt: EmqxMqtt | None = None
    ) -> tuple[Push, Done]:
        async with self.api() as emqx:
            push, memory = await self.plan(snapshot, emqx, settings=settings)
            refuse_blocked(push)
            subscriber = None
            if mqtt is not None:
                subscriber = MqttSubscriber(
                    self.settings(broker_url=f"mqtt://127.0.0.1:{mqtt.port}"),
                    disconnects=push.present.deny_action == "disconnect",
                )
            return push, await PushRun(emqx, push, memory, subscriber=subscriber, sleep=no_wait).carry_out()

    def connect(self, *names: str) -> None:
        """Sessions of these principals, one each."""
        for name in names:
            self.server.state.sessions[f"{name}-1"] = Session(f"{name}-1", f"{name}{SUFFIX}")


@pytest.fixture(scope="module")
def emqx_sites(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, Snapshot]:
    folder = tmp_path_factory.mktemp("sites")
    return snapshot_of(OLD, folder / "old"), snapshot_of(NEW, folder / "new")


@pytest.fixture
def emqx(tmp_path: Path, emqx_sites: tuple[Snapshot, Snapshot]) -> Iterator[EmqxWorld]:
    for name, text in (("old", OLD), ("new", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "site.yaml").write_text(text, encoding="utf-8")
    with EmqxServer(tenants()).running() as server:
        yield EmqxWorld(write_home(tmp_path / ".nexus"), *emqx_sites, server)
