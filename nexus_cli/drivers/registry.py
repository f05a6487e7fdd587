"""The drivers there are: four of our own, and those of installed packages with an entry point in the group `nexus.drivers`."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from nexus_cli.drivers.ads.plugin import PLUGIN as ADS
from nexus_cli.drivers.base import Driver
from nexus_cli.drivers.door import guarded
from nexus_cli.drivers.modbus.plugin import PLUGIN as MODBUS
from nexus_cli.drivers.opcua.plugin import PLUGIN as OPCUA
from nexus_cli.drivers.plugin import Plugin, Serve
from nexus_cli.drivers.s7.plugin import PLUGIN as S7
from nexus_cli.model.driver_kind import DriverKind

BUILT_IN = (MODBUS, OPCUA, S7, ADS)
ENTRY_POINTS = "nexus.drivers"


@cache
def _found() -> tuple[dict[str, Plugin], dict[str, str]]:
    """Plug-ins by protocol, and what is wrong with those that could not be taken."""
    plugins = {one.name: one for one in BUILT_IN}
    broken: dict[str, str] = {}
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda one: one.name):
        problem = _take(entry, plugins)
        if problem and entry.name not in plugins:  # a protocol that has a driver works without this one
            broken[entry.name] = problem
    return plugins, broken


def _take(entry: EntryPoint, plugins: dict[str, Plugin]) -> str:
    """Add what an entry point names; why not, where it can't be."""
    package = entry.dist.name if entry.dist is not None else entry.module
    try:
        plugin = entry.load()
    except Exception as error:  # noqa: BLE001 - the code of another package: whatever it raises is its problem alone
        return f"the driver '{entry.name}' of the package {package} can't be imported ({type(error).__name__}: {error})"
    if not isinstance(plugin, Plugin):
        return f"the driver '{entry.name}' of the package {package} is a {type(plugin).__name__}, not a Plugin"
    if plugin.name != entry.name:
        return f"the entry point '{entry.name}' of the package {package} brings a driver for '{plugin.name}'"
    if plugin.name in plugins:
        return f"the package {package} brings a driver for '{entry.name}', which has one already"
    plugins[plugin.name] = plugin
    return ""


def plugin(name: str) -> Plugin:
    """The plug-in of a protocol.

    Raises:
        KeyError: There is none; the message says why where a package has a broken one.
    """
    plugins, broken = _found()
    if name not in plugins and name in broken:
        raise KeyError(broken[name])
    return plugins[name]


def protocols() -> tuple[str, ...]:
    """Every protocol that has a driver; ours come first."""
    return tuple(_found()[0])


def broken() -> dict[str, str]:
    """Faults of drivers of other packages that could not be loaded, by their name."""
    return dict(_found()[1])


@cache
def kinds() -> dict[str, DriverKind]:
    """Every protocol that the site language knows, by name, `external` apart."""
    return {name: one.kind for name, one in _found()[0].items()}


@cache
def driver(name: str) -> Driver:
    """The driver of a protocol, behind the door; imports its library.

    Raises:
        KeyError: There is none.
    """
    return guarded(plugin(name).driver())


def simulator(name: str) -> Serve | None:
    """Starts the simulator of a protocol; None when it has none."""
    serve = plugin(name).serve
    return serve() if serve is not None else None
