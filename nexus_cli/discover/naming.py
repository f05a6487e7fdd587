"""Names for what was found: slugs that are unique, stable and tell where the value came from. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from nexus_cli.checks.names import slugify

LONGEST = 100
"""Characters of a proposed name; a longer one is cut and ends in a hash of the whole."""


def tag_name(original: Sequence[str], *, fallback: str = "value") -> str:
    """The name of a tag: folders and structures flattened by dots.

    Args:
        original: Original names, outermost first.
        fallback: Used for a level of which nothing is left (`###`, Chinese signs).
    """
    levels = [slugify(level) or f"{fallback}-{_hash(level)}" for level in original]
    name = ".".join(levels) or fallback
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 7].rstrip('.-_')}-{_hash(name)}"


def unique(name: str, taken: Collection[str]) -> str:
    """The name, or the first of `name-2`, `name-3`, … that nobody has.

    Names that differ only in punctuation count as equal, because dashboards and file names make them so.
    """
    if plain(name) not in taken:
        return name
    number = 2
    while plain(f"{name}-{number}") in taken:
        number += 1
    return f"{name}-{number}"


def plain(name: str) -> str:
    """A name without the difference between `.`, `_` and `-`."""
    return name.replace(".", "-").replace("_", "-")


def common_levels(names: Sequence[Sequence[str]]) -> int:
    """How many leading levels all names share, so that each keeps at least one."""
    if len(names) < 2:
        return max(0, len(names[0]) - 1) if names else 0
    shared = 0
    for levels in zip(*(name[:-1] for name in names), strict=False):
        if any(level != levels[0] for level in levels):
            break
        shared += 1
    return shared


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
