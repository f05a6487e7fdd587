"""Sizes as text. Pure."""

from __future__ import annotations


def size_text(size_bytes: int) -> str:
    """A size for people: `812 B`, `4.2 kB`, `1.5 MB`."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
