"""Edits of a YAML text at places, byte for byte the same everywhere else: comments, order, quotes and spacing stay.

A round trip through a YAML library reformats what nobody touched and moves comments that stand behind the last entry
of a map; so the text is parsed once for the places of its nodes, and edits are cut into it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

Path = Sequence[str]
STEP = 2
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./+°µ²³-]*(?: [A-Za-z0-9_./+°µ²³-]+)*\Z")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
_ODD = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff"\\\\\t\n\x85]')


class DocumentError(ValueError):
    """The text is not a YAML map, or what stands at a path is something else than a map."""


class Document:
    """One YAML text and the edits that wait; `text()` applies them.

    Args:
        text: The whole file; empty for a new one.

    Raises:
        DocumentError: It can't be parsed, or its top is no map.
    """

    def __init__(self, text: str) -> None:
        self._parse(text)

    def _parse(self, text: str) -> None:
        self._text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._edits: list[tuple[int, int, int, str]] = []
        self._indexed: dict[int, dict[str, Any]] = {}
        self._depth = 0
        try:
            self._root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise DocumentError(f"it can't be parsed: {str(error).splitlines()[0]}") from None
        if self._root is not None and not isinstance(self._root, yaml.MappingNode):
            raise DocumentError("its top is not a map")

    def settle(self) -> None:
        """Carry out the edits that wait, so that what follows may touch the same places."""
        if self._edits:
            self._parse(self.text())

    def has(self, path: Path) -> bool:
        """True when something stands at the path."""
        return self._find(path)[0] == len(path)

    def keys(self, path: Path) -> list[str]:
        """Keys of the map at a path; none when there is no map."""
        depth, node = self._find(path)
        if depth != len(path) or not isinstance(node, yaml.MappingNode):
            return []
        return [str(key.value) for key, _ in node.value]

    def value(self, path: Path) -> Any:
        """What stands at a path as plain values (YAML 1.1's scalars), None when nothing does."""
        depth, node = self._find(path)
        if depth != len(path) or node is None:
            return None
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_document(node)
        except (yaml.YAMLError, ValueError):
            return None
        finally:
            loader.dispose()

    def add(self, path: Path, entries: Mapping[str, Any]) -> None:
        """Add entries at the end of the map at a path, each on one line; levels that are missing are made.

        Raises:
            DocumentError: Something on the way is not a map.
        """
        if not entries:
            return
        depth, node = self._find(path)
        self._depth = depth
        rest = list(path[depth:])
        if isinstance(node, yaml.MappingNode) and node.value and node.flow_style:
            self._add_in_flow(node, rest, entries)
            return
        if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
            at = self._line_end(_end(node))
            column = node.value[0][0].start_mark.column
            self._cut((at, at, self._joined(_lines(rest, entries, column), at)))
            return
        if node is None:
            body = self._text if not self._text or self._text.endswith("\n") else self._text + self._newline
            lines = _lines(rest, entries, 0)
            self._cut((0, len(self._text), body + self._newline.join(lines) + self._newline))
            return
        if not _empty(node):
            raise DocumentError(f"'{'.'.join(path[:depth])}' is not a map")
        if self._in_flow(path[:depth]):
            value: Any = dict(entries)
            for name in reversed(rest):
                value = {name: value}
            space = " " if _span(node) == 0 else ""
            self._cut((node.start_mark.index, node.end_mark.index, space + flow(value)))
            return
        column = self._column_of(path[:depth]) + STEP
        begin = self._text.rfind(":", 0, node.start_mark.index) + 1 if _span(node) == 0 else node.start_mark.index
        while begin and self._text[begin - 1] == " ":
            begin -= 1
        block = "".join(self._newline + line for line in _lines(rest, entries, column))
        end = begin if _span(node) == 0 else node.end_mark.index
        tail = self._line_end(end)
        comment = self._text[end:tail]
        self._cut((begin, tail, comment.rstrip("\r\n") + block + self._ending(tail)))

    def set(self, path: Path, value: Any) -> None:
        """Replace a value, or add its key. Raises DocumentError."""
        depth, node = self._find(path)
        if depth < len(path):
            if depth < len(path) - 1:
                raise DocumentError(f"'{'.'.join(path)}' is not there")
            self.add(path[:-1], {path[-1]: value})
            return
        assert node is not None
        begin, end = node.start_mark.index, _end(node)
        self._cut((begin, end, (" " if begin == end else "") + flow(value)))

    def remove(self, path: Path, names: Sequence[str]) -> None:
        """Remove entries of the map at a path; an emptied map becomes `{}`."""
        _, node = self._find(path)
        gone = set(names)
        if not isinstance(node, yaml.MappingNode) or not gone:
            return
        entries = [(key, value) for key, value in node.value if str(key.value) in gone]
        if len(entries) == len(node.value):
            self._cut((node.start_mark.index, _end(node), "{}"))
            return
        if not node.flow_style:
            for key, value in entries:
                begin = self._text.rfind("\n", 0, key.start_mark.index) + 1
                self._cut((begin, self._line_end(max(_end(value), key.end_mark.index)), ""))
            return
        left = [self._text[key.start_mark.index : _end(value)] for key, value in node.value if key.value not in gone]
        self._cut((node.start_mark.index, node.end_mark.index, "{" + ", ".join(left) + "}"))

    def text(self) -> str:
        """The text with all edits."""
        out = self._text
        # What ends a deeper map stands before what ends the maps around it.
        numbered = [(begin, end, -depth, number, new) for number, (begin, end, depth, new) in enumerate(self._edits)]
        pieces: list[str] = []
        rest = len(out)
        for begin, end, _, _, new in sorted(numbered, reverse=True):  # from the end, so that places stay true
            pieces += [out[end:rest], new]
            rest = begin
        return "".join((out[:rest], *reversed(pieces)))

    def _cut(self, edit: tuple[int, int, str]) -> None:
        begin, end, new = edit
        self._edits.append((begin, end, self._depth, new))

    def _find(self, path: Path) -> tuple[int, Any]:
        """How many levels of a path are there, and the deepest node of them."""
        node: Any = self._root
        for depth, name in enumerate(path):
            following = None
            if isinstance(node, yaml.MappingNode):
                following = self._entries(node).get(name)
            if following is None:
                return depth, node
            node = following
        return len(path), node

    def _entries(self, node: Any) -> dict[str, Any]:
        """The values of a map by key, the first of equal keys; made once, because a map may hold 100,000 tags."""
        found = self._indexed.get(id(node))
        if found is None:
            found = {key.value: value for key, value in reversed(node.value) if isinstance(key, yaml.ScalarNode)}
            self._indexed[id(node)] = found
        return found

    def _in_flow(self, path: Path) -> bool:
        """True when a map around the path is written on one line, in braces."""
        return any(getattr(self._find(path[:level])[1], "flow_style", False) for level in range(len(path)))

    def _column_of(self, path: Path) -> int:
        _, parent = self._find(path[:-1])
        return next(int(key.start_mark.column) for key, _ in parent.value if key.value == path[-1])

    def _add_in_flow(self, node: Any, rest: list[str], entries: Mapping[str, Any]) -> None:
        """Before the closing brace; the map stays on its line."""
        value: Any = dict(entries)
        for name in reversed(rest):
            value = {name: value}
        at = _end(node.value[-1][1])
        inner = flow(value)[1:-1]
        self._cut((at, at, ", " + inner))

    def _line_end(self, at: int) -> int:
        """Behind the line break of the line that holds `at`."""
        found = self._text.find("\n", at)
        return len(self._text) if found < 0 else found + 1

    def _ending(self, at: int) -> str:
        return self._newline if at and self._text[at - 1 : at] == "\n" else ""

    def _joined(self, lines: Sequence[str], at: int) -> str:
        body = "".join(line + self._newline for line in lines)
        return body if not at or self._text[at - 1] == "\n" else self._newline + body.rstrip("\r\n")


def _end(node: Any) -> int:
    """Where a node's own text ends; a block's end mark lies behind the comments that follow it."""
    if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        key, value = node.value[-1]
        return max(_end(value), int(key.end_mark.index) + 1)
    if isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
        return _end(node.value[-1])
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return int(node.end_mark.index) - 1  # its mark lies behind its last line break
    return int(node.end_mark.index)


def _span(node: Any) -> int:
    return int(node.end_mark.index) - int(node.start_mark.index)


def _empty(node: Any) -> bool:
    if isinstance(node, yaml.MappingNode):
        return not node.value
    return isinstance(node, yaml.ScalarNode) and node.value in ("", "null", "~") and not node.style


def _lines(rest: Sequence[str], entries: Mapping[str, Any], column: int) -> list[str]:
    lines = []
    for name in rest:
        lines.append(f"{' ' * column}{scalar(name)}:")
        column += STEP
    for name, value in entries.items():
        lines.extend(_entry(name, value, column))
    return lines


def _entry(name: str, value: Any, column: int) -> Iterator[str]:
    if isinstance(value, Block):
        yield f"{' ' * column}{scalar(name)}:" + ("" if value else " {}")
        for inner, item in value.items():
            yield from _entry(inner, item, column + STEP)
        return
    yield f"{' ' * column}{scalar(name)}: {flow(value)}"


class Block(dict[str, Any]):
    """A map that is written over several lines, one entry each."""


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return scalar(value)


def scalar(value: Any) -> str:
    """A scalar that reads back as itself in YAML 1.1 and 1.2."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} can't stand in a site file")
        mantissa, e, exponent = repr(value).partition("e")
        if not e:
            return mantissa
        mantissa += "" if "." in mantissa else ".0"  # YAML 1.1 takes 5e-324 for a text
        return f"{mantissa}e{exponent}" if exponent[0] in "+-" else f"{mantissa}e+{exponent}"
    text = str(value)
    if _PLAIN.match(text) and text.lower() not in _WORDS:
        return text
    return '"' + _ODD.sub(_escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    sign = match[0]
    known = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    if sign in known:
        return known[sign]
    code = ord(sign)
    if 0xD800 <= code <= 0xDFFF:
        return "\\uFFFD"
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}"
