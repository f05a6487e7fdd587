"""Numbers that are no plain numbers: those that mean "no value", and binary-coded decimals. Pure.

Source: IEC 61131-3 §6.6.2.5.5 (BCD conversion: four bits a decimal digit).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nexus_cli.drivers.base import Fault
from nexus_cli.drivers.modbus.field import Field
from nexus_cli.wire.sample import Reason, Value

NO_VALUE = Fault(Reason.NOT_A_NUMBER)
NO_DIGITS = Fault(Reason.DECODE_ERROR)


def from_bcd(number: int) -> int:
    """The decimal number whose digits are half bytes.

    Raises:
        ValueError: One of them is no digit.
    """
    return int(f"{number:x}")


def to_bcd(number: int) -> int:
    """The other way round; the caller sees that it fits."""
    return int(str(number), 16)


def special(
    fields: Sequence[Field], decode: Callable[[bytes], tuple[list[Value], dict[int, Fault]]]
) -> Callable[[bytes], tuple[list[Value], dict[int, Fault]]]:
    """A decoder that also takes what means no value out, and reads binary-coded decimals."""
    none: Mapping[int, frozenset[int | float]] = {
        place: frozenset(field.none) for place, field in enumerate(fields) if field.none
    }
    decimals = [place for place, field in enumerate(fields) if field.bcd]

    def decode_special(block: bytes) -> tuple[list[Value], dict[int, Fault]]:
        values, found = decode(block)
        faults = dict(found)
        for place, numbers in none.items():
            if values[place] in numbers:
                values[place], faults[place] = None, NO_VALUE
        for place in decimals:
            raw: Any = values[place]
            if raw is None:
                continue
            try:
                values[place] = [from_bcd(one) for one in raw] if isinstance(raw, list) else from_bcd(raw)
            except ValueError:
                values[place], faults[place] = None, NO_DIGITS
        return values, faults

    return decode_special
