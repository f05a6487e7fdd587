"""Modbus as a plug-in: what gateway, plan and checks know of this folder (`discover` and `project` import more). Libraries are imported when they are needed."""

from __future__ import annotations

from nexus_cli.drivers.base import Driver
from nexus_cli.drivers.examined import Examiner
from nexus_cli.drivers.modbus.groups import group
from nexus_cli.drivers.modbus.kind import KIND
from nexus_cli.drivers.modbus.line_time import exchange
from nexus_cli.drivers.plugin import Ask, Clients, Library, Plugin, Serve


def _driver() -> Driver:
    from nexus_cli.drivers.modbus.driver import DRIVER

    return DRIVER


def _serve() -> Serve:
    from nexus_cli.drivers.modbus.simulator import serve

    return serve


def _ask() -> Ask:
    from nexus_cli.drivers.modbus.driver import DRIVER

    return DRIVER.ask


def _examine() -> Examiner:
    from nexus_cli.drivers.modbus.examine import EXAMINER

    return EXAMINER


def _clients() -> Clients:
    from nexus_cli.drivers.modbus import opinion

    return opinion


PLUGIN = Plugin(
    kind=KIND,
    group=group,
    driver=_driver,
    serve=_serve,
    ask=_ask,
    library=Library(package="pymodbus", load=_clients),
    exchange=exchange,
    examine=_examine,
)
