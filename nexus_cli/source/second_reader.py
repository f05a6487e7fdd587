"""A second check of a reformatted file: ruamel.yaml, a YAML 1.2 parser that shares nothing with the first.

The places that a layout goes by come from libyaml, and so do the values that it is checked with. Where that parser
errs, both err in the same way; this one does not.
"""

from __future__ import annotations

LARGEST = 50_000
"""Longest text that is read twice more, in characters: about a second."""


def agrees(before: str, after: str) -> bool:
    """Whether both texts hold the same values in the same order; True also where it has no opinion.

    It has none on a text above `LARGEST` and on one that it can't read (tags, keys that are maps).
    """
    if len(before) > LARGEST:
        return True
    from ruamel.yaml import YAML  # noqa: PLC0415 - ruamel: only to check a rewritten file
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415 - ruamel: only to check a rewritten file

    def values(text: str) -> str:
        return repr(YAML(typ="safe", pure=True).load(text))

    try:
        known = values(before)
    except (YAMLError, ValueError, TypeError, AttributeError, NotImplementedError, RecursionError):
        return True
    try:
        return values(after) == known
    except (YAMLError, ValueError, TypeError, AttributeError, NotImplementedError, RecursionError):
        return False


__all__ = ["LARGEST", "agrees"]
