"""How amounts are written for people."""

from __future__ import annotations

_UNITS_MS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))


def counted(number: int, noun: str) -> str:
    """A number and what it counts: `1 tag`, `41,000 tags`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(milliseconds: int) -> str:
    """A duration as one writes it in a site, in the largest unit that divides it: `400d`, `36h`, `90m`, `250ms`."""
    for unit, size_ms in _UNITS_MS:
        if milliseconds and milliseconds % size_ms == 0:
            return f"{milliseconds // size_ms}{unit}"
    return f"{milliseconds}ms"
