"""What simulators in this process were asked, and which of it changes a device: the proof that a command only reads."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asyncua import ua
from asyncua.server.uaprocessor import UaProcessor

from nexus_cli.drivers.ads import frame
from nexus_cli.drivers.ads.plc import HANDLE_BY_NAME, RELEASE_HANDLE
from nexus_cli.drivers.ads.simulator.connection import Connection
from nexus_cli.drivers.ads.simulator.responder import SUM_READ, SUM_READ_WRITE, SUM_WRITE
from nexus_cli.drivers.modbus.simulator.server import SimulatorServer as ModbusServer
from nexus_cli.drivers.s7.simulator.responder import Cpu

Asked = tuple[str, str]
"""Protocol, and what was asked."""
MODBUS_READS = {1, 2, 3, 4, 43}
LOOK_UPS = {HANDLE_BY_NAME, 0xF004, 0xF007, 0xF009, 0xF011}
"""Index groups whose read-write takes a name and gives what is behind it. Source: Beckhoff, ADS device service."""
WATCHED = {0xF008, 0xF100}
"""Version of the symbols and state of the PLC: each ADS session has them reported, to notice an online change."""
S7_READS = {0x04, 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F, 0xF0}
"""Read, upload (of a block to the client), and the set-up of the connection. 0x05 writes, 0x28 and 0x29 control."""
JOB, S7_INFORMS = 1, {3, 4}
"""Kind of a request that has a function; groups of user data that only inform: blocks, and the system's lists."""
OPCUA_CHANGES = {
    getattr(ua.ObjectIds, f"{name}Request_Encoding_DefaultBinary")
    for name in ("Write", "Call", "AddNodes", "DeleteNodes", "AddReferences", "DeleteReferences", "HistoryUpdate")
}


class Recorded:
    """What was asked, and what of it changes something: by protocol and words.

    Attributes:
        asked: Number of requests by protocol.
        changing: Requests that change a device.
        reported: Requests for reports of values.
    """

    def __init__(self) -> None:
        self.asked = dict.fromkeys(("modbus", "opcua", "s7", "ads"), 0)
        self.changing: list[Asked] = []
        self.reported: list[Asked] = []

    def note(self, protocol: str, changing: Iterator[str] | list[str]) -> None:
        """One request."""
        self.asked[protocol] += 1
        self.changing += [(protocol, what) for what in changing]


@contextmanager
def recorded() -> Iterator[Recorded]:
    """Record what every simulator of this process is asked meanwhile."""
    found = Recorded()
    with pytest.MonkeyPatch.context() as patch:
        _modbus(found, patch)
        _s7(found, patch)
        _ads(found, patch)
        _opcua(found, patch)
        yield found


def _modbus(found: Recorded, patch: pytest.MonkeyPatch) -> None:
    plain = ModbusServer.respond

    def respond(self: Any, unit_id: int, pdu: bytes) -> Any:
        found.note("modbus", [f"function {pdu[0]}"] if pdu[0] not in MODBUS_READS else [])
        return plain(self, unit_id, pdu)

    patch.setattr(ModbusServer, "respond", respond)


def _s7(found: Recorded, patch: pytest.MonkeyPatch) -> None:
    plain = Cpu.answer

    def answer(self: Any, request: bytes, **more: Any) -> Any:
        found.note("s7", list(_s7_changes(request)))
        return plain(self, request, **more)

    patch.setattr(Cpu, "answer", answer)


def _s7_changes(request: bytes) -> Iterator[str]:
    """Jobs by function; user data by group: what a CPU is and which blocks it has."""
    if request[1] == JOB and request[10] not in S7_READS:
        yield f"function {request[10]:#x}"
    elif request[1] != JOB and request[15] & 0x0F not in S7_INFORMS:
        yield f"user data {request[15]:#x}"


def _ads(found: Recorded, patch: pytest.MonkeyPatch) -> None:
    plain = Connection._carry

    def carry(self: Any, image: Any, one: frame.Frame) -> Any:
        found.note("ads", list(_ads_changes(one.command, one.data)))
        if one.command == frame.ADD_NOTIFICATION and (group := _group(one.data)) not in WATCHED:
            found.reported.append(("ads", f"notification of {group:#x}"))
        return plain(self, image, one)

    patch.setattr(Connection, "_carry", carry)


def _group(body: bytes) -> int:
    return int.from_bytes(body[:4], "little")


def _ads_changes(command: int, body: bytes) -> Iterator[str]:
    """A client's own handles are no part of the program: taking and releasing one changes nothing."""
    if command == frame.WRITE_CONTROL:
        yield "write control"
    elif command == frame.WRITE and _group(body) != RELEASE_HANDLE:
        yield f"write of {_group(body):#x}"
    elif command == frame.READ_WRITE:
        group, count, _, given = struct.unpack_from("<IIII", body)
        yield from _read_write_changes(group, count, body[16 : 16 + given])


def _read_write_changes(group: int, count: int, data: bytes) -> Iterator[str]:
    if group == SUM_WRITE:
        items = struct.iter_unpack("<III", data[: 12 * count])
        yield from (f"sum write of {item[0]:#x}" for item in items if item[0] != RELEASE_HANDLE)
    elif group == SUM_READ_WRITE:
        items = struct.iter_unpack("<IIII", data[: 16 * count])
        yield from (f"sum read-write of {item[0]:#x}" for item in items if item[0] not in LOOK_UPS and item[3])
    elif group != SUM_READ and group not in LOOK_UPS and data:
        yield f"read-write of {group:#x}"


def _opcua(found: Recorded, patch: pytest.MonkeyPatch) -> None:
    plain = UaProcessor._process_message

    async def process(self: Any, typeid: Any, *rest: Any) -> Any:
        found.note("opcua", [str(typeid)] if typeid.Identifier in OPCUA_CHANGES else [])
        if typeid.Identifier == ua.ObjectIds.CreateMonitoredItemsRequest_Encoding_DefaultBinary:
            found.reported.append(("opcua", "monitored items"))
        return await plain(self, typeid, *rest)

    patch.setattr(UaProcessor, "_process_message", process)
