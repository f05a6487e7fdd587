"""A second opinion: one address asked now, by our own client and by a published library, each with its bytes.

For an engineer who doubts a value. Both ask over a connection of their own, one after the other, so a value that moves
may differ between them; a constant value that differs is a fault of one of the two.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

from nexus_cli.drivers.base import CannotAsk, DriverError, Fault, Opinion, Point
from nexus_cli.drivers.registry import plugin
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason

NEXUS, LIBRARY = "nexus", "library"


async def ask(client: str, device: DeviceConfig, point: Point, *, home: str) -> Opinion:
    """Ask an address now; what goes wrong is part of the answer, so that the other one can still be shown.

    Args:
        client: `nexus` or `library`.
        device: With its connection; references are resolved from the environment.
        point: Address and type.
        home: The `.nexus` folder, for OPC UA's certificates.
    """
    library = plugin(device.protocol).library
    name = named(client, device.protocol)
    if library is None:
        return Opinion(client=name, problem=f"nothing here can ask a device of '{device.protocol}'")
    try:
        clients = library.load()
        asked = clients.ours if client == NEXUS else clients.library
        found = await asked(device, point, home=home)
    except ModuleNotFoundError as error:
        extra = f"'nexus-cli[{library.extra}]'" if library.extra else library.package
        problem = f"{library.package} is not installed: pip install {extra} ({error.name} is missing)"
        return Opinion(client=name, problem=problem)
    except CannotAsk as error:
        return Opinion(client=name, problem=f"the library can't ask this: {error}", unable=True)
    except DriverError as error:
        return Opinion(client=name, problem=error.message, fault=Fault(error.reason, error.code))
    except TimeoutError:
        return Opinion(client=name, problem="no answer in time", fault=Fault(Reason.DEVICE_TIMEOUT))
    except Exception as error:  # noqa: BLE001 - a foreign library may raise anything, and its message is the answer
        words = " ".join(str(error).split())[:300]
        return Opinion(client=name, problem=f"{type(error).__name__}: {words}" if words else type(error).__name__)
    return replace(found, client=name)


def named(client: str, protocol: str) -> str:
    """`nexus`, or the library of a protocol with its version."""
    if client == NEXUS:
        return NEXUS
    library = plugin(protocol).library
    package = library.package if library is not None else protocol
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package
