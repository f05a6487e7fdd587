"""What one client made of one address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from nexus_cli.drivers.base import DriverError, Fault, Point
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason, Value

NEXUS, LIBRARY = "nexus", "library"
LIBRARIES = {"modbus": "pymodbus", "s7": "python-snap7", "ads": "pyads", "opcua": "asyncua"}
"""Package by protocol."""
EXTRAS = {"python-snap7": "second-opinion", "pyads": "ads"}
"""Extra of ours that brings a package which is not always installed."""


class CannotAsk(Exception):
    """The library has no way to ask this, whatever the device would answer; the text says what it lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One answer.

    Attributes:
        client: `nexus`, or package and version, e.g. `pymodbus 3.11.2`.
        asked: What went out, in words.
        data: The value's bytes as they came; empty where there was no answer.
        value: What it made of them, before scale and unit.
        fault: Why there is no good value; None when there is one.
        decoded_here: True where the library gave bytes, and its own words for a value end there: then the value is
            our decoder's.
        problem: What went wrong, in words; "" when there was an answer.
        unable: True where the library has no way to ask: then there is no second opinion, and no disagreement.
    """

    client: str
    asked: str = ""
    data: bytes = b""
    value: Value = None
    fault: Fault | None = None
    decoded_here: bool = False
    problem: str = ""
    unable: bool = False
    more: dict[str, Any] = field(default_factory=dict)


Ask = Callable[..., Awaitable[Opinion]]


async def ask(client: str, device: DeviceConfig, point: Point, *, home: str) -> Opinion:
    """Ask an address now; what goes wrong is part of the answer, so that the other one can still be shown.

    Args:
        client: `nexus` or `library`.
        device: With its connection; references are resolved from the environment.
        point: Address and type.
        home: The `.nexus` folder, for OPC UA's certificates.
    """
    name = named(client, device.protocol)
    try:
        module = import_module(f"nexus_cli.drivers.opinion.{device.protocol}")
        function: Ask = module.ours if client == NEXUS else module.library
        found: Opinion = await function(device, point, home=home)
    except ModuleNotFoundError as error:
        package = LIBRARIES.get(device.protocol, "")
        extra = f"pip install 'nexus-cli[{EXTRAS[package]}]'" if package in EXTRAS else f"pip install {package}"
        return Opinion(client=name, problem=f"{package} is not installed: {extra} ({error.name} is missing)")
    except CannotAsk as error:
        return Opinion(client=name, problem=f"the library can't ask this: {error}", unable=True)
    except DriverError as error:
        return Opinion(client=name, problem=error.message, fault=Fault(error.reason, error.code))
    except TimeoutError:
        return Opinion(client=name, problem="no answer in time", fault=Fault(Reason.DEVICE_TIMEOUT))
    except Exception as error:  # noqa: BLE001 - a foreign library raises what it likes, and its words are the answer
        words = " ".join(str(error).split())[:300]
        return Opinion(client=name, problem=f"{type(error).__name__}: {words}" if words else type(error).__name__)
    return found


def named(client: str, protocol: str) -> str:
    """`nexus`, or the library of a protocol with its version."""
    if client == NEXUS:
        return NEXUS
    package = LIBRARIES.get(protocol, protocol)
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package
