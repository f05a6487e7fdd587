"""ADS addresses as people write them, and their one normal form. Pure; no protocol library.

Accepted: `MAIN.x`, `GVL.motor.fSpeed`, TwinCAT 2 globals `.z`, array elements `MAIN.arr[1]`, `MAIN.grid[1,2]`,
raw memory `0x4040,0x7d01c` (also with `/` or `:` between, or decimal).

Source: Beckhoff TwinCAT, ADS symbol names; IEC 61131-3 §6.1.2 (identifiers).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from nexus_cli.model.driver_kind import AddressError

_RAW = re.compile(
    r"(?P<group>0[xX][0-9a-fA-F]+|\d+)\s*[,/:]\s*(?P<offset>0[xX][0-9a-fA-F]+|\d+)\Z",
)
_INDEX = re.compile(r"\[\s*-?\d+(?:\s*,\s*-?\d+)*\s*\]")
_PART = re.compile(r"\S(?:.*\S)?\Z")
_FIRST = re.compile(r"[^\W\d]|`")
_TYPED = re.compile(r"[^:]+:\s*[A-Za-z][A-Za-z0-9_]*(?:[(\[]\d+[)\]])?\Z")
_FOREIGN = re.compile(r"(?:nsu?|[isgb])=", re.IGNORECASE)
MAX_SYMBOL_CHARACTERS = 255
_EXAMPLE = "write a symbol such as MAIN.x, GVL.motor.fSpeed, MAIN.arr[1], .z (TwinCAT 2), or raw 0x4040,0x7d01c"


@dataclass(frozen=True, slots=True)
class AdsAddress:
    """A symbol, or raw memory.

    Attributes:
        symbol: Name as written, blanks removed; "" for raw memory.
        group: Index group of raw memory.
        offset: Index offset of raw memory.
    """

    symbol: str = ""
    group: int = 0
    offset: int = 0

    @property
    def text(self) -> str:
        """Canonical spelling."""
        return self.symbol or f"0x{self.group:x},0x{self.offset:x}"


def parse_address(text: str) -> AdsAddress:
    """Read an ADS address.

    Raises:
        AddressError: NX3401; the message quotes it.
    """
    stripped = text.strip()
    raw = _RAW.match(stripped)
    if raw is not None:
        group, offset = int(raw["group"], 0), int(raw["offset"], 0)
        if group > 0xFFFFFFFF or offset > 0xFFFFFFFF:
            raise AddressError(
                f"'{text}' has an index group or offset above 0xffffffff", hint=_EXAMPLE, key="address", code="NX3401"
            )
        return AdsAddress(group=group, offset=offset)
    if not _is_symbol(stripped):
        raise AddressError(f"'{text}' is not an ADS symbol", hint=_hint(stripped), key="address", code="NX3401")
    if not any(mark in stripped for mark in ".^"):
        raise AddressError(
            f"'{text}' names no program or variable list",
            hint=f"write MAIN.{stripped} or GVL.{stripped}; a TwinCAT 2 global is .{stripped}",
            key="address",
            code="NX3401",
        )
    return AdsAddress(symbol=_INDEX.sub(lambda index: re.sub(r"\s", "", index[0]), stripped))


def _is_symbol(text: str) -> bool:
    """Whether it can be one. Only its outline is looked at: what a PLC, an axis (`Axes.Axis 1.ToPlc`) or a terminal
    (`TIID^Term 2 (EL1008)^Channel 1`) calls its own is taken as it is, and asked for as a whole."""
    parts = text.removeprefix(".").split(".")
    if len(text) > MAX_SYMBOL_CHARACTERS or not text.isprintable() or not all(_PART.match(part) for part in parts):
        return False
    return bool(_FIRST.match(parts[0])) and not _TYPED.match(text) and not _FOREIGN.match(text)


def _hint(text: str) -> str:
    if _TYPED.match(text):
        return f"the type belongs in `type:`; write the address as {text.partition(':')[0]}"
    return _EXAMPLE
