"""Edits of a YAML text at places, byte for byte the same everywhere else: comments, order, quotes and spacing stay.

A round trip through a YAML library reformats untouched parts and moves comments behind the last entry
of a map; so the text is parsed once for the places of its nodes, and edits are cut into it. The result is read
again and compared: every value but the edited ones, and every comment but those of removed entries, or it is refused.

See docs/decisions/0044.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import yaml

from nexus_cli.json_value import JsonObject
from nexus_cli.source.places import Node, Places, plain
from nexus_cli.source.written import STEP, Block, flow, key_text, lines, read_back, scalar

__all__ = ["Block", "Document", "DocumentError", "flow", "scalar"]
Path = Sequence[str]
_COMMA = re.compile(r"(?:\s|#[^\n]*)*,")
_REST = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?=\r?\n|\Z)")


class DocumentError(ValueError):
    """The text is not a YAML map, a path does not lead to a map, or an edit would change more than was asked."""


class Document:
    """One YAML text, empty for a new file, and the edits that wait; `text()` applies them.

    Raises:
        DocumentError: It can't be parsed, or its top level is not a map.
    """

    def __init__(self, text: str) -> None:
        self._parse(text)

    def _parse(self, text: str) -> None:
        self._text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._edits: list[tuple[int, int, int, str]] = []
        self._removed: list[tuple[int, int]] = []  # ranges whose comments go with an entry
        self._grown: dict[int, str] = {}  # maps in brackets that got an entry on a line of its own: what parts the next
        self._emptied: set[int] = set()
        self._depth = 0
        try:
            self._places = Places(text)
        except yaml.YAMLError as error:
            raise DocumentError(f"it can't be parsed: {str(error).splitlines()[0]}") from None
        except (ValueError, RecursionError) as error:
            raise DocumentError(f"it can't be edited: {error}") from None
        self._root = self._places.root
        if self._root is not None and self._root.empty and self._root.kind == "scalar":
            self._root = None
        if self._root is not None and self._root.kind != "map":
            raise DocumentError("its top is not a map")
        self._wanted: JsonObject = plain(self._root) or {}

    def apply_edits(self) -> None:
        """Apply the pending edits, so that later ones may change the same places. Raises DocumentError."""
        if self._edits:
            self._parse(self.text())

    def has(self, path: Path) -> bool:
        """True when the path exists, an alias followed."""
        return self._seen(path) is not None

    def keys(self, path: Path) -> list[str]:
        """Keys of the map at a path; none when there is not a map."""
        node = self._seen(path)
        return [] if node is None or node.kind != "map" else [key.text for key, _, _ in node.entries]

    def value(self, path: Path) -> Any:
        """The value at a path, None when it does not exist."""
        return plain(self._seen(path))

    def add(self, path: Path, entries: Mapping[str, Any]) -> None:
        """Add entries at the end of the map at a path, each on one line; levels that are missing are made.

        Raises:
            DocumentError: Something on the way is not a map, or is an alias' target.
        """
        if not entries:
            return
        depth, node, holder = self._find(path)
        rest = list(path[depth:])
        self._depth = depth
        if node is None:
            body = self._text if not self._text or self._text.endswith("\n") else self._text + self._newline
            made = lines(rest, entries, 0)
            self._cut(0, len(self._text), body + self._newline.join(made) + self._newline)
        elif node.kind == "map" and node.entries:
            if node.flow:
                self._add_in_flow(node, rest, entries)
            else:
                self._unended(node)
                at = self._line_end(node.end)
                self._cut(at, at, self._joined(lines(rest, entries, self._column(node.entries[0][0].start)), at))
        elif not _vacant(node):
            raise DocumentError(f"'{'.'.join(path[:depth])}' is not a map")
        else:
            if node.start in self._emptied:
                self.apply_edits()
                self.add(path, entries)
                return
            self._emptied.add(node.start)
            self._fill(path[:depth], node, holder, rest, entries)
        self._note(path, dict(entries))

    def set(self, path: Path, value: Any) -> None:
        """Replace a value, or add its key.

        Raises:
            DocumentError: The map does not exist, the value is an alias' target, or comments would be lost.
        """
        depth, node, holder = self._find(path)
        if depth < len(path):
            if depth < len(path) - 1:
                raise DocumentError(f"'{'.'.join(path)}' is not there")
            self.add(path[:-1], {path[-1]: value})
            return
        assert node is not None
        self._depth = depth
        block = node.kind in ("map", "list") and not node.flow
        begin = holder if node.empty or block else node.start
        if any(begin <= at < node.end for at, _ in self._places.comments()):
            raise DocumentError(f"'{'.'.join(path)}' holds comments that would be lost")
        self._cut(begin, node.end, (" " if begin == holder else "") + flow(value))
        self._note(path[:-1], {path[-1]: value})

    def extend(self, path: Path, items: Sequence[Any]) -> None:
        """Add items at the end of the list at a path; it is made where there is none. Raises DocumentError."""
        depth, node, _ = self._find(path)
        if depth < len(path) or node is None or node.kind != "list" or not node.items:
            self.set(path, list(items))
            return
        self._depth = depth
        last = node.items[-1]
        if node.flow:
            self._cut(last.end, last.end, "".join(", " + flow(item) for item in items))
        else:
            self._unended(node)
            at = self._line_end(node.end)
            dash = self._text.rfind("-", 0, node.items[0].start)
            made = [" " * self._column(dash) + f"- {flow(item)}" for item in items]
            self._cut(at, at, self._joined(made, at))
        held = self._wanted_at(path[:-1])
        held[path[-1]] = [*held[path[-1]], *(read_back(item) for item in items)]

    def remove(self, path: Path, names: Sequence[str]) -> None:
        """Remove entries of the map at a path, with their comments; an emptied map becomes `{}`.

        Raises:
            DocumentError: Something on the way, or what would be removed, is an alias' target.
        """
        depth, node, holder = self._find(path)
        gone = set(names)
        if depth < len(path) or node is None or node.kind != "map":
            return
        entries = [entry for entry in node.entries if entry[0].text in gone]
        if not entries:
            return
        self._needed(path, entries)
        self._depth = depth
        if node.flow:
            self._remove_in_flow(node, gone)
        else:
            for key, value, colon in entries:
                begin = self._text.rfind("\n", 0, key.start) + 1
                self._drop(begin, self._line_end(max(value.end, colon)))
            if len(entries) == len(node.entries):
                self._cut(holder, holder, " {}")
        held = self._wanted_at(path)
        for name in gone:
            held.pop(name, None)

    def text(self) -> str:
        """The text with all edits.

        Raises:
            DocumentError: The edits would change more than was asked.
        """
        if not self._edits:
            return self._text
        out = self._text
        # The end of a deeper map comes before the ends of the maps around it.
        numbered = [(begin, end, -depth, number, new) for number, (begin, end, depth, new) in enumerate(self._edits)]
        pieces: list[str] = []
        rest = len(out)
        for begin, end, _, _, new in sorted(numbered, reverse=True):  # from the end, so that places stay true
            pieces += [out[end:rest], new]
            rest = begin
        edited = "".join((out[:rest], *reversed(pieces)))
        self._prove(edited)
        return edited

    def _prove(self, edited: str) -> None:
        """Check the result: the values that were requested, and every comment but those of removed entries."""
        try:
            places = Places(edited)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise DocumentError("the edit can't be made without breaking the text around it") from None
        if repr(plain(places.root) or {}) != repr(self._wanted):
            raise DocumentError("the edit would change a value beside what was asked")
        removed = sorted(self._removed)
        left = []
        for at, words in self._places.comments():
            while removed and removed[0][1] <= at:
                removed.pop(0)
            if not removed or at < removed[0][0]:
                left.append(words)
        if [words for _, words in places.comments()] != left:
            raise DocumentError("the edit would cost a comment")

    def _cut(self, begin: int, end: int, new: str) -> None:
        self._edits.append((begin, end, self._depth, new))

    def _drop(self, begin: int, end: int) -> None:
        self._cut(begin, end, "")
        self._removed.append((begin, end))

    def _note(self, path: Path, entries: Mapping[str, Any]) -> None:
        held = self._wanted_at(path)
        for name, value in entries.items():
            held[key_text(name)] = read_back(value)

    def _wanted_at(self, path: Path) -> JsonObject:
        held = self._wanted
        for name in path:
            inner = held.get(name)
            held[name] = inner if isinstance(inner, dict) else {}
            held = held[name]
        return held

    def _seen(self, path: Path) -> Node | None:
        node = self._root
        for name in path:
            while node is not None and node.kind == "alias":
                node = node.target
            entry = node.entry(name) if node is not None and node.kind == "map" else None
            if entry is None:
                return None
            node = entry[1]
        while node is not None and node.kind == "alias":
            node = node.target
        return node

    def _find(self, path: Path) -> tuple[int, Node | None, int]:
        """How many levels of a path exist, the deepest node of them, and where its key's colon ends.

        Raises:
            DocumentError: A node on the way is an alias' target.
        """
        node, holder = self._root, 0
        for depth, name in enumerate(path):
            if node is not None and node.kind == "map" and node.entry("<<") is not None:
                raise DocumentError(f"'{'.'.join(path[:depth])}' takes keys from elsewhere ('<<')")
            entry = node.entry(name) if node is not None and node.kind == "map" else None
            if entry is None:
                return depth, node, holder
            _, node, holder = entry
            if node.kind == "alias":
                raise DocumentError(f"'{'.'.join(path[: depth + 1])}' is the alias '*{node.anchor}' of another place")
            if self._used(node):
                raise DocumentError(f"'{'.'.join(path[: depth + 1])}' is used elsewhere as '*{node.anchor}'")
        return len(path), node, holder

    def _used(self, node: Node) -> bool:
        return bool(node.anchor) and node.anchor in self._places.aliased

    def _needed(self, path: Path, entries: Sequence[tuple[Node, Node, int]]) -> None:
        """Refuse when an alias that stays refers to an anchor in what would go."""
        if not self._places.aliased:
            return
        going = Counter(one.anchor for _, value, _ in entries for one in value.below() if one.kind == "alias")
        for key, value, _ in entries:
            for one in value.below():
                if one.kind != "alias" and self._places.aliased[one.anchor] > going[one.anchor]:
                    raise DocumentError(f"'{'.'.join((*path, key.text))}' is used elsewhere as '*{one.anchor}'")

    def _unended(self, node: Node) -> None:
        """A block scalar at the end of a file without a line break would get one by what is added behind it."""
        while node.entries or node.items:
            node = node.entries[-1][1] if node.entries else node.items[-1]
        header = self._text[node.begin : node.begin + 3]
        if node.style in ("|", ">") and node.end == len(self._text) and "-" not in header:
            raise DocumentError("the text block at its end has no line break, which an addition would give it")

    def _fill(self, path: Path, node: Node, holder: int, rest: Sequence[str], entries: Mapping[str, Any]) -> None:
        """Entries for a key that has nothing yet, `null` or `{}`."""
        inside = self._text[node.begin : node.end]
        if self._in_flow(path) or "\n" in inside:
            value: Any = dict(entries)
            for name in reversed(rest):
                value = {name: value}
            if "\n" in inside:
                self._cut(node.end - 1, node.end - 1, flow(value)[1:-1])
            else:
                begin = holder if node.empty else node.begin
                self._cut(begin, node.end, (" " if node.empty else "") + flow(value))
            return
        if not node.empty:
            begin = node.begin
            while self._text[begin - 1] == " ":
                begin -= 1
            self._cut(begin, node.end, "")
        column = STEP + self._column(self._key_of(path).start)
        at = self._line_end(node.end)
        self._cut(at, at, self._joined(lines(rest, entries, column), at))

    def _key_of(self, path: Path) -> Node:
        parent = self._find(path[:-1])[1]
        entry = parent.entry(path[-1]) if parent is not None else None
        assert entry is not None
        return entry[0]

    def _in_flow(self, path: Path) -> bool:
        """True when a map around the path is written in brackets."""
        node = self._root
        for name in path:
            if node is None or node.flow:
                return node is not None
            entry = node.entry(name)
            node = entry[1] if entry is not None else None
        return False

    def _add_in_flow(self, node: Node, rest: list[str], entries: Mapping[str, Any]) -> None:
        """Before the closing bracket: on the line of the last entry, or on its own where that one has its own."""
        value: Any = dict(entries)
        for name in reversed(rest):
            value = {name: value}
        inner = flow(value)[1:-1]
        key, last, colon = node.entries[-1]
        end = max(last.end, key.end, colon)
        line = self._text.rfind("\n", 0, key.start) + 1
        comma = _COMMA.match(self._text, end)
        closing = _REST.match(self._text, comma.end() if comma else end)
        if self._text[line : key.start].strip() or "\n" not in self._text[line : node.end] or closing is None:
            self._cut(end, end, ", " + inner)
            return
        lead = self._newline + self._text[line : key.start]
        parted = self._grown.get(node.start)
        if parted is None and comma is None:
            self._cut(end, end, ",")
        self._cut(closing.end(), closing.end(), (parted or "") + lead + inner + ("," if comma else ""))
        self._grown[node.start] = "" if comma else ","

    def _remove_in_flow(self, node: Node, gone: Collection[str]) -> None:
        """Entries in brackets with their commas; lines that hold nothing else go with their comments."""
        kept_end = -1
        for number, (key, value, colon) in enumerate(node.entries):
            end = max(value.end, key.end, colon)
            if key.text not in gone:
                kept_end = end
                continue
            comma = _COMMA.match(self._text, end) if number + 1 < len(node.entries) or self._trails(end) else None
            stop = comma.end() if comma else end
            line = self._text.rfind("\n", 0, key.start) + 1
            rest = _REST.match(self._text, stop)
            if not self._text[line : key.start].strip() and rest is not None and rest.end() < node.end:
                self._drop(line, self._line_end(rest.end()))
            else:
                while comma and self._text[stop] == " " and self._text[stop : stop + 2] != " #":
                    stop += 1
                self._drop(key.start, stop)
            last = number + 1 == len(node.entries)
            if last and comma is None and kept_end >= 0:
                before = _COMMA.match(self._text, kept_end)
                if before is not None:
                    self._cut(before.end() - 1, before.end(), "")

    def _trails(self, end: int) -> bool:
        return _COMMA.match(self._text, end) is not None

    def _column(self, at: int) -> int:
        return at - self._text.rfind("\n", 0, at) - 1

    def _line_end(self, at: int) -> int:
        """Behind the line break of the line that holds `at`."""
        found = self._text.find("\n", at)
        return len(self._text) if found < 0 else found + 1

    def _joined(self, made: Sequence[str], at: int) -> str:
        body = "".join(line + self._newline for line in made)
        return body if not at or self._text[at - 1] == "\n" else self._newline + body.rstrip("\r\n")


def _vacant(node: Node) -> bool:
    """True when a map may be written there: nothing, `null`, `{}`."""
    if node.kind == "map":
        return not node.entries
    return node.kind == "scalar" and not node.style and node.text in ("", "null", "~")
