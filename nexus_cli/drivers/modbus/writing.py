"""How one value is written: which function, what bytes. Pure.

Source: Modbus Application Protocol V1.1b3 §6.5 (FC05), §6.6 (FC06), §6.11 (FC15), §6.12 (FC16), §6.16 (FC22).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nexus_cli.drivers.modbus.encode import encode_bits, encode_registers, half_masks, is_partial
from nexus_cli.drivers.modbus.field import Field
from nexus_cli.wire.sample import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class WritePlan:
    """One write.

    Attributes:
        function: 5, 6, 15, 16 or 22. A 22 may also be done by reading and writing back.
        start: First bit or register, zero-based.
        bits: For 5 and 15.
        registers: For 6 and 16.
        and_mask, or_mask: For 22.
        mask_allowed: Whether FC22 may be tried.
        fallback: Whether to read and write back when FC22 is unknown to the device.
        single: Write a read-back register with FC06 instead of FC16.
    """

    function: int
    start: int
    bits: tuple[bool, ...] = ()
    registers: tuple[int, ...] = ()
    and_mask: int = 0xFFFF
    or_mask: int = 0
    mask_allowed: bool = True
    fallback: bool = True
    single: bool = True


def plan_write(field: Field, value: Value, connection: Mapping[str, Any]) -> WritePlan:
    """Choose the function by the value and by what the device knows.

    Raises:
        EncodeError: The value does not fit.
    """
    ways = connection.get("write_function") or "auto"
    if field.in_bits:
        bits = tuple(encode_bits(field, value))
        multiple = ways == "multiple" or len(bits) > 1
        return WritePlan(function=15 if multiple else 5, start=field.start, bits=bits)
    if is_partial(field):
        and_mask, or_mask = half_masks(field, value)
        manner = connection.get("bit_write") or "auto"
        return WritePlan(
            function=22,
            start=field.start,
            and_mask=and_mask,
            or_mask=or_mask,
            mask_allowed=manner != "read-modify-write",
            fallback=manner != "mask",
            single=ways != "multiple",
        )
    raw = encode_registers(field, value)
    registers = tuple(int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2))
    multiple = ways == "multiple" or len(registers) > 1
    return WritePlan(function=16 if multiple else 6, start=field.start, registers=registers)
