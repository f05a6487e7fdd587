"""One address asked now over an open session: the bytes as they came, and what the driver makes of them."""

from __future__ import annotations

from nexus_cli.drivers.base import Fault, Opinion, Point, Request
from nexus_cli.drivers.modbus.groups import Block, group
from nexus_cli.drivers.modbus.session import ModbusSession
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Value


async def asked(session: ModbusSession, device: DeviceConfig, point: Point) -> Opinion:
    """Ask the device. Raises DriverError."""
    request, block = request_of(device, point)
    raw = await session.registers(block.start, block.count, unit=block.unit_id, function=block.function)
    if block.scales:  # the factor lies elsewhere: the read that knows of it gives the value
        found = await session.read(request)
        value, fault = found.values[0], found.faults.get(0)
    else:
        value, fault = decoded(block, raw)
    return Opinion(asked=request.text, data=raw, value=value, fault=fault)


def decoded(block: Block, raw: bytes) -> tuple[Value, Fault | None]:
    """The value of a block with one point."""
    if block.registers is not None:
        values, faults = block.registers(raw)
        return values[0], faults.get(0)
    assert block.bits is not None
    packed = int.from_bytes(raw, "little")
    return block.bits([bool(packed >> place & 1) for place in range(block.count)])[0], None


def request_of(device: DeviceConfig, point: Point) -> tuple[Request, Block]:
    """The read of one point, and its block."""
    (request,) = group(device, [point])
    block: Block = request.detail
    return request, block
