"""Web, a broker with the rules of the site, a gateway on a real Modbus server: what the tests of commands for others share."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.access.brokers.mosquitto.acl_file import render_acl
from nexus_cli.access.compile import compile_grants
from nexus_cli.model.config import to_json
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.settings import Settings
from tests.commanding import GW, Bench, CountingServer, counting, drive
from tests.integration.identity_world import recorded
from tests.integration.web_world import WebWorld, served_web
from tests.servers import TestBroker, new_broker
from tests.waiting import until

PLATFORM = ("nexus.control", "nexus.historian", "nexus.cli", "nexus.web", f"nexus.gateway.{GW}")
SETPOINT = "a/l/drive/setpoint"


@dataclasses.dataclass
class SteeringWorld:
    """All of it, running.

    Attributes:
        web: The role, with control's application and the database behind it.
        bench: The gateway, and a client of the broker named `desk`.
        field: The device; its `setpoint` is 20.0 at the beginning.
        broker: With the site's rules.
    """

    web: WebWorld
    bench: Bench
    field: CountingServer
    broker: TestBroker

    async def command(self, user: str, value: Any, *, path: str = SETPOINT, **more: Any) -> Any:
        """`POST /commands` as a user; gives status and body."""
        answer = await self.web.ask("POST", "/commands", user=user, json={"path": path, "value": value, **more})
        return answer.status_code, answer.json()


def resources(field: CountingServer, **more: Any) -> dict[str, Any]:
    """The plant's resources with the drive."""
    return {f"device.{path}": to_json(drive(path, port=field.port)) for path in ("a/l/drive",)} | more


@contextlib.asynccontextmanager
async def steering_world(
    database: Settings, home: Path, *, more: Mapping[str, Any] | None = None
) -> AsyncIterator[SteeringWorld]:
    """The whole world; `more` are resources by address."""
    async with counting([drive()]) as field:
        plant = resources(field, **(more or {}))
        grants = compile_grants(Snapshot.of("acme", "chicago", recorded(**plant)))
        users = {name: f"secret-{name}" for name in (*PLATFORM, "desk")}
        (folder := home / "broker").mkdir()
        broker = new_broker(folder, users=users, acl=render_acl(grants).splitlines())
        if broker.kind != "mosquitto":
            pytest.skip("needs mosquitto: amqtt has no users here")
        broker.start()
        try:
            bench = Bench(broker, home / "gateway", [drive(port=field.port)])
            bench.historian.client._settings = broker.settings(principal="nexus.historian")
            bench.asker.client._settings = broker.settings(principal="nexus.historian")
            account = broker.settings(principal="nexus.web")
            settings = dataclasses.replace(
                database, broker_user=account.broker_user, broker_password=account.broker_password
            )
            async with bench.running(), served_web(settings, home, broker_url=broker.url, **plant) as web:
                await until(lambda: bool(web.web.parts.keeper.view.tags), "what is recorded")
                yield SteeringWorld(web, bench, field, broker)
        finally:
            broker.stop()
