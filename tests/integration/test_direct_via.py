"""`nexus read --direct --via GATEWAY`: a running gateway reads one address for us, over its own link."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from nexus_cli.cli.views.direct import document, text
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.modbus.simulator import serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.project import address_read as verb
from nexus_cli.project.address_read import read_direct
from nexus_cli.runtime.gateway import gateway as gateway_role
from nexus_cli.settings import Settings
from nexus_cli.wire.schemas import message_schemas
from tests.integration.test_discover_via import gateway
from tests.servers import TestBroker, free_port

pytestmark = [pytest.mark.needs_broker, pytest.mark.own_time]
SPEED = struct.pack(">h", 300)


class Opened(set[Any]):
    """Connections of a server, with what was opened since."""

    def __init__(self, known: set[Any]) -> None:
        super().__init__(known)
        self.added: list[Any] = []

    def add(self, one: Any) -> None:
        """One more."""
        self.added.append(one)
        super().add(one)


async def test_a_gateway_reads_one_address_over_its_own_link(
    broker: TestBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_role, "DRAIN_S", 0.1)
    port = free_port()
    tags = {
        "speed": TagConfig(
            address="holding:5",
            type="int16",
            scale=0.5,
            poll_ms=200,
            range=(0.0, 100.0),
            simulate={"value": 300},
        ),
    }
    device = DeviceConfig(
        path="a/l/one",
        protocol="modbus",
        link="plc",
        gateway="gw-1",
        connection={"host": "127.0.0.1", "port": port},
        tags=tags,
    )
    server = await serve([device], port=port)
    settings = Settings(home=tmp_path / "cli", site="acme/chicago", broker_url=broker.url)

    async def declared(path: str, _: Settings) -> tuple[DeviceConfig, str]:
        return device, path.rpartition("/")[2]

    async def asked(name: str) -> Any:
        return await read_direct(f"a/l/one/{name}", client="nexus", via="gw-1", settings=settings)

    monkeypatch.setattr(verb, "_declared", declared)
    try:
        async with gateway(broker, [device], tmp_path / "gateway") as (running, _):
            server.connections = opened = Opened(server.connections)
            (answer,) = document(await asked("speed"))["answers"]
            assert (answer["client"], answer["bytes"], answer["raw"]) == ("gateway gw-1", SPEED.hex(" "), 300)
            assert (answer["value"], answer["quality"], answer["reason"]) == (150.0, "UNCERTAIN", "out_of_range")
            assert not opened.added, "over the link that is open"
            counters = running.links.devices()[0].counters
            missed = counters.missed  # what is imported at the first question, by us in the same process, is behind us
            found = await asked("speed")
            assert counters.missed == missed, "between the polls"
            assert found.live is not None and "published" in text(document(found)), "beside the stored value"
            with pytest.raises(NexusError) as caught:
                await read_direct("a/l/one/speed", client="nexus", via="gw-2", settings=settings)
            assert caught.value.hint == "--via gw-1"
        (answer,) = document(await asked("speed"))["answers"]
        assert "does not answer" in answer["problem"], "nobody is there"
    finally:
        await server.close()


def test_the_answer_is_what_the_schema_says() -> None:
    page = {
        "id": "x",
        "page": 1,
        "items": [],
        "done": True,
        "read": {
            "asked": "FC3 5..5",
            "bytes": "01 2c",
            "raw": 300,
            "value": 150.0,
            "quality": "UNCERTAIN",
            "reason": "out_of_range",
            "problem": "",
            "time": 1_785_000_000_000_000,
        },
    }
    jsonschema.validate(orjson.loads(orjson.dumps(page)), message_schemas()["browse-page"])
    jsonschema.validate({"id": "x", "device": "a/l/one", "read": "speed"}, message_schemas()["browse"])
