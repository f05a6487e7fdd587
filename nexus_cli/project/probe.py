"""The verb of `nexus probe`: find where a known reading stands in a Modbus device. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus_cli.diagnostics import Outcome
from nexus_cli.diagnostics.codes import finding
from nexus_cli.settings import Settings

if TYPE_CHECKING:
    from nexus_cli.discover.probe import Candidate


async def probe(
    target: str, *, address: str, expected: float, tolerance: str, around: int, settings: Settings
) -> Outcome[list[Candidate]]:
    """Try every area, base, type, byte order and scale around an address.

    Args:
        target: `modbus://host?unit=3`.
        address: Any dialect of the site language.
        expected: What the device's display shows.
        tolerance: A number, a percentage such as `2%`, or "" for the default.
        around: Registers to look at on either side.
        settings: For the home folder.

    Raises:
        NexusError: NX6602, the device does not answer.
    """
    from nexus_cli.discover.probe import FUNCTIONS, default_tolerance
    from nexus_cli.discover.probe import probe as search
    from nexus_cli.discover.reach import unreachable
    from nexus_cli.discover.target import parse_target
    from nexus_cli.drivers.base import DriverError
    from nexus_cli.drivers.modbus.address import parse_address
    from nexus_cli.drivers.modbus.driver import DRIVER
    from nexus_cli.drivers.modbus.groups import unit_of
    from nexus_cli.drivers.registry import kinds
    from nexus_cli.model.driver_kind import AddressError

    made = parse_target(target, kinds())
    if made.value is None:
        return Outcome(None, made.findings)
    device = made.value.device
    if made.value.protocol != "modbus" or device is None:
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
    try:
        session = await DRIVER.connect([device], home=str(settings.home))
        try:
            found, refused = await search(
                lambda function, start, count: session.registers(start, count, unit=unit, function=function),
                address=written.offset,
                areas=[first, *(area for area in FUNCTIONS if area != first)],
                expected=expected,
                tolerance=limit,
                around=around,
            )
        finally:
            await session.close()
    except DriverError as error:
        raise unreachable(error, "modbus") from None
    if found:
        return Outcome(found)
    message = f"nothing within {limit:g} of {expected:g} near {written.area}:{written.offset}"
    hint = "--tolerance 2%, --around 20, or read the display again"
    if refused:
        hint += f"; the device has no {', '.join(refused[:5])}" + (" …" if len(refused) > 5 else "")
    return Outcome([], (finding("NX6620", message, hint=hint),))


def _tolerance(text: str, expected: float) -> float:
    number = text.strip()
    value = abs(expected) * float(number[:-1]) / 100 if number.endswith("%") else float(number)
    if value < 0:
        raise ValueError(f"a tolerance of {text} is not possible")
    return value
