"""One address asked now over an open session: the bytes as they came, and what the driver makes of them."""

from __future__ import annotations

from nexus_cli.drivers.base import Fault, Opinion, Point
from nexus_cli.drivers.s7.groups import Block, group
from nexus_cli.drivers.s7.pdu import OK
from nexus_cli.drivers.s7.session import S7Session
from nexus_cli.drivers.s7.status import reason_of
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Value


async def asked(session: S7Session, device: DeviceConfig, point: Point) -> Opinion:
    """Ask the device. Raises DriverError."""
    (request,) = group(device, [point])
    block: Block = request.detail
    parts = block.parts(session.pdu) if block.long else list(block.items)
    answers = [answer for part in parts for answer in await session.fetch((part,))]
    code = next((code for code, _ in answers if code != OK), OK)
    if code != OK:
        return Opinion(asked=request.text, fault=Fault(reason_of(code), code), problem=f"refused, code {code}")
    raw = b"".join(data for _, data in answers)
    value, fault = decoded(block, raw)
    return Opinion(asked=request.text, data=raw, value=value, fault=fault)


def decoded(block: Block, raw: bytes) -> tuple[Value, Fault | None]:
    """The value of a block with one point."""
    values, faults = block.image()(raw)
    return values[0], faults.get(0)
