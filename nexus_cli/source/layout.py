"""The house style of a YAML text: the space between its tokens is laid out, the tokens stay.

Keys, values, quotes, anchors and comments are copied unchanged. Only white space changes: two spaces a level, list
items two deeper than their key, one space where one belongs, at most one blank line in a row. A collection in brackets
keeps its line breaks, and the text of a block scalar is moved as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from yaml import tokens as kinds
from yaml._yaml import CParser

STEP = 2
"""Spaces a level."""
_KEEP = re.compile(r"[|>][0-9]?\+")
_EXPLICIT = re.compile(r"^[ \t-]*\?(?=[ \t\n])", re.MULTILINE)
_EXPLICIT_INDENT = re.compile(r"[|>][+-]?[1-9]")
_BEGINS = frozenset((kinds.FlowMappingStartToken, kinds.FlowSequenceStartToken))
_ENDS = frozenset((kinds.FlowMappingEndToken, kinds.FlowSequenceEndToken))
_CLOSING = _ENDS | {kinds.FlowEntryToken}
_PROPERTIES = frozenset((kinds.AnchorToken, kinds.TagToken, kinds.AliasToken))
_OF_DOCUMENT = frozenset((kinds.DocumentStartToken, kinds.DocumentEndToken, kinds.DirectiveToken, kinds.StreamEndToken))
_LEVELS = frozenset((kinds.BlockMappingStartToken, kinds.BlockSequenceStartToken, kinds.BlockEndToken))


class _Level:
    """One block collection: its column before and after."""

    __slots__ = ("implicit", "is_map", "new", "old")

    def __init__(self, old: int, new: int, *, is_map: bool, implicit: bool = False) -> None:
        self.old = old
        self.new = new
        self.is_map = is_map
        self.implicit = implicit  # a list whose dashes are under the first letter of its key: no event announces it


class Layout:
    """Lays out one text.

    Args:
        text: It parses; its line breaks are "\\n" alone, and no other character in it breaks a line for libyaml.

    Attributes:
        comments: Every comment from its `#`, in order, without spaces at its end; filled by `text`.
    """

    def __init__(self, text: str) -> None:
        self._source = text
        self.comments: list[str] = []
        self._out: list[str] = []
        self._levels: list[_Level] = []
        self._popped: list[_Level] = []
        self._flow = 0
        self._flow_shift = 0  # how far the line moved on which the outermost bracket opened
        self._line_shift = 0
        self._line_begins = 0  # index in `_out`
        self._position = 0  # where the last token ended
        self._unended = False  # the text ends inside a block scalar, so that a line break would be part of it
        self._at_key = False
        self._frozen = _EXPLICIT.search(text) is not None  # '? key': indentation stays as it is

    def text(self) -> str:
        """The text in the house style.

        Raises:
            yaml.YAMLError: It can't be read.
        """
        source, out = self._source, self._out
        get: Callable[[], Any] = CParser(source).get_token
        key, value, scalar, entry = kinds.KeyToken, kinds.ValueToken, kinds.ScalarToken, kinds.BlockEntryToken
        previous: Any = None
        position = 0
        while (token := get()) is not None:
            kind = type(token)
            if kind is key:
                if not self._flow:
                    self._key()
                if token.end_mark.index == token.start_mark.index:
                    continue
            elif kind in _LEVELS:
                self._level(token, kind)
                continue
            elif kind is kinds.StreamStartToken:
                continue
            start, end = token.start_mark.index, token.end_mark.index
            if kind is entry and not self._flow:
                self._entry(int(token.start_mark.column))
            elif kind is kinds.StreamEndToken:
                start = end = len(source)
            gap = source[position:start]
            if previous is None or "\n" in gap or kind is kinds.StreamEndToken:
                self._position = position
                self._break(gap, kind, int(token.start_mark.column), first=previous is None)
            elif previous is value and kind is scalar:
                out.append(" ")
            elif kind is not value or previous is not scalar:
                out.append(self._between(gap, previous, kind))
            if kind is scalar:
                if token.style in ("|", ">"):
                    end = self._block(start, end)
                elif "\n" in (words := source[start:end]):
                    self._continued(words)
                else:
                    out.append(words)
            else:
                out.append(source[start:end])
                if kind in _BEGINS:
                    if not self._flow:
                        self._flow_shift = self._line_shift
                    self._flow += 1
                elif kind in _ENDS:
                    self._flow -= 1
            if self._popped:
                self._popped = []
            self._at_key = self._at_key and kind in _PROPERTIES and kind is not kinds.AliasToken
            position, previous = end, kind
        return "".join(out)

    def _level(self, token: Any, kind: type) -> None:
        if kind is kinds.BlockEndToken:
            self._end_implicit()
            self._popped.append(self._levels.pop())
            return
        old = int(token.start_mark.column)
        self._levels.append(_Level(old, self._deeper(old), is_map=kind is kinds.BlockMappingStartToken))

    def _deeper(self, old: int) -> int:
        """Column one level deeper than the innermost."""
        if self._frozen:
            return old
        return self._levels[-1].new + STEP if self._levels else 0

    def _end_implicit(self) -> None:
        while self._levels and self._levels[-1].implicit:
            self._popped.append(self._levels.pop())

    def _key(self) -> None:
        self._end_implicit()
        self._at_key = True

    def _entry(self, column: int) -> None:
        if self._levels and self._levels[-1].is_map:
            self._levels.append(_Level(column, self._deeper(column), is_map=False, implicit=True))

    def _between(self, gap: str, before: type | None, after: type) -> str:
        """The text between two tokens of one line."""
        if after in _CLOSING:
            if before is kinds.ValueToken or before in _PROPERTIES:
                return gap[:1]  # '{a: }' has no value, and the name of a tag may hold a comma
            return ""
        if before in _BEGINS:
            return ""
        if after is kinds.ValueToken:
            return gap if before in _PROPERTIES or before is not kinds.FlowMappingEndToken else gap[:1]
        if before is kinds.FlowEntryToken or before is kinds.ValueToken:
            return " "
        if before is kinds.BlockEntryToken or before is kinds.KeyToken:
            return gap if self._frozen else " "
        return gap and " "

    def _break(self, gap: str, kind: type, column: int, *, first: bool) -> None:
        """A gap with a line break: a comment at the end of its line, lines of comments, blank lines, indentation."""
        lines = gap.split("\n")
        at_end = kind is kinds.StreamEndToken
        if not first:
            self._trailing(lines.pop(0))
        new = self._column(kind, column)
        blank = False
        for line in lines if at_end else lines[:-1]:
            words = line.strip(" \t")
            if not words:
                blank = True
                continue
            self._begin_line(" " * self._comment_column(line, column, new), blank=blank, first=first)
            self._out.append(words)
            self.comments.append(words)
            blank = first = False
        if not at_end:
            self._begin_line(" " * new, blank=blank, first=first)
            self._line_shift = new - column
        elif self._out and not self._unended:
            self._out.append("\n")

    def _begin_line(self, indent: str, *, blank: bool, first: bool) -> None:
        if not first:
            self._out.append("\n\n" if blank else "\n")
        self._line_begins = len(self._out)
        self._out.append(indent)

    def _trailing(self, tail: str) -> None:
        """A comment at the end of a line stays in its column, moved as the line was, where the words leave room."""
        words = tail.strip(" \t")
        if not words:
            return
        self.comments.append(words)
        begin = self._source.rfind("\n", 0, self._position) + 1
        space = len(tail) - len(tail.lstrip(" \t"))
        written = "".join(self._out[self._line_begins :])
        length = len(written) - written.rfind("\n") - 1
        room = self._position - begin + space + self._line_shift - length
        self._out.append(" " * max(room, min(space, 1) or 1) + words)

    def _column(self, kind: type, column: int) -> int:
        """Where a token goes that is the first of its line."""
        if self._frozen or kind in _OF_DOCUMENT:
            return column
        if self._flow:
            return max(0, column + self._flow_shift)
        if self._at_key or kind in (kinds.BlockEntryToken, kinds.KeyToken, kinds.ValueToken):
            return self._levels[-1].new if self._levels else 0
        return self._levels[-1].new + STEP if self._levels else 0

    def _comment_column(self, line: str, column: int, new: int) -> int:
        """A comment moves with the line in its column: the next line, else a level that has or had it."""
        old = len(line) - len(line.lstrip(" \t"))
        if self._flow or old == column:
            return max(0, old + (self._flow_shift if self._flow else new - column))
        for level in (*reversed(self._levels), *self._popped):
            if level.old == old:
                return level.new
        return max(0, old + new - column)

    def _continued(self, words: str) -> None:
        """A plain or quoted scalar of several lines: its lines keep their distance, blank ones carry meaning."""
        least = 0 if self._frozen or not self._levels else self._levels[-1].new + 1
        shift = self._flow_shift if self._flow else self._line_shift
        first, *rest = words.split("\n")
        self._out.append(first)
        for line in rest:
            bare = line.lstrip(" ")
            if not bare.strip(" \t"):
                self._out.append("\n" + ("" if line is not rest[-1] else line))
                continue
            self._out.append("\n" + " " * max(least, len(line) - len(bare) + shift) + bare)

    def _block(self, start: int, end: int) -> int:
        """A block scalar moves with its level; gives where its text ends, its last line break apart."""
        words = self._source[start:end]
        header, _, body = words.partition("\n")
        lines = body.split("\n") if body else []
        self._unended = end == len(self._source) and not words.endswith("\n")
        if words.endswith("\n") and lines:
            lines.pop()
        indent = next((len(line) - len(line.lstrip(" ")) for line in lines if line.strip(" ")), 0)
        if not _KEEP.match(header):
            while lines and not lines[-1].strip(" ") and len(lines[-1]) <= indent and not self._unended:
                lines.pop()
        top = self._levels[-1] if self._levels else None
        shift = top.new - top.old if top is not None else 0
        if top is not None and indent and not self._frozen and not _EXPLICIT_INDENT.match(header):
            shift = top.new + STEP - indent
        mark, sign, comment = header.partition("#")
        if sign:
            self.comments.append((sign + comment).rstrip(" \t"))
        self._out.append(f"{mark}{sign}{comment}".rstrip(" \t"))
        for line in lines:
            own = len(line) - len(line.lstrip(" "))
            moved = " " * max(0, own + shift) + line[own:] if line.strip(" ") or own > indent else line
            self._out.append("\n" + moved)
        taken = len(header) + sum(len(line) + 1 for line in lines)
        return start + taken
