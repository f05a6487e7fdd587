"""Device identification (FC43): asked by discovery and by pymodbus's client, over TCP and on a serial line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from nexus_cli.drivers.modbus.pdu import identification_of, identification_request
from nexus_cli.drivers.modbus.simulator import identity, serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.project.discover import Ask, discover
from nexus_cli.settings import Settings
from tests.servers import free_port

pytestmark = pytest.mark.own_time

FILLER = {"vendor": "Acme GmbH", "product code": "FX-9", "revision": "2.4", "product": "Filler of line 1"}
BARE = {"vendor": "NEXUS simulator", "product code": "meter", "revision": "1.0"}
LONG = {0: b"v" * 200, 1: b"p" * 100, 2: b"r", 4: b"n" * 244}


def devices(**connection: Any) -> list[DeviceConfig]:
    """Unit 3 has words in its site file, unit 7 has none."""
    tags = {"v": TagConfig(type="uint16", address="holding:0")}
    labels = {"manufacturer": "Acme GmbH", "model": "FX-9", "firmware": "2.4"}
    filler = DeviceConfig(
        path="a/l/filler",
        protocol="modbus",
        connection={**connection, "unit_id": 3},
        tags=tags,
        description="Filler of\nline 1",
        labels=labels,
    )
    meter = DeviceConfig(path="a/l/meter", protocol="modbus", connection={**connection, "unit_id": 7}, tags=tags)
    return [filler, meter]


async def told(target: str, home: Path) -> dict[str, str]:
    """What `nexus discover` says of who answers."""
    outcome = await discover(Ask(target=target), settings=Settings(home=home), stop=asyncio.Event())
    assert outcome.value is not None, outcome.findings
    found: dict[str, str] = outcome.value.proposals[0].facts["identity"]
    return found


@pytest.mark.parametrize("framing", ["tcp", "rtu-over-tcp"])
async def test_over_tcp(framing: str, tmp_path: Path) -> None:
    port = free_port()
    server = await serve(devices(host="127.0.0.1", port=port, framing=framing), port=port)
    try:
        address = f"modbus://127.0.0.1:{port}?framing={framing}"
        assert await told(f"{address}&unit=3", tmp_path) == FILLER
        assert await told(f"{address}&unit=7", tmp_path) == BARE
        outcome = await discover(
            Ask(target=f"{address}&unit=2-4"), settings=Settings(home=tmp_path), stop=asyncio.Event()
        )
        assert outcome.value is not None
        assert [one["identity"] for one in outcome.value.proposals[0].facts["units"]] == [FILLER]
        framer = FramerType.SOCKET if framing == "tcp" else FramerType.RTU
        client = AsyncModbusTcpClient("127.0.0.1", port=port, framer=framer, timeout=2)
        await client.connect()
        try:
            answer = await client.read_device_information(read_code=2, object_id=0, device_id=3)
            assert answer.information == {0: b"Acme GmbH", 1: b"FX-9", 2: b"2.4", 4: b"Filler of line 1"}
            basic = await client.read_device_information(read_code=1, object_id=0, device_id=3)
            assert sorted(basic.information) == [0, 1, 2]
            single = await client.read_device_information(read_code=4, object_id=4, device_id=3)
            assert single.information == {4: b"Filler of line 1"}
            assert (await client.read_device_information(read_code=4, object_id=6, device_id=3)).exception_code == 2
            assert (await client.read_device_information(read_code=9, object_id=0, device_id=3)).exception_code == 3
        finally:
            client.close()
    finally:
        await server.close()


async def test_on_a_serial_line(tmp_path: Path) -> None:
    server = await serve(devices(serial="/dev/line"))
    try:
        assert await told(f"modbus://{server.device}?unit=3&parity=none", tmp_path) == FILLER  # type: ignore[attr-defined]
        client = AsyncModbusSerialClient(server.device, framer=FramerType.RTU, baudrate=19_200, timeout=2)  # type: ignore[attr-defined]
        await client.connect()
        try:
            answer = await client.read_device_information(read_code=2, object_id=0, device_id=7)
            assert answer.information == {0: b"NEXUS simulator", 1: b"meter", 2: b"1.0"}
        finally:
            client.close()
    finally:
        await server.close()


def test_long_texts_come_page_by_page() -> None:
    found: dict[int, bytes] = {}
    following: int | None = 0
    pages = 0
    while following is not None:
        answer = identity.identification(LONG, identification_request(1, following)[1:])
        assert isinstance(answer, bytes)
        assert len(answer) <= identity.MAX_PDU
        page = identification_of(answer)
        found |= page.objects
        following, pages = page.following, pages + 1
    assert found == LONG
    assert pages == 3
    assert identity.identification(LONG, bytes((43, 13, 0, 0))) == 1
    assert identity.identification({}, bytes((43, 14, 1, 0))) == 1
    assert isinstance(identity.identification(LONG, bytes((43, 14, 1, 99))), bytes), "an unknown object begins anew"
