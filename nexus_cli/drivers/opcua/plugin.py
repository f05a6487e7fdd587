"""OPC UA as a plug-in: what gateway, plan and checks know of this folder (`discover` and `project` import more). Libraries are imported when they are needed."""

from __future__ import annotations

from nexus_cli.drivers.base import Driver
from nexus_cli.drivers.examined import Examiner
from nexus_cli.drivers.opcua.groups import group
from nexus_cli.drivers.opcua.kind import KIND
from nexus_cli.drivers.plugin import Ask, Clients, Library, Plugin, Serve


def _driver() -> Driver:
    from nexus_cli.drivers.opcua.driver import DRIVER

    return DRIVER


def _serve() -> Serve:
    from nexus_cli.drivers.opcua.simulator import serve

    return serve


def _ask() -> Ask:
    from nexus_cli.drivers.opcua.driver import DRIVER

    return DRIVER.ask


def _examine() -> Examiner:
    from nexus_cli.drivers.opcua.examine import EXAMINER

    return EXAMINER


def _clients() -> Clients:
    from nexus_cli.drivers.opcua import opinion

    return opinion


PLUGIN = Plugin(
    kind=KIND,
    group=group,
    driver=_driver,
    serve=_serve,
    ask=_ask,
    examine=_examine,
    library=Library(package="asyncua", load=_clients),
)
