"""What a published library has no way to ask is said, and is no disagreement."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.cli.views.direct import document, text
from nexus_cli.cli.views.probe import compared
from nexus_cli.cli.views.probe import document as candidates
from nexus_cli.drivers.base import Opinion, points_of
from nexus_cli.drivers.modbus.opinion import Registers
from nexus_cli.drivers.opinion import LIBRARY, NEXUS, ask
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.project.address_read import Answer, Direct
from nexus_cli.project.probe import Second, _second


@asynccontextmanager
async def answering_as(unit: int) -> AsyncIterator[int]:
    """A Modbus TCP device that answers under a unit id of its own; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                transaction, _, length, _ = struct.unpack(">HHHB", await reader.readexactly(7))
                function, start, count = struct.unpack(">BHH", await reader.readexactly(length - 1))
                registers = struct.pack(f">{count}H", *range(start, start + count))
                answer = bytes((unit, function, len(registers))) + registers
                writer.write(struct.pack(">HHH", transaction, 0, len(answer)) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def device(protocol: str, address: str, **connection: Any) -> DeviceConfig:
    tags = {"t": TagConfig(type="uint16", address=address)}
    return DeviceConfig(path="a/l/one", protocol=protocol, link="l", connection=connection, tags=tags)


def direct(ours: Opinion, theirs: Opinion) -> Direct:
    answers = (Answer(opinion=ours, value=ours.value, quality="GOOD"), Answer(opinion=theirs))
    return Direct(
        path="a/l/one/t", address="x", type="uint16", unit="", live=None, without="no broker", answers=answers
    )


async def test_answers_under_another_unit_are_beyond_pymodbus(tmp_path: Path) -> None:
    async with answering_as(0) as port:
        one = device("modbus", "holding:7", host="127.0.0.1", port=port, unit_id=3, timeout=300, any_unit=True)
        (point,) = points_of(one)
        ours, theirs = [await ask(client, one, point, home=str(tmp_path)) for client in (NEXUS, LIBRARY)]
        assert ours.value == 7
        assert theirs.unable
        assert theirs.problem.startswith("the library can't ask this: pymodbus takes no answer under another unit id")
        found = direct(ours, theirs)
        assert found.agree, "the exit code is that of our own answer"
        shown = text(document(found))
        assert "the library can't ask this" in shown and "no second opinion: there is only the answer of nexus" in shown
        second = Second(client="pymodbus")
        await _second(second, one.connection, {(3, 7): b"\0\7"})
        assert not second.differ
        said = compared(candidates([], expected=7.0, second=second))
        assert said.startswith("no second opinion: the library can't ask this: pymodbus takes no answer")


async def test_silence_without_such_a_setting_is_the_answer_of_the_library(tmp_path: Path) -> None:
    async with answering_as(0) as port:
        one = device("modbus", "holding:7", host="127.0.0.1", port=port, unit_id=3, timeout=300)
        theirs = await ask(LIBRARY, one, points_of(one)[0], home=str(tmp_path))
    assert theirs.problem and not theirs.unable
    assert not direct(Opinion(client=NEXUS, data=b"\0\7", value=7), theirs).agree


async def test_what_snap7_and_pyads_have_no_place_for(tmp_path: Path) -> None:
    asked = [("s7", device("s7", "%DB1:0:WORD", host="127.0.0.1", local_tsap=0x200, remote_tsap=0x200), "local TSAP")]
    if find_spec("pyads") is not None:
        plc = device("ads", "MAIN.x", host="127.0.0.1", ams_net_id="1.2.3.4.1.1", tcp_port=48_899)
        asked.append(("ads", plc, "TCP port 48898 only"))
    for _, one, words in asked:
        theirs = await ask(LIBRARY, one, points_of(one)[0], home=str(tmp_path))
        assert theirs.unable, theirs
        assert words in theirs.problem


def test_pymodbus_opens_a_serial_line_as_the_site_declares_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "nexus_cli.drivers.modbus.opinion.AsyncModbusSerialClient", lambda port, **keys: made.append(keys)
    )
    Registers({"serial": "/dev/ttyS9"})
    Registers({"serial": "/dev/ttyS9", "baudrate": 9600, "parity": "none", "stopbits": 2, "bytesize": 7, "echo": True})
    keys = ("baudrate", "parity", "stopbits", "bytesize", "handle_local_echo")
    assert [tuple(one[key] for key in keys) for one in made] == [(19_200, "E", 1, 8, False), (9600, "N", 2, 7, True)]


def test_pyads_asks_the_runtime_that_the_site_names(monkeypatch: pytest.MonkeyPatch) -> None:
    pyads = pytest.importorskip("pyads")
    from nexus_cli.drivers.ads import opinion as ads

    asked: list[tuple[Any, ...]] = []

    class Refuses(Exception):
        """Far enough."""

    def connection(*about: Any) -> Any:
        asked.append(about)
        raise Refuses

    monkeypatch.setattr(pyads, "Connection", connection)
    one = device("ads", "MAIN.x", host="10.0.0.5", ams_net_id="10.0.0.5.1.1", port=852)
    with pytest.raises(Refuses):
        ads._read(one, points_of(one)[0], 2)
    assert asked == [("10.0.0.5.1.1", 852, "10.0.0.5")]
