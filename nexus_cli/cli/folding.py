"""Long lines of a table on a narrow terminal: they continue below their last column, not at the left edge."""

from __future__ import annotations

import re

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_GAP = re.compile(r"(?<=\S)\s{2,}(?=\S)")
LEAST = 20
"""Columns that are worth going on in."""


def folded(text: str, columns: int | None) -> str:
    """The text with no line longer than the terminal, where its words allow it.

    Args:
        text: Lines; colours count for nothing.
        columns: Of the terminal; None leaves every line as it is, for pipes.
    """
    if columns is None:
        return text
    return "\n".join(_line(line, columns) for line in text.split("\n"))


def _line(line: str, columns: int) -> str:
    visible = _COLOUR.sub("", line)
    if len(visible) <= columns:
        return line
    starts = [len(visible) - len(visible.lstrip()) + 2, *(gap.end() for gap in _GAP.finditer(visible))]
    hang = max(start for start in starts if start <= max(starts[0], columns - 2 * LEAST))
    found, length = "", 0
    for word in re.findall(r"\s*\S+", line):
        bare = word.lstrip()
        size, alone = len(_COLOUR.sub("", word)), len(_COLOUR.sub("", bare))
        if length + size > columns >= hang + alone:
            found, length, word, size = f"{found}\n{' ' * hang}", hang, bare, alone
        found, length = found + word, length + size
    return found
