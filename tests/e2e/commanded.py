"""A Modbus drive in a thread of the test that counts its writes, and a runtime that may write to it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.topic import Topics
from tests.commanding import CountingServer, counting
from tests.e2e.runtime import Runtime
from tests.servers import free_port

TOPICS = Topics("acme", "commanded")
PATH = "hall/line-1/drive/setpoint"
SITE = """
nexus: 1
enterprise: acme
site: commanded
defaults: {{poll: 200ms}}
areas:
  hall:
    lines:
      line-1:
        devices:
          drive:
            protocol: modbus
            connection: {{host: 127.0.0.1, port: {port}, unit_id: 1, timeout: 1s}}
            tags:
              setpoint: {{address: "holding:0", type: int16, scale: 0.1, unit: degC, range: [10, 90], writable: true}}
              mode: {{address: "holding:1", type: uint16, values: {{0: "off", 1: "on"}}, writable: true}}
              start: {{address: "holding:2", type: uint16, writable: true, read_back: none}}
              fixed: {{address: "holding:3", type: uint16}}
messages:
  start-order:
    topic: "erp/orders/{{line}}"
    schema: {{type: object, required: [order, amount], properties: {{order: {{type: string}}, amount: {{type: integer}}}}}}
    payload: {{source: nexus}}
sequences:
  warm-up:
    requires: ["{{hall/line-1/drive/mode}} == 'off'"]
    timeout: 1m
    steps:
      - {{write: hall/line-1/drive/setpoint, value: 55.5}}
      - {{until: "{{hall/line-1/drive/setpoint}} > 55", timeout: 10s}}
      - {{wait: 200ms}}
      - {{write: hall/line-1/drive/mode, value: "on"}}
      - {{publish: start-order, set: {{line: one, order: "17", amount: 3}}}}
    on_abort:
      - {{write: hall/line-1/drive/setpoint, value: 10}}
  held:
    steps:
      - {{write: hall/line-1/drive/start, value: 1}}
      - {{until: "{{hall/line-1/drive/fixed}} == 78", timeout: 10m}}
      - {{write: hall/line-1/drive/start, value: 2}}
    on_abort:
      - {{write: hall/line-1/drive/start, value: 9}}
  patient:
    steps:
      - {{write: hall/line-1/drive/start, value: 1}}
      - {{wait: 10m}}
      - {{write: hall/line-1/drive/start, value: 2}}
    on_abort:
      - {{write: hall/line-1/drive/start, value: 9}}
  never:
    requires: ["{{hall/line-1/drive/mode}} == 'on'"]
    steps:
      - {{write: hall/line-1/drive/start, value: 1}}
  fill:
    parameters:
      amount: {{type: number, range: [10, 90], default: 40}}
      order: {{type: string}}
    requires: ["{{hall/line-1/drive/setpoint}} < ${{param:amount}}"]
    steps:
      - {{write: hall/line-1/drive/setpoint, value: "${{param:amount}}"}}
      - {{until: "{{hall/line-1/drive/setpoint}} >= ${{param:amount}}", timeout: 10s}}
      - {{publish: start-order, set: {{line: one, order: "no ${{param:order}}", amount: 3}}}}
  stuck:
    steps:
      - {{write: hall/line-1/drive/setpoint, value: 33}}
      - {{until: "{{hall/line-1/drive/fixed}} == 77", timeout: 500ms}}
      - {{write: hall/line-1/drive/mode, value: "on"}}
    on_abort:
      - {{write: hall/line-1/drive/setpoint, value: 11}}
"""


class Drive:
    """The device, on a loop of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.field: CountingServer
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        assert self._started.wait(10)

    def stop(self) -> None:
        """End."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        from nexus_cli.model.config import DeviceConfig, TagConfig

        tags = {
            name: TagConfig(type="int16" if name == "setpoint" else "uint16", address=f"holding:{at}")
            for at, name in enumerate(("setpoint", "mode", "start", "fixed"))
        }
        device = DeviceConfig(
            path="hall/line-1/drive", protocol="modbus", connection={"host": "127.0.0.1", "unit_id": 1}, tags=tags
        )
        async with counting([device], port=self.port) as self.field:
            self._started.set()
            await self._stop.wait()

    def hold(self, tag: str, value: Any) -> None:
        """Let the device hold a value that nobody wrote."""
        self._loop.call_soon_threadsafe(self.field.server.set, "hall/line-1/drive", tag, value)

    @property
    def writes(self) -> list[tuple[int, int]]:
        """(register, value) of every write, in order."""
        return [(start, int.from_bytes(data[:2], "big")) for _, start, data in list(self.field.writes)]

    def held(self, tag: str) -> Any:
        """What the device holds."""
        return self.field.server.values("hall/line-1/drive")[tag]


class Commanded(Runtime):
    """A whole runtime in front of one drive."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, site="acme/commanded")
        self.drive = Drive()

    def start(self) -> None:
        """Start every part and apply the site."""
        self.drive.start()
        super().start()
        (self.folder / "site.yaml").write_text(SITE.format(port=self.drive.port))
        self.apply("--allow", "write-enable=**")
        self.wait_ready("gateway")
        self.wait_ready("historian")

    def stop(self) -> None:
        """Stop it all."""
        super().stop()
        self.drive.stop()

    def settings(self, principal: str = "desk") -> Settings:
        """For a client of the test's own."""
        return Settings(home=self.home, site=self.site, principal=principal, broker_url=self.broker.url)

    def send(
        self, path: str, value: Any, *, id: str = "", expires_s: float = 20.0, wait_s: float = 10.0
    ) -> dict[str, Any]:
        """A command of the principal `desk`; {} when no answer came in time."""
        command = id or uuid.uuid4().hex
        body = {"id": command, "value": value, "expires_at": int((time.time() + expires_s) * 1e6)}

        async def ask(client: BrokerClient) -> dict[str, Any]:
            async with client.session() as messages:
                await client.subscribe([(TOPICS.response("+", "desk", command), 1)])
                await client.publish(TOPICS.command(path, "desk"), json.dumps(body).encode(), qos=2)
                async for message in messages:
                    found: dict[str, Any] = json.loads(message.payload)
                    return found
            return {}

        return self.run(ask, wait_s=wait_s) or {}

    def run(self, act: Callable[[BrokerClient], Coroutine[Any, Any, Any]], *, wait_s: float = 10.0) -> Any:
        """Something with a client, bounded; None when it took too long or the broker went away."""
        from nexus_cli.diagnostics.errors import NexusError

        async def bounded() -> Any:
            client = BrokerClient(settings=self.settings(), client_id=f"desk-{uuid.uuid4().hex[:6]}")
            try:
                async with asyncio.timeout(wait_s):
                    return await act(client)
            except (TimeoutError, NexusError):
                return None

        return asyncio.run(bounded())

    def rows(self, command: str, *, deadline_s: float = 20.0) -> list[Any]:
        """Rows of a command, once there are some."""
        until = time.monotonic() + deadline_s
        while time.monotonic() < until:
            found = self.query("SELECT * FROM nexus.command WHERE id = $1", command)
            if found:
                return found
            time.sleep(0.1)
        raise AssertionError(f"no row for {command}\n{self.log('historian')[-2000:]}\n{self.log('gateway')[-2000:]}")

    def audited(self, command: str) -> list[Any]:
        """Lines of the audit trail about a command."""
        return self.query("SELECT * FROM nexus.audit WHERE what = 'command' AND detail->>'id' = $1", command)
