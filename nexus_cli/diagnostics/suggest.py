"""Did you mean …: the closest of the words that would have been right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import lru_cache


def did_you_mean(word: object, choices: Iterable[str]) -> str:
    """A hint that names the nearest choice, or the choices when they are few, or nothing.

    Args:
        word: What was written; not necessarily a string.
        choices: What would have been accepted.
    """
    return _hint(str(word), tuple(sorted(set(choices))))


def nearest(word: str, choices: Iterable[str]) -> str:
    """The choice that is most similar to a word; "" when none is similar enough."""
    return next(iter(difflib.get_close_matches(word, sorted(set(choices)), n=1, cutoff=0.6)), "")


@lru_cache(maxsize=1024)
def _hint(word: str, options: tuple[str, ...]) -> str:
    """Kept, because a mistake in a generated file comes ten thousand times."""
    close = nearest(word, options)
    if close:
        return f"did you mean '{close}'?"
    if 0 < len(options) <= 12:
        return "known here: " + ", ".join(options)
    return ""
