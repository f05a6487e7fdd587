"""The parts of one protocol. A driver is a folder with a `plugin.py` that makes one of these; nothing else knows its name.

Those of other packages are found by their entry points, see `docs/write-a-driver.md`.

See docs/decisions/0050.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nexus_cli.drivers.base import Driver, Opinion, Point, Request
from nexus_cli.drivers.examined import Examiner
from nexus_cli.json_value import JsonObject
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.driver_kind import DriverKind
from nexus_cli.wire.sample import Value


class Group(Protocol):
    """Joins reads. Pure, without a protocol library."""

    def __call__(self, device: DeviceConfig, points: Sequence[Point], *, fill_gaps: bool = True) -> tuple[Request, ...]:
        """See `Driver.group`."""
        ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one grouped read is on the wire.

    Attributes:
        requests: How many requests it takes.
        line_ms: Time that its bytes need on a slow line, in ms, beside the device's own; 0 on a network.
    """

    requests: int = 1
    line_ms: float = 0.0


ONE_REQUEST = Exchange()


def one_request(_device: DeviceConfig, _request: Request) -> Exchange:
    """A grouped read that is one request on a network, as of most protocols."""
    return ONE_REQUEST


class Simulator(Protocol):
    """A running simulator of one link.

    Attributes:
        host: Address it listens on.
        port: Port it listens on.
        endpoint: Where it is reached, for people.
    """

    host: str
    port: int

    @property
    def endpoint(self) -> str:
        """Where it is reached, for people."""
        ...

    def connection(self) -> JsonObject:
        """Keys of `connection:` that lead to it, in the place of the device's own."""
        ...

    def values(self, device_path: str) -> Mapping[str, Value]:
        """The raw values that a reader would get now, by tag."""
        ...

    async def close(self) -> None:
        """Stop listening and drop every client."""
        ...


class Serve(Protocol):
    """Starts a simulator."""

    async def __call__(
        self, devices: Sequence[DeviceConfig], *, host: str = "127.0.0.1", port: int = 0, seed: int = 0
    ) -> Simulator:
        """Serve the devices of one link.

        Raises:
            OSError: The address can't be had.
            ValueError: A signal can't be simulated.
        """
        ...


class Ask(Protocol):
    """Asks one address over a session of the driver's that is open already."""

    async def __call__(self, session: Any, device: DeviceConfig, point: Point, /) -> Opinion:
        """The bytes as they came, and the raw value. Raises DriverError."""
        ...


class Clients(Protocol):
    """What asks one address over a connection of its own, twice: with our client, and with a published library."""

    async def ours(self, device: DeviceConfig, point: Point, *, home: str) -> Opinion:
        """Ask with our client. Raises DriverError."""
        ...

    async def library(self, device: DeviceConfig, point: Point, *, home: str) -> Opinion:
        """Ask with the library. Raises DriverError, and what the library raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A published client of the protocol, for a second opinion.

    Attributes:
        package: Its name, e.g. `pymodbus`.
        extra: Our extra that installs it, "" when it is always installed.
        load: Imports and returns what asks with our client and with this one. Raises ModuleNotFoundError.
    """

    package: str
    load: Callable[[], Clients]
    extra: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One protocol, as its folder describes it. Making one must be cheap: libraries are imported by `driver` and `serve`.

    Attributes:
        kind: The protocol in the site language.
        group: Joins reads.
        driver: Imports and returns the driver.
        serve: Imports and returns the simulator's start; None when it has no simulator.
        ask: Imports and returns what reads one address with its bytes; None where a read gives the value alone.
        library: A published client; None when there is none.
        exchange: What one grouped read is on the wire: for the load of a link. Pure.
        examine: Imports and returns what compares the device with what is declared; None reads the addresses.
    """

    kind: DriverKind
    group: Group
    driver: Callable[[], Driver]
    serve: Callable[[], Serve] | None = None
    ask: Callable[[], Ask] | None = None
    library: Library | None = None
    exchange: Callable[[DeviceConfig, Request], Exchange] = one_request
    examine: Callable[[], Examiner] | None = None

    @property
    def name(self) -> str:
        """The value of `protocol:`."""
        return self.kind.name
