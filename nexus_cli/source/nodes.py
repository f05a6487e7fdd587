"""Nodes: dicts and lists that know where in the text every key and value begins.

A mark is one integer, `file << 64 | key_start << 32 | value_start`, with positions in characters from 0, so that
reading a large site costs no object per node. Ends are found in the text when a finding needs them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from pathlib import Path
from typing import Any

from nexus_cli.diagnostics import Place

_LINE = re.compile(r"\r\n|\n|\r")
_PLAIN_END = re.compile(r"[^\s,\[\]{}]*")
_POSITION = 0xFFFFFFFF


class Map(dict[Any, Any]):
    """A mapping; `marks` has one mark per key (keys added without a text have none)."""

    __slots__ = ("marks",)
    marks: dict[Any, int]


class Seq(list[Any]):
    """A sequence; `marks` has one mark per item, same order."""

    __slots__ = ("marks",)
    marks: list[int]


class SourceFile:
    """One text and the way from its positions to lines and columns.

    Attributes:
        number: The number in the marks of the nodes that were read from it.
        name: As shown in findings, with forward slashes.
        path: Where it lies.
        text: Its content, decoded.
    """

    __slots__ = ("_starts", "name", "number", "path", "text")

    def __init__(self, *, number: int, name: str, path: Path, text: str) -> None:
        self.number = number
        self.name = name
        self.path = path
        self.text = text
        self._starts: list[int] | None = None

    @property
    def starts(self) -> list[int]:
        """Position of the first character of every line."""
        if self._starts is None:
            self._starts = [0, *(match.end() for match in _LINE.finditer(self.text))]
        return self._starts

    def line_column(self, position: int) -> tuple[int, int]:
        """Line and column, from 1, of a position."""
        position = max(0, min(position, len(self.text)))
        line = bisect_right(self.starts, position)
        return line, position - self.starts[line - 1] + 1

    def place(self, start: int, end: int | None = None) -> Place:
        """The place of a range; it never leaves the file and never ends before it begins."""
        line, column = self.line_column(start)
        end_line, end_column = self.line_column(max(start, start if end is None else end))
        return Place(self.name, line, column, end_line, end_column)

    def line(self, number: int) -> str:
        """The text of a line, from 1, without its end."""
        if not 1 <= number <= len(self.starts):
            return ""
        begin = self.starts[number - 1]
        end = self.starts[number] if number < len(self.starts) else len(self.text)
        return self.text[begin:end].rstrip("\r\n")


def pack(file: int, key_start: int, value_start: int) -> int:
    """One mark."""
    return file << 64 | key_start << 32 | value_start


def unpack(mark: int) -> tuple[int, int, int]:
    """File number, start of the key, start of the value."""
    return mark >> 64, mark >> 32 & _POSITION, mark & _POSITION


def span_end(text: str, start: int, value: object) -> int:
    """Where the scalar that starts here ends; for a multi-line plain scalar the end of its first line."""
    first = text[start : start + 1]
    if first in ("'", '"'):
        return _quoted_end(text, start, first)
    if isinstance(value, str) and value and text.startswith(value, start):
        return start + len(value)
    match = _PLAIN_END.match(text, start)
    return match.end() if match else start


def key_end(text: str, start: int) -> int:
    """Where the key that starts here ends, its colon apart; for a list item the end of its first word."""
    end = span_end(text, start, None)
    return end - 1 if end - 1 > start and text[end - 1] == ":" else end


def _quoted_end(text: str, start: int, quote: str) -> int:
    position = start + 1
    while position < len(text):
        if text[position] == "\\" and quote == '"':
            position += 2
        elif text[position] == quote:
            if quote == "'" and text[position + 1 : position + 2] == "'":
                position += 2
                continue
            return position + 1
        else:
            position += 1
    return len(text)
