"""The drivers there are: a literal table. Kinds are pure and cheap; drivers and simulators load on demand."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from nexus_cli.drivers.base import Driver
from nexus_cli.drivers.door import guarded
from nexus_cli.model.driver_kind import DriverKind

KINDS: dict[str, str] = {
    "modbus": "nexus_cli.drivers.modbus.kind:KIND",
    "opcua": "nexus_cli.drivers.opcua.kind:KIND",
    "s7": "nexus_cli.drivers.s7.kind:KIND",
    "ads": "nexus_cli.drivers.ads.kind:KIND",
}
DRIVERS: dict[str, str] = {
    "modbus": "nexus_cli.drivers.modbus.driver:DRIVER",
    "opcua": "nexus_cli.drivers.opcua.driver:DRIVER",
    "ads": "nexus_cli.drivers.ads.driver:DRIVER",
    "s7": "nexus_cli.drivers.s7.driver:DRIVER",
}
SIMULATORS: dict[str, str] = {
    "modbus": "nexus_cli.drivers.modbus.simulator:serve",
    "opcua": "nexus_cli.drivers.opcua.simulator:serve",
    "ads": "nexus_cli.drivers.ads.simulator:serve",
    "s7": "nexus_cli.drivers.s7.simulator:serve",
}


def _load(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


@cache
def kinds() -> dict[str, DriverKind]:
    """Every protocol that the site language knows, by name, `external` apart."""
    return {name: _load(target) for name, target in KINDS.items()}


@cache
def driver(name: str) -> Driver:
    """The driver of a protocol, behind the door; imports its library.

    Raises:
        KeyError: There is none (yet).
    """
    return guarded(_load(DRIVERS[name]))


def simulator(name: str) -> Any:
    """The simulator of a protocol: `async serve(devices, *, signals, host, port) -> SimulatorServer`."""
    return _load(SIMULATORS[name])
