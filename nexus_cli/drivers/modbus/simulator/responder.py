"""What a simulated unit answers to one request: from PDU to PDU, pure.

Source: Modbus Application Protocol V1.1b3 §6 (functions), §7 (exception codes).
"""

from __future__ import annotations

import struct

from nexus_cli.drivers.modbus.connection import MAX_READ, MAX_READ_BITS, MAX_WRITE
from nexus_cli.drivers.modbus.simulator.identity import identification
from nexus_cli.drivers.modbus.simulator.memory import ILLEGAL_FUNCTION, ILLEGAL_VALUE, Unit
from nexus_cli.drivers.simulation.memory import Refused

READS = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
MAX_WRITE_BITS = 1968
_ON, _OFF = 0xFF00, 0x0000


def answer(unit: Unit, pdu: bytes, *, t_s: float) -> bytes:
    """The response PDU, an exception response included."""
    function = pdu[0] if pdu else 0
    if unit.failure:
        return bytes((function | 0x80, unit.failure))
    try:
        if function in READS:
            return _read(unit, function, pdu, t_s)
        if function in (5, 6, 15, 16, 22):
            return _write(unit, function, pdu, t_s)
        if function == 43:
            return _identity(unit, pdu)
        raise Refused(ILLEGAL_FUNCTION)
    except Refused as refused:
        return bytes((function | 0x80, refused.code))
    except (struct.error, IndexError):
        return bytes((function | 0x80, ILLEGAL_VALUE))


def _limit(unit: Unit, key: str, most: int) -> int:
    value = unit.limits.get(key)
    return min(most, value) if isinstance(value, int) and value else most


def _read(unit: Unit, function: int, pdu: bytes, t_s: float) -> bytes:
    start, count = struct.unpack(">HH", pdu[1:5])
    in_bits = function in (1, 2)
    most = _limit(unit, "max_read_bits", MAX_READ_BITS) if in_bits else _limit(unit, "max_read", MAX_READ)
    if not 1 <= count <= most:
        raise Refused(ILLEGAL_VALUE)
    view = unit.area(READS[function]).view(start, count, t_s=t_s)
    data = _pack_bits(view) if in_bits else bytes(view)
    return bytes((function, len(data))) + data


def _pack_bits(view: memoryview) -> bytes:
    packed = 0
    for place, bit in enumerate(view):
        if bit:
            packed |= 1 << place
    return packed.to_bytes(-(-len(view) // 8), "little")


def _write(unit: Unit, function: int, pdu: bytes, t_s: float) -> bytes:
    _refuse_unknown(unit, function)
    if function in (5, 6):
        address, value = struct.unpack(">HH", pdu[1:5])
        if function == 6:
            unit.area("holding").write(address, value.to_bytes(2, "big"))
        elif value in (_ON, _OFF):
            unit.area("coil").write(address, bytes((value == _ON,)))
        else:
            raise Refused(ILLEGAL_VALUE)
        return pdu[:5]
    if function == 22:
        address, and_mask, or_mask = struct.unpack(">HHH", pdu[1:7])
        area = unit.area("holding")
        current = int.from_bytes(area.view(address, 1, t_s=t_s), "big")
        area.write(address, (current & and_mask | or_mask & ~and_mask & 0xFFFF).to_bytes(2, "big"))
        return pdu[:7]
    start, count, size = struct.unpack(">HHB", pdu[1:6])
    data = pdu[6 : 6 + size]
    most = MAX_WRITE_BITS if function == 15 else _limit(unit, "max_write", MAX_WRITE)
    expected = -(-count // 8) if function == 15 else count * 2
    if not 1 <= count <= most or size != expected or len(data) != size:
        raise Refused(ILLEGAL_VALUE)
    if function == 15:
        packed = int.from_bytes(data, "little")
        unit.area("coil").write(start, bytes(packed >> place & 1 for place in range(count)))
    else:
        unit.area("holding").write(start, data)
    return pdu[:5]


def _identity(unit: Unit, pdu: bytes) -> bytes:
    answer = identification(unit.identity, pdu)
    if isinstance(answer, int):
        raise Refused(answer)
    return answer


def _refuse_unknown(unit: Unit, function: int) -> None:
    """Devices that know only one way of writing are common; the connection says which this one is."""
    ways, bits = unit.limits.get("write_function"), unit.limits.get("bit_write")
    unknown = (15, 16) if ways == "single" else (5, 6) if ways == "multiple" else ()
    if function in unknown or (function == 22 and bits == "read-modify-write"):
        raise Refused(ILLEGAL_FUNCTION)
