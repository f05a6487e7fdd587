"""A YAML text as a tree of nodes with their exact places, for edits; aliases stay aliases.

libyaml's marks say where an event was noticed: an empty value is at the next token, a block ends behind the
comments that follow it. Here a node ends where its own text ends.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml
from yaml._yaml import CParser

from nexus_cli.source.encoding import for_libyaml
from nexus_cli.source.scalars import CORE_PREFIX, CORE_TAGS, ScalarError, resolve, resolve_tagged

_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*(?:[&!]\S*\Z)?")
_COMMENT = re.compile(r"#[^\r\n]*")
_KEEPS = re.compile(r"[|>][0-9]?\+")
_FILLING = re.compile(r"(?:\s|#[^\n]*)*")
MAX_DEPTH = 64
"""Levels; as `syntax.MAX_DEPTH`."""


@dataclass(slots=True, eq=False)
class Node:
    """A node of the text.

    Attributes:
        kind: What it is.
        start: Where it begins, its anchor and tag included.
        begin: Where it begins without them.
        end: Where its own text ends; a block's last line break apart. Equal to `start` when there is no text.
        flow: In brackets.
        style: Of a scalar: "" plain, a quote, `|` or `>`.
        anchor: Its anchor's name, of an alias the name that it refers to.
        tag: As written, or "".
        text: Of a scalar.
        entries: Of a map: key, value, position behind the colon.
        items: Of a list.
        target: Of an alias.
    """

    kind: Literal["map", "list", "scalar", "alias"]
    start: int
    begin: int = 0
    end: int = 0
    flow: bool = False
    style: str = ""
    anchor: str = ""
    tag: str = ""
    text: str = ""
    entries: list[tuple[Node, Node, int]] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)
    target: Node | None = None
    _index: dict[str, tuple[Node, Node, int]] | None = None

    @property
    def empty(self) -> bool:
        """True when nothing is written there."""
        return self.end == self.start

    def entry(self, name: str) -> tuple[Node, Node, int] | None:
        """The first entry of a key; indexed once, because a map may hold 100,000 tags."""
        if self._index is None:
            self._index = {one[0].text: one for one in reversed(self.entries) if one[0].kind == "scalar"}
        return self._index.get(name)

    def below(self) -> Iterator[Node]:
        """This node and every one below it, aliases not followed."""
        yield self
        for key, value, _ in self.entries:
            yield from key.below()
            yield from value.below()
        for item in self.items:
            yield from item.below()


class Places:
    """The nodes and comments of one text.

    Args:
        text: The whole file.

    Attributes:
        root: None when the text has no content.
        aliased: How often an alias refers to an anchor, by name.

    Raises:
        yaml.YAMLError, RecursionError: It can't be parsed.
        ValueError: It nests too deep, or an alias has no anchor.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        readable, self._back = for_libyaml(text)
        self._get: Callable[[], Any] = CParser(readable).get_event
        self._anchors: dict[str, Node] = {}
        self._at = 0  # where the last written part ended
        self._scalars: list[tuple[int, int]] = []
        self.aliased: Counter[str] = Counter()
        self.root: Node | None = None
        while (event := self._get()) is not None:
            if isinstance(event, yaml.DocumentStartEvent):
                if self.root is not None:
                    raise ValueError("it holds several documents")
                self._at = event.end_mark.index
                self.root = self._node(self._get(), 0)

    def comments(self) -> list[tuple[int, str]]:
        """Every comment: the place of its `#`, and its text without spaces at the end."""
        found: list[tuple[int, str]] = []
        position = 0
        for start, end in [*self._scalars, (len(self._text), len(self._text))]:
            found += [
                (position + match.start(), match[0].rstrip()) for match in _COMMENT.finditer(self._text[position:start])
            ]
            position = end
        return found

    def _node(self, event: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise ValueError(f"it nests deeper than {MAX_DEPTH} levels")
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, yaml.AliasEvent):
            self.aliased[event.anchor] += 1
            target = self._anchors.get(event.anchor)
            if target is None:
                raise ValueError(f"the alias '*{event.anchor}' has no anchor before it")
            self._at = end
            return Node("alias", start, begin=start, end=end, anchor=event.anchor, target=target)
        properties = _PROPERTIES.match(self._text[start:end]) if event.anchor or event.tag else None
        begin = start + (properties.end() if properties is not None else 0)
        if isinstance(event, yaml.ScalarEvent):
            node = Node("scalar", start, begin=begin, style=event.style or "", text=self._back(event.value))
            node.end = self._scalar_end(begin, end) if node.style in ("|", ">") else end
            if node.end > start:
                self._at = node.end
                self._hold(node)
        else:
            is_map = isinstance(event, yaml.MappingStartEvent)
            node = Node("map" if is_map else "list", start, begin=begin, flow=bool(event.flow_style))
            if node.flow:
                node.begin = end - 1
                self._at = end
            elif properties is not None:
                self._at = max(self._at, start + len(properties[0].rstrip()))
        node.anchor, node.tag = event.anchor or "", event.tag or ""
        if node.anchor:
            self._anchors[node.anchor] = node
        if node.kind == "map":
            self._map(node, depth)
        elif node.kind == "list":
            self._list(node, depth)
        return node

    def _map(self, node: Node, depth: int) -> None:
        while not isinstance(event := self._get(), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if key.empty:
                key.start = key.begin = key.end = self._at
            colon = self._behind(":", max(key.end, self._at))
            self._at = colon
            value = self._node(self._get(), depth + 1)
            if value.empty:
                value.start = value.begin = value.end = colon
            node.entries.append((key, value, colon))
        self._close(node, event)

    def _list(self, node: Node, depth: int) -> None:
        while not isinstance(event := self._get(), yaml.SequenceEndEvent):
            if not node.flow:
                self._at = self._behind("-", self._at)
            item = self._node(event, depth + 1)
            if item.empty:
                item.start = item.begin = item.end = self._at
            node.items.append(item)
        self._close(node, event)

    def _close(self, node: Node, event: Any) -> None:
        if node.flow:
            self._at = event.end_mark.index
        node.end = self._at

    def _hold(self, node: Node) -> None:
        """Remember the places of a scalar's words: a `#` in there begins no comment."""
        header = self._text.find("\n", node.begin, node.end) if node.style in ("|", ">") else -1
        if header < 0:
            self._scalars.append((node.start, node.end))
            return
        sign = self._text.find("#", node.begin, header)
        self._scalars += [(node.start, header if sign < 0 else sign), (header, node.end)]

    def _behind(self, sign: str, position: int) -> int:
        """The position behind a sign that follows white space and comments; where it began when it does not."""
        match = _FILLING.match(self._text, position)
        at = match.end() if match is not None else position
        return at + 1 if self._text[at : at + 1] == sign else position

    def _scalar_end(self, begin: int, end: int) -> int:
        """Where the last line of a block scalar ends that belongs to its value."""
        words = self._text[begin:end]
        header, _, body = words.partition("\n")
        lines = body.split("\n") if body else []
        if words.endswith("\n") and lines:
            lines.pop()
        indent = next((len(line) - len(line.lstrip(" ")) for line in lines if line.strip(" \r")), 0)
        if not _KEEPS.match(header):
            while lines and not lines[-1].strip(" \r") and len(lines[-1].rstrip("\r")) <= indent:
                lines.pop()
        last = begin + len(header) + sum(len(line) + 1 for line in lines)
        return last - 1 if self._text[last - 1 : last] == "\r" and last > begin else last


def plain(node: Node | None) -> Any:
    """A node as plain values, by YAML 1.2's core schema; keys as they are written, aliases followed."""
    if node is None:
        return None
    if node.kind == "alias":
        return plain(node.target)
    if node.kind == "map":
        return {key.text if key.kind == "scalar" else repr(plain(key)): plain(value) for key, value, _ in node.entries}
    if node.kind == "list":
        return [plain(item) for item in node.items]
    name = node.tag.removeprefix(CORE_PREFIX)
    try:
        if node.tag and name != node.tag and name in CORE_TAGS:
            return resolve_tagged(node.text, name)
        return node.text if node.style or node.tag else resolve(node.text)
    except ScalarError:
        return node.text
