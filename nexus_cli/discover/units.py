"""Search a bus for Modbus units: ask one unit id after the other, and note what each answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from msgspec.structs import replace

from nexus_cli.discover.facts import UnitFound
from nexus_cli.discover.found import Discovery, Skipped
from nexus_cli.discover.online import OnProgress, Progress
from nexus_cli.discover.target import Target
from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.drivers.modbus.browse import find_marker, identification
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.session import ModbusSession
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.failure_kind import FailureKind

TIMEOUT_MS = 300
"""Longest wait for a unit without a `timeout`: an answer of a few registers takes 30 ms at 9,600 baud, and most devices
begin it within 100 ms."""
LINK_KEYS = frozenset(("host", "port", "serial", "unit_id"))
"""Keys that are in the address, or that differ by unit."""


async def ask_units(target: Target, *, home: str, stop: asyncio.Event, on_progress: OnProgress) -> Discovery:
    """Ask each unit of a target.

    Args:
        target: With `units`.
        home: The `.nexus` folder.
        stop: Ends the round; what was found so far is kept.
        on_progress: Progress.

    Returns:
        `facts["units"]`: unit, identity and `sunspec` of those that answer; the others are skipped, with the reason.

    Raises:
        DriverError: The link can't be opened.
    """
    assert target.device is not None
    own_ms = target.device.connection.get("timeout") if "timeout" in target.connection else None
    timeout_ms = TIMEOUT_MS if own_ms is None else int(own_ms)
    devices = [_device(target.device, unit, timeout_ms) for unit in target.units]
    discovery = Discovery(protocol=target.protocol, connection=dict(target.connection), source=target.text)
    found: list[UnitFound] = []
    keys = {key: value for key, value in target.connection.items() if key not in LINK_KEYS}
    discovery.facts.update(
        {
            "target": target.text,
            "units": found,
            "asked": 0,
            "complete": False,
            "timeout_ms": timeout_ms,
            "keys": keys,
        }
    )
    bus = _Bus(devices, home)
    began_s = time.monotonic()
    await bus.open()
    try:
        for unit in target.units:
            on_progress(
                Progress(
                    len(found), len(discovery.skipped), len(target.units) - discovery.facts["asked"], f"unit {unit}"
                )
            )
            if stop.is_set():
                discovery.facts["ended"] = f"interrupted before unit {unit}"
                break
            silence = await bus.ask(unit)
            discovery.facts["asked"] += 1
            if silence:
                discovery.skipped.append(Skipped(f"unit {unit}", silence))
            else:
                found.append(await bus.about(unit))
    finally:
        await bus.close()
    discovery.facts["seconds"] = round(time.monotonic() - began_s, 3)
    return discovery


def _device(device: DeviceConfig, unit: int, timeout_ms: int) -> DeviceConfig:
    connection = {**device.connection, "unit_id": unit, "timeout": timeout_ms}
    return replace(device, path=f"{device.path}-{unit}", connection=connection)


class _Bus:
    """One link that is opened again when a unit's silence, or a serial server, closed it."""

    def __init__(self, devices: Sequence[DeviceConfig], home: str) -> None:
        self._devices, self._home = devices, home
        self._session: ModbusSession | None = None

    async def open(self) -> ModbusSession:
        """The session. Raises DriverError."""
        if self._session is None:
            self._session = await DRIVER.connect(self._devices, home=self._home)
        return self._session

    async def close(self) -> None:
        """End the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(self, unit: int) -> str:
        """Why a unit does not answer, "" when it does. An exception is an answer too. Raises DriverError."""
        for last in (False, True):
            session = await self.open()
            try:
                await session.registers(0, 1, unit=unit)
            except DriverError as error:
                if error.scope is Scope.SESSION:
                    await self.close()
                    if not last:
                        continue
                    return error.message
                if error.kind is FailureKind.UNIT_UNREACHABLE:
                    return "no device behind the serial server answers"
                return "no answer in time" if error.scope is Scope.DEVICE and not error.code else ""
            return ""
        return ""

    async def about(self, unit: int) -> UnitFound:
        """Its identification. Raises DriverError."""
        found: UnitFound = {"unit": unit, "identity": {}, "sunspec": False}
        try:
            found["identity"] = await identification(await self.open(), unit=unit)
            found["sunspec"] = await find_marker(await self.open(), unit=unit) is not None
        except DriverError as error:
            if error.scope is Scope.SESSION:
                await self.close()
        return found
