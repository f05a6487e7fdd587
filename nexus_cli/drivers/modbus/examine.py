"""A unit as it is now: which of its registers it refuses, and its identification (FC43/14). Reads alone.

Source: Modbus Application Protocol V1.1b3 §6.21 (identification), §7 (exception 2: illegal data address).
"""

from __future__ import annotations

from collections.abc import Mapping

from nexus_cli.drivers.examined import ReadExaminer
from nexus_cli.drivers.modbus.browse import identification
from nexus_cli.drivers.modbus.groups import group, unit_of
from nexus_cli.drivers.modbus.session import ModbusSession
from nexus_cli.model.config import DeviceConfig


class ModbusExaminer(ReadExaminer):
    """Reads registers without a gap between them, so that a hole of the map is no finding."""

    def __init__(self) -> None:
        """See `ReadExaminer`."""
        super().__init__(lambda device, points: group(device, points, fill_gaps=False))

    async def identity(self, session: ModbusSession, device: DeviceConfig, /) -> Mapping[str, str]:
        """Vendor, product and revision; empty for the many devices that have none. Raises DriverError."""
        return await identification(session, unit=unit_of(device.connection))


EXAMINER = ModbusExaminer()
