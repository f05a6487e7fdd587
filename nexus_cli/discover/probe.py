"""Search the registers of a known reading: every area, base, type and byte order around an address is tried. Pure but for
the reads that it asks for."""

from __future__ import annotations

import math
import struct
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.drivers.fixed_layout import SIZES, STRUCT_CODES
from nexus_cli.drivers.modbus.order import NATURAL, positions

TYPES = ("uint16", "int16", "float32", "uint32", "int32", "float64", "uint64", "int64", "float16")
"""Nearest guess first."""
ORDERS = {
    2: ("AB", "BA"),
    4: ("ABCD", "CDAB", "BADC", "DCBA"),
    8: ("ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA", "CDABGHEF", "DCBAHGFE", "EFGHABCD", "FEHGBADC"),
}
SCALES = (1.0, 0.1, 0.01, 0.001, 10.0, 100.0, 1000.0)
FUNCTIONS = {"holding": 3, "input": 4}
Read = Callable[[int, int, int], Awaitable[bytes]]
"""Function, first register, count → bytes. Raises DriverError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to read the expected value.

    Attributes:
        address: `holding:100`, zero-based.
        type, order, scale: As in the site language.
        value: What it gives.
        distance: Registers from the address that was named.
        error: Absolute difference to what was expected.
    """

    address: str
    type: str
    order: str
    scale: float
    value: float
    distance: int
    error: float

    @property
    def keys(self) -> dict[str, object]:
        """The tag as the site language says it."""
        keys: dict[str, object] = {"address": self.address, "type": self.type}
        if self.order != NATURAL[SIZES[self.type]]:
            keys["order"] = self.order
        if self.scale != 1.0:
            keys["scale"] = self.scale
        return keys


def default_tolerance(expected: float) -> float:
    """Half a unit of the last digit that a display would show: 0.05 for 230.1, but at least a tenth of a percent."""
    digits = len(repr(expected).partition(".")[2]) if not float(expected).is_integer() else 0
    return max(0.5 * 10.0**-digits, abs(expected) * 0.001)


async def probe(
    read: Read,
    *,
    address: int,
    areas: Sequence[str] = ("holding", "input"),
    expected: float,
    tolerance: float,
    around: int,
) -> tuple[list[Candidate], list[str]]:
    """Candidates, the likeliest first, and what could not be read.

    Args:
        read: Reads registers.
        address: Zero-based register in the middle.
        areas: Register areas to look in.
        expected: What the display of the device shows.
        tolerance: Largest absolute difference.
        around: Registers to look at on either side.

    Raises:
        DriverError: The link or the device does not answer.
    """
    found: list[Candidate] = []
    refused: list[str] = []
    low, high = max(0, address - around), min(65_535, address + around + 3)
    for area in areas:
        registers = await _registers(read, area, low, high, refused)
        found += candidates(registers, area=area, middle=address, expected=expected, tolerance=tolerance)
    return ranked(found), refused


async def _registers(read: Read, area: str, low: int, high: int, refused: list[str]) -> dict[int, bytes]:
    """Registers by number; a range that is refused is halved until the holes are known."""
    registers: dict[int, bytes] = {}
    waiting = [(low, high)]
    while waiting:
        first, last = waiting.pop()
        try:
            raw = await read(FUNCTIONS[area], first, last - first + 1)
        except DriverError as error:
            if error.scope in (Scope.SESSION, Scope.DEVICE):
                raise
            if first == last:
                refused.append(f"{area}:{first}")
                continue
            middle = (first + last) // 2
            waiting += [(middle + 1, last), (first, middle)]
            continue
        registers.update({first + place: raw[place * 2 : place * 2 + 2] for place in range(last - first + 1)})
    return registers


def candidates(
    registers: dict[int, bytes], *, area: str, middle: int, expected: float, tolerance: float
) -> Iterator[Candidate]:
    """Every reading of these registers that is near enough."""
    for start in sorted(registers):
        for kind in TYPES:
            size = SIZES[kind]
            raw = b"".join(registers.get(start + place, b"") for place in range(size // 2))
            if len(raw) != size:
                continue
            for order in ORDERS[size]:
                value = float(struct.unpack(">" + STRUCT_CODES[kind], bytes(raw[at] for at in positions(order)))[0])
                if not math.isfinite(value):
                    continue
                for scale in SCALES if not kind.startswith("float") else (1.0,):
                    error = abs(value * scale - expected)
                    if error <= tolerance:
                        yield Candidate(
                            address=f"{area}:{start}",
                            type=kind,
                            order=order,
                            scale=scale,
                            value=value * scale,
                            distance=abs(start - middle),
                            error=error,
                        )


def ranked(found: list[Candidate]) -> list[Candidate]:
    """Natural orders and near addresses first; of equal readings only the simplest type."""

    def weight(one: Candidate) -> tuple[float, ...]:
        order = ORDERS[SIZES[one.type]].index(one.order)
        base = 0 if one.distance == 0 else 1 if one.distance == 1 else 2  # one off: the base is the other one
        return (base, order > 1, order, SCALES.index(one.scale), TYPES.index(one.type), one.distance, one.error)

    best: dict[tuple[str, str, float], Candidate] = {}
    for one in sorted(found, key=weight):
        best.setdefault((one.address, one.order if SIZES[one.type] > 2 else "", one.value), one)
    return list(best.values())
