"""Siemens S7 as a plug-in: the one module of this folder that the rest of NEXUS knows. Libraries are imported when they are needed."""

from __future__ import annotations

from nexus_cli.drivers.base import Driver
from nexus_cli.drivers.examined import Examiner
from nexus_cli.drivers.plugin import Ask, Clients, Library, Plugin, Serve
from nexus_cli.drivers.s7.groups import exchange, group
from nexus_cli.drivers.s7.kind import KIND


def _driver() -> Driver:
    from nexus_cli.drivers.s7.driver import DRIVER

    return DRIVER


def _serve() -> Serve:
    from nexus_cli.drivers.s7.simulator import serve

    return serve


def _ask() -> Ask:
    from nexus_cli.drivers.s7.driver import DRIVER

    return DRIVER.ask


def _examine() -> Examiner:
    from nexus_cli.drivers.s7.examine import EXAMINER

    return EXAMINER


def _clients() -> Clients:
    from nexus_cli.drivers.s7 import opinion

    return opinion


PLUGIN = Plugin(
    kind=KIND,
    group=group,
    driver=_driver,
    serve=_serve,
    ask=_ask,
    examine=_examine,
    library=Library(package="python-snap7", extra="second-opinion", load=_clients),
    exchange=exchange,
)
