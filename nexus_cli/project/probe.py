"""The verb of `nexus probe`: find where a known reading stands in a Modbus device. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nexus_cli.diagnostics import Outcome
from nexus_cli.diagnostics.codes import finding
from nexus_cli.discover.connection_hints import unreachable
from nexus_cli.discover.probe import FUNCTIONS, Candidate, Read, default_tolerance
from nexus_cli.discover.probe import probe as search
from nexus_cli.discover.target import parse_target
from nexus_cli.drivers.base import CannotAsk, DriverError, Scope
from nexus_cli.drivers.modbus.address import parse_address
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.groups import unit_of
from nexus_cli.drivers.modbus.kind import KIND
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.driver_kind import AddressError
from nexus_cli.settings import Settings

MOST_REGISTERS = 100
"""In one read: every device takes so many that takes more than a few."""


@dataclass(slots=True, kw_only=True)
class Second:
    """What a published library read of the same registers.

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

    def compare(self, ours: Mapping[tuple[int, int], bytes], theirs: Mapping[tuple[int, int], bytes]) -> None:
        """Take note of what both read, by function and register."""
        for function, register in sorted(ours.keys() & theirs.keys()):
            self.registers += 1
            one, other = ours[function, register], theirs[function, register]
            if one != other:
                self.differ.append(f"FC{function} {register}: nexus {one.hex(' ')}, {self.client} {other.hex(' ')}")


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
        around: Registers to look at on either side.
        settings: For the home folder.
        second: Given, the same registers are read once more by pymodbus, and compared here.

    Raises:
        NexusError: NX6602, the device does not answer.
    """
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
    try:
        text = f"holding:{address}" if address.isdecimal() and len(address) < 5 else address
        written = parse_address(text, base=device.connection.get("base", 0))
        limit = _tolerance(tolerance, expected) if tolerance else default_tolerance(expected)
    except (AddressError, ValueError) as error:
        return Outcome(None, (finding("NX6600", f"{error}", hint="--address holding:100, --tolerance 0.5 or 2%"),))
    first = written.area if written.area in FUNCTIONS else "holding"
    unit = unit_of(device.connection)
    ours: dict[tuple[int, int], bytes] = {}
    try:
        session = await DRIVER.connect([device], home=str(settings.home))
        try:
            found, refused = await search(
                _noting(
                    ours, lambda function, start, count: session.registers(start, count, unit=unit, function=function)
                ),
                address=written.offset,
                areas=[first, *(area for area in FUNCTIONS if area != first)],
                expected=expected,
                tolerance=limit,
                around=around,
            )
        finally:
            await session.close()
    except DriverError as error:
        raise unreachable(error, KIND.name) from None
    if second is not None:
        await _second(second, device.connection, ours, unit)
    if found:
        return Outcome(found)
    message = f"nothing within {limit:g} of {expected:g} near {written.area}:{written.offset}"
    hint = "--tolerance 2%, --around 20, or read the display again"
    if refused:
        hint += f"; the device has no {', '.join(refused[:5])}" + (" …" if len(refused) > 5 else "")
    return Outcome([], (finding("NX6620", message, hint=hint),))


def _noting(seen: dict[tuple[int, int], bytes], read: Read) -> Read:
    """Keep what was read, by function and register."""

    async def noted(function: int, start: int, count: int) -> bytes:
        data = await read(function, start, count)
        for at in range(count):
            seen[function, start + at] = data[2 * at : 2 * at + 2]
        return data

    return noted


async def _second(
    second: Second, connection: Mapping[str, Any], ours: Mapping[tuple[int, int], bytes], unit: int
) -> None:
    try:
        second.compare(ours, await _by_library(connection, ours, unit))
    except CannotAsk as error:
        second.unable = str(error)


async def _by_library(
    connection: Mapping[str, Any], ours: Mapping[tuple[int, int], bytes], unit: int
) -> dict[tuple[int, int], bytes]:
    """The same registers, in the longest runs that they make. What the library can't read is not there."""
    from nexus_cli.drivers.modbus.opinion import Registers  # noqa: PLC0415 - pymodbus: only as a second opinion

    found: dict[tuple[int, int], bytes] = {}
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
