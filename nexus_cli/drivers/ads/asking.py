"""One address asked now over an open session: the bytes as they came, and what the driver makes of them."""

from __future__ import annotations

from nexus_cli.drivers.ads.channel import sum_body
from nexus_cli.drivers.ads.read_plan import targets_of
from nexus_cli.drivers.ads.session import AdsSession
from nexus_cli.drivers.base import DriverError, Fault, Opinion, Point, Scope
from nexus_cli.model.config import DeviceConfig


async def asked(session: AdsSession, device: DeviceConfig, point: Point) -> Opinion:
    """Ask the device. Raises DriverError."""
    plc = session.plc_of(device.path)
    await plc.ready()
    (target,) = await targets_of(plc, [point])
    if isinstance(target, Fault):
        return Opinion(asked=point.address, fault=target, problem=f"{target.reason.value}")
    data = await plc.read((target.item,), sum_body((target.item,)), f"read {point.address}")
    code, raw = int.from_bytes(data[:4], "little"), data[4:]
    if code:
        raise DriverError(f"{point.address}: ADS error 0x{code:x}", scope=Scope.ITEM, code=code)
    return Opinion(
        asked=f"group 0x{target.item.group:x} offset {target.item.offset}, {len(raw)} bytes",
        data=raw,
        value=target.codec.decode(raw),
        detail=target.codec,
    )
