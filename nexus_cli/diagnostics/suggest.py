"""Did you mean …: the closest of the words that would have been right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: object, choices: Iterable[str]) -> str:
    """A hint that names the nearest choice, or the choices when they are few, or nothing.

    Args:
        word: What was written; not necessarily a string.
        choices: What would have been accepted.
    """
    options = sorted(set(choices))
    close = difflib.get_close_matches(str(word), options, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    if 0 < len(options) <= 12:
        return "known here: " + ", ".join(options)
    return ""
