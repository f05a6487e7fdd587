"""The verb of `nexus probe`: find the registers of a known reading in a Modbus device. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from nexus_cli.diagnostics import Outcome
from nexus_cli.diagnostics.codes import finding
from nexus_cli.discover.connection_hints import unreachable
from nexus_cli.discover.probe import FUNCTIONS, Candidate, Read, default_tolerance
from nexus_cli.discover.probe import probe as match_registers
from nexus_cli.discover.target import parse_target
from nexus_cli.drivers.base import CannotAsk, DriverError, Scope
from nexus_cli.drivers.modbus.address import parse_address
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.groups import unit_of
from nexus_cli.drivers.modbus.kind import KIND
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.driver_kind import AddressError
from nexus_cli.settings import Settings

RegisterBytes: TypeAlias = dict[tuple[int, int], bytes]
"""Two bytes by function and register."""
MOST_REGISTERS = 100
"""In one read; devices with a smaller limit take only a few."""


@dataclass(slots=True, kw_only=True)
class Second:
    """Registers as a published library read them.

    Attributes:
        client: Package and version.
        registers: Compared.
        differ: First register and bytes of both, as hex, where they are not the same; for people.
        unable: Why the library has no way to ask; "" when it has.
    """

    client: str
    registers: int = 0
    differ: list[str] = field(default_factory=list)
    unable: str = ""

    def compare(self, ours: RegisterBytes, theirs: RegisterBytes) -> None:
        """Store the values of both clients, by function and register."""
        for function, register in sorted(ours.keys() & theirs.keys()):
            self.registers += 1
            one, other = ours[function, register], theirs[function, register]
            if one != other:
                self.differ.append(f"FC{function} {register}: nexus {one.hex(' ')}, {self.client} {other.hex(' ')}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """The value to look for, and the addresses to try.

    Attributes:
        device: The Modbus device.
        areas: Register areas, the one of the address first.
        register: Zero-based register in the middle.
        written: The area as it was written.
        tolerance: Largest absolute difference to what is expected.
    """

    device: DeviceConfig
    areas: tuple[str, ...]
    register: int
    written: str
    tolerance: float


async def probe(
    target: str,
    *,
    address: str,
    expected: float,
    tolerance: str,
    around: int,
    settings: Settings,
    second: Second | None = None,
) -> Outcome[list[Candidate]]:
    """Try every area, base, type, byte order and scale around an address.

    Args:
        target: `modbus://host?unit=3`.
        address: Any dialect of the site language.
        expected: What the device's display shows.
        tolerance: A number, a percentage such as `2%`, or "" for the default.
        around: RegisterBytes to read on either side.
        settings: For the home folder.
        second: Given, the same registers are read once more by pymodbus, and compared here.

    Raises:
        NexusError: NX6602, the device does not answer.
    """
    device = _device(target)
    if device.value is None:
        return Outcome(None, device.findings)
    search = _search(device.value, address, expected, tolerance)
    if search.value is None:
        return Outcome(None, search.findings)
    wanted = search.value
    ours: RegisterBytes = {}
    try:
        found, refused = await _read_and_match(wanted, expected=expected, around=around, settings=settings, seen=ours)
    except DriverError as error:
        raise unreachable(error, KIND.name) from None
    if second is not None:
        await _second(second, wanted.device.connection, ours)
    return Outcome(found) if found else _nothing(wanted, expected, refused)


def _device(target: str) -> Outcome[DeviceConfig]:
    """The one Modbus device of an address; no value with NX6600 or NX6601."""
    if "://" not in target:
        host = target.strip().lstrip("/") or "10.0.0.9"
        line = target.startswith("/dev/")
        hint = f"modbus:///{host}?unit=1&baudrate=9600" if line else f"modbus://{host}?unit=1"
        return Outcome(None, (finding("NX6600", f"'{target}' names no protocol", hint=hint),))
    made = parse_target(target, kinds())
    if made.value is None:
        return Outcome(None, made.findings)
    device = made.value.device
    if made.value.protocol != KIND.name or device is None:
        hint = "the other protocols describe their values: nexus discover"
        return Outcome(None, (finding("NX6600", f"'{target}' is not a Modbus device", hint=hint),))
    if made.value.units:
        return Outcome(None, (finding("NX6600", "a range of units can't be probed", hint="one of them: ?unit=3"),))
    return Outcome(device)


def _search(device: DeviceConfig, address: str, expected: float, tolerance: str) -> Outcome[_Search]:
    """Address and tolerance as a person wrote them; no value with NX6600."""
    try:
        text = f"holding:{address}" if address.isdecimal() and len(address) < 5 else address
        written = parse_address(text, base=device.connection.get("base", 0))
        limit = _tolerance(tolerance, expected) if tolerance else default_tolerance(expected)
    except (AddressError, ValueError) as error:
        return Outcome(None, (finding("NX6600", f"{error}", hint="--address holding:100, --tolerance 0.5 or 2%"),))
    first = written.area if written.area in FUNCTIONS else "holding"
    areas = (first, *(area for area in FUNCTIONS if area != first))
    return Outcome(_Search(device=device, areas=areas, register=written.offset, tolerance=limit, written=written.area))


async def _read_and_match(
    wanted: _Search, *, expected: float, around: int, settings: Settings, seen: RegisterBytes
) -> tuple[list[Candidate], list[str]]:
    """Candidates and refused registers; what was read goes to `seen`. Raises DriverError."""
    unit = unit_of(wanted.device.connection)
    session = await DRIVER.connect([wanted.device], home=str(settings.home))

    async def read(function: int, start: int, count: int) -> bytes:
        return await session.registers(start, count, unit=unit, function=function)

    try:
        return await match_registers(
            _noting(seen, read),
            address=wanted.register,
            areas=wanted.areas,
            expected=expected,
            tolerance=wanted.tolerance,
            around=around,
        )
    finally:
        await session.close()


def _nothing(wanted: _Search, expected: float, refused: Sequence[str]) -> Outcome[list[Candidate]]:
    message = f"nothing within {wanted.tolerance:g} of {expected:g} near {wanted.written}:{wanted.register}"
    hint = "--tolerance 2%, --around 20, or read the display again"
    if refused:
        hint += f"; the device has no {', '.join(refused[:5])}" + (" …" if len(refused) > 5 else "")
    return Outcome([], (finding("NX6620", message, hint=hint),))


def _noting(seen: RegisterBytes, read: Read) -> Read:
    """Store the values read, by function and register."""

    async def noted(function: int, start: int, count: int) -> bytes:
        data = await read(function, start, count)
        for at in range(count):
            seen[function, start + at] = data[2 * at : 2 * at + 2]
        return data

    return noted


async def _second(second: Second, connection: Mapping[str, Any], ours: RegisterBytes) -> None:
    try:
        second.compare(ours, await _by_library(connection, ours))
    except CannotAsk as error:
        second.unable = str(error)


async def _by_library(connection: Mapping[str, Any], ours: RegisterBytes) -> RegisterBytes:
    """The same registers, read in the longest possible runs, without those that the library can't read."""
    from nexus_cli.drivers.modbus.opinion import Registers  # noqa: PLC0415 - pymodbus: only as a second opinion

    found: RegisterBytes = {}
    unit = unit_of(connection)
    try:
        async with Registers(connection) as client:

            async def by_pymodbus(function: int, start: int, count: int) -> bytes:
                return await client.read(function, start, count, unit=unit)

            read = _noting(found, by_pymodbus)
            for function, start, count in _runs(sorted(ours)):
                try:
                    await read(function, start, count)
                except DriverError as error:
                    if error.scope is Scope.SESSION:
                        raise
    except DriverError as error:
        raise unreachable(error, KIND.name) from None
    return found


def _runs(places: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    runs: list[tuple[int, int, int]] = []
    for function, register in places:
        if runs and runs[-1][0] == function and runs[-1][1] + runs[-1][2] == register and runs[-1][2] < MOST_REGISTERS:
            runs[-1] = (function, runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((function, register, 1))
    return runs


def _tolerance(text: str, expected: float) -> float:
    number = text.strip()
    value = abs(expected) * float(number[:-1]) / 100 if number.endswith("%") else float(number)
    if value < 0:
        raise ValueError(f"a tolerance of {text} is not possible")
    return value
