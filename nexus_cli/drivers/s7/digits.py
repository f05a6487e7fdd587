"""Decimal digits in half bytes (BCD), and back: pure.

Source: Siemens, "Statement List (STL) for S7-300 and S7-400", BTI and BTD: three or seven digits behind a sign, which is
negative with its highest bit set; numbers without a sign use all half bytes.
"""

from __future__ import annotations

NEGATIVE = 0xF
"""The sign that a CPU itself writes (ITB, DTB)."""


def bcd_from(raw: bytes, *, signed: bool) -> int:
    """The number.

    Raises:
        ValueError: A half byte is no digit, or the first one no sign.
    """
    digits = [half for byte in raw for half in (byte >> 4, byte & 15)]
    sign = digits.pop(0) if signed else 0
    if 0 < sign < 8 or max(digits) > 9:
        raise ValueError(f"{raw.hex()} is not BCD")
    number = int("".join(map(str, digits)))
    return -number if sign else number


def bcd_to(number: int, *, len_bytes: int, signed: bool) -> bytes:
    """The bytes of a number.

    Raises:
        OverflowError: It has more digits than there is room for, or a sign without a place for it.
    """
    count = 2 * len_bytes - signed
    digits = f"{abs(number):0{count}d}"
    if len(digits) > count or (number < 0 and not signed):
        raise OverflowError
    sign = f"{NEGATIVE if number < 0 else 0:x}" if signed else ""
    return bytes.fromhex(sign + digits)
