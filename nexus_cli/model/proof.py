"""Whether what a device holds is what it was written: each value compared as what it is.

Numbers in their type's own rounding, moments as moments, texts as far as the device can hold them. Pure.
"""

from __future__ import annotations

from nexus_cli.json_value import is_number
from nexus_cli.model.chain import FLOAT_CODES, line_of, rounded, same
from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS, DataType, parse_type
from nexus_cli.model.instant import same_instant
from nexus_cli.wire.sample import Value

OWN_S, ELSEWHERE_S = 0.75, 5.0
"""How long a written value may take to show: in the tag itself, and in another one (a valve has to move first)."""


def proof_s(tag: TagConfig) -> float:
    """How long after a write its value is looked for, seconds."""
    if tag.read_back_timeout_ms:
        return tag.read_back_timeout_ms / 1000
    return ELSEWHERE_S if tag.read_back not in ("", "none") else OWN_S


def same_raw(type_: str, wanted: Value, held: Value) -> bool:
    """True when a device that was written `wanted` and holds `held` holds it."""
    kind = parse_type(type_)
    if not kind.count:
        return _same(kind.base, wanted, held)
    if not isinstance(wanted, list) or not isinstance(held, list) or len(held) != len(wanted):
        return False
    return all(_same(kind.base, one, other) for one, other in zip(wanted, held, strict=True))


def can_prove(written: DataType, shown: DataType) -> bool:
    """True when a tag of the second published type can show that one of the first holds what it was written."""
    if written.count != shown.count:
        return False
    return _family(written.base) == _family(shown.base)


def shows(tag: TagConfig, held: Value, wanted: Value) -> bool:
    """True when another tag shows a published value: within its own deadband, half its count, or its rounding."""
    kind = parse_type(tag.published_type or tag.type)
    if kind.count:
        if not isinstance(wanted, list) or not isinstance(held, list) or len(held) != len(wanted):
            return False
        return all(_shows(tag, one, other) for one, other in zip(held, wanted, strict=True))
    return _shows(tag, held, wanted)


def _shows(tag: TagConfig, held: Value, wanted: Value) -> bool:
    base = parse_type(tag.type).base
    if isinstance(held, bool) or isinstance(wanted, bool) or not isinstance(held, (int, float)):
        return _same(base, wanted, held)
    if not isinstance(wanted, (int, float)):
        return False
    if same(held, wanted):
        return True
    line = line_of(tag)
    counted = base in INTEGER_BOUNDS and not tag.expr
    # An integer with neither scale nor unit shows whole numbers exactly; half a count is for what has to be rounded.
    count = abs(float(line.factor)) / 2 if counted and not (line.plain and float(wanted).is_integer()) else 0.0
    coarse = abs(wanted - rounded(base, wanted)) if base in ("float16", "float32") else 0.0
    return abs(held - wanted) <= max(tag.deadband, count, coarse)


def _same(base: str, wanted: Value, held: Value) -> bool:
    if base in FLOAT_CODES:
        if not is_number(wanted) or not is_number(held):
            return False
        return rounded(base, float(wanted)) == rounded(base, float(held))
    if base == "datetime" and isinstance(wanted, str) and isinstance(held, str):
        return same_instant(wanted, held)
    if base == "string" and isinstance(wanted, str) and isinstance(held, str):
        # Registers and CHARs are filled up with blanks or NULs: those at the end can't be distinguished from the text's own.
        return wanted == held or wanted.rstrip(" \0") == held.rstrip(" \0")
    if base == "duration" and is_number(wanted) and is_number(held):
        return same(wanted, held)
    if isinstance(wanted, bool) or isinstance(held, bool):
        return type(wanted) is type(held) and wanted == held
    return wanted == held


def _family(base: str) -> str:
    return "number" if base in INTEGER_BOUNDS or base in FLOAT_CODES or base == "duration" else base
