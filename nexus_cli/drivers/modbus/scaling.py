"""Values whose power of ten is in another register (SunSpec `sf` points). Pure.

Source: SunSpec Device Information Model Specification V1.1 §4.2 (scale factors -10..10), §4.3 (unimplemented values:
0x8000 of a signed type, all ones of an unsigned one).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nexus_cli.drivers.base import Fault
from nexus_cli.drivers.modbus.field import Field
from nexus_cli.model.datatype import INTEGER_BOUNDS, DataType
from nexus_cli.wire.sample import Reason

LOWEST, HIGHEST = -10, 10
_POWERS = {exponent: 10.0**exponent for exponent in range(LOWEST, HIGHEST + 1)}


def scaled(fields: Sequence[Field], start: int, decode: Callable[[bytes], tuple[list[Any], dict[int, Fault]]]) -> Any:
    """A decoder that also applies the scale factors which lie inside the block."""
    places = [
        (place, (field.scale_at - start) * 2, missing(field.kind))
        for place, field in enumerate(fields)
        if field.scale_at is not None
    ]

    def decode_scaled(block: bytes) -> tuple[list[Any], dict[int, Fault]]:
        values, found = decode(block)
        faults = dict(found)
        for place, at, absent in places:
            if values[place] == absent:
                values[place] = None
                faults[place] = Fault(Reason.NOT_A_NUMBER)
            elif 0 <= at <= len(block) - 2:
                apply(values, faults, place, int.from_bytes(block[at : at + 2], "big", signed=True))
        return values, faults

    return decode_scaled


def apply(values: Any, faults: dict[int, Fault], place: int, exponent: int) -> None:
    """Multiply one value by ten to the exponent; an exponent that can't be one makes it BAD."""
    if values[place] is None:
        return
    factor = _POWERS.get(exponent)
    if factor is None:
        values[place] = None
        faults[place] = Fault(Reason.DECODE_ERROR)
        return
    # dividing by a whole power gives the nearest double: 2301 / 10 is 230.1, 2301 * 0.1 is not
    values[place] = values[place] / _POWERS[-exponent] if exponent < 0 else values[place] * factor


def missing(kind: DataType) -> int:
    """The number that says "not implemented" in a type."""
    low, high = INTEGER_BOUNDS[kind.base]
    return low if low < 0 else high
