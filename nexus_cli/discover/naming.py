"""Names for what was found: slugs that are unique, stable and show where the value came from. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence

from nexus_cli.checks.names import slugify

_INDEX = re.compile(r"\[([^\[\]]*)\]")
_NEGATIVE = re.compile(r"(?<!\d)\s*-\s*(?=\d)")
LONGEST = 100
"""Characters of a proposed name; a longer one is cut and ends in a hash of the whole."""


def tag_name(original: Sequence[str], *, fallback: str = "value") -> str:
    """The name of a tag: folders and structures flattened by dots.

    Args:
        original: Original names, outermost first. The sign of an index is spelt out: `els[-1]` is `els-neg1`, which
            can't be taken for `els[1]`.
        fallback: Used for a level of which nothing is left (`###`, Chinese signs).
    """
    levels = [slugify(_signs_spelt(level)) or f"{fallback}-{_hash(level)}" for level in original]
    name = ".".join(levels) or fallback
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 7].rstrip('.-_')}-{_hash(name)}"


def unique(name: str, taken: Collection[str], *, elements: Collection[str] = ()) -> str:
    """The name, or the first of `name-2`, `name-3`, … that is free.

    Names that differ only in punctuation count as equal, because dashboards and file names make them so.

    Args:
        name: As `tag_name` made it.
        taken: In the form of `plain`.
        elements: Names of elements of arrays, and of the arrays themselves, in the form of `plain`. A number behind
            one of these would be read as an index, so that a second one becomes `name-dup2`.
    """
    if plain(name) not in taken:
        return name
    mark = "dup" if plain(name) in elements else ""
    number = 2
    while plain(f"{name}-{mark}{number}") in taken:
        number += 1
    return f"{name}-{mark}{number}"


def elements(tags: Iterable[tuple[str, Sequence[str]]]) -> frozenset[str]:
    """Every name behind which a number would be read as an index, in the form of `plain`.

    Args:
        tags: Name and original names, outermost first, of each tag.
    """
    found: set[str] = set()
    for name, original in tags:
        if _INDEX.search(original[-1]):
            end = tag_name(original[-1:])
            array = name.removesuffix(end) + tag_name((_INDEX.sub("", original[-1]),))
            found.update((plain(name), plain(array)))
    return frozenset(found)


def _signs_spelt(level: str) -> str:
    return _INDEX.sub(lambda index: f"[{_NEGATIVE.sub(' neg', index[1])}]", level)


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
