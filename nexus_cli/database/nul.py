"""NUL in JSON: PostgreSQL's jsonb takes none, and what people and devices say may hold one. Pure."""

from __future__ import annotations

import re

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""The escape of a NUL: behind an even number of backslashes, as an odd one makes the last of them a plain character."""


def plain(text: str) -> str:
    """Text as a column of text, and a string inside JSON, takes it: without NUL."""
    return text.replace("\0", "\ufffd")


def storable(text: str, *, instead: str = "\\ufffd") -> str:
    """JSON text as a column of jsonb takes it.

    Args:
        text: JSON.
        instead: Of each NUL, as it is written in JSON; "" leaves it out, as the historian does.
    """
    return _NUL.sub(lambda found: found[1] + instead, text) if "\\u0000" in text else text
