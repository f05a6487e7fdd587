"""The fast way through a section: the few forms that nearly every device is written in, without libyaml.

It takes block maps of plain keys whose values are words, numbers, quoted texts without escapes, and maps and lists in
brackets on one line; all of it printable ASCII. It gives the very nodes that the reader gives, or None for every text that
holds anything else, errors included: that one is read by libyaml.

See docs/decisions/0062.
"""

from __future__ import annotations

import re
from typing import Any

from nexus_cli.json_value import JsonValue
from nexus_cli.source.nodes import Map, Seq, pack
from nexus_cli.source.pool import Pool
from nexus_cli.source.scalars import ScalarError, resolve

_WORD = r"(?:[A-Za-z0-9_./+(^=;~]|-(?=[A-Za-z0-9.]))[A-Za-z0-9_./+()^=;~%-]*"
_PLAIN = rf"{_WORD}(?: +[A-Za-z0-9_./+()^=;~%-]+)*"
_VALUE = rf"""({_PLAIN})|"([ !#-\[\]-~]*)"|'([ -&(-~]*)'|\[([^\[\]{{}}"'#:&*!|>\n]*)\]"""
_KEY = r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,999}):"
"""libyaml refuses a key whose colon is more than 1,024 characters behind its beginning."""
_END = r" *(?:(?<= )#[ -~]*)?(?:\n|\Z)"
_LINE = re.compile(rf"( *){_KEY}(?:{_END}| +(?:(\{{)|(?:{_VALUE}){_END}))")
_PAIR = re.compile(rf" *{_KEY} +(?:(\{{)|(?:{_VALUE}) *([,}}]))")
_EMPTY = re.compile(r"(?: *(?:#[ -~]*)?\n)+| *(?:#[ -~]*)?\Z")
_AFTER_MAP = re.compile(r" *([,}])")
_LINE_END = re.compile(_END)
_ITEM = re.compile(rf" *({_PLAIN}) *(?:,|\Z)")
_DEEPEST, _DEEPEST_BLOCK = 4, 16
"""Maps in brackets within each other, and maps of lines; deeper ones are few, and the reader has a limit for them."""


class _NotPlain(Exception):
    """The text has another form."""


class PlainSection:
    """Reads one section.

    Attributes:
        references: `(container, key)` of every string that holds `${`.
    """

    def __init__(self, text: str, number: int, offset: int, pool: Pool) -> None:
        """Take a section.

        Args:
            text: Of the section alone.
            number: Of its file.
            offset: Where in the file it begins.
            pool: Strings and numbers that were read before.
        """
        self._text = text
        self._base = pack(number, offset, offset)
        self._strings, self._numbers = pool.strings, pool.numbers
        self.references: list[tuple[Any, Any]] = []

    def read(self) -> Map | None:
        """The map of the section, None where libyaml has to read it."""
        try:
            if self._text.lstrip(" ").startswith("{"):
                return self._flow_alone()
            return self._block()
        except (_NotPlain, ScalarError):
            return None

    def _flow_alone(self) -> Map:
        start = self._text.index("{")
        root, position = self._flow(start + 1, 1)
        end = _LINE_END.match(self._text, position)
        if end is None or self._skip(end.end()) < len(self._text):
            raise _NotPlain
        return root

    def _skip(self, position: int) -> int:
        """Behind the lines without content that begin here."""
        empty = _EMPTY.match(self._text, position)
        return empty.end() if empty else position

    def _block(self) -> Map:
        text, base = self._text, self._base
        root = node = _map()
        indent, open_ = -1, False  # of the innermost map; whether the line before waits for its map
        outer: list[tuple[int, Map]] = []
        first = _LINE_END.match(text)
        position = self._skip(first.end()) if first else 0
        while position < len(text):
            line = _LINE.match(text, position)
            if line is None:
                raise _NotPlain
            deep, start = line.end(1) - position, line.start(2)
            if indent < 0:
                indent = deep
            elif open_:
                if deep <= indent:
                    raise _NotPlain
                inner = _map()
                key = next(reversed(node))
                node[key] = inner
                node.marks[key] += start
                outer.append((indent, node))
                if len(outer) > _DEEPEST_BLOCK:
                    raise _NotPlain
                node, indent = inner, deep
            while deep < indent and outer:
                indent, node = outer.pop()
            if deep != indent:
                raise _NotPlain
            key = self._key(line[2])
            if key in node:
                raise _NotPlain
            end, open_ = line.end(), False
            if line[3]:
                at = line.start(3)
                node[key], after = self._flow(at + 1, 1)
                closed = _LINE_END.match(text, after)
                if closed is None:
                    raise _NotPlain
                end = closed.end()
                node.marks[key] = base + (start << 32) + at
            elif line.lastindex == 2:
                node[key], open_ = None, True
                node.marks[key] = base + (start << 32)
            else:
                node[key], at = self._value(line, 4, node, key)
                node.marks[key] = base + (start << 32) + at
            position = self._skip(end)
        if open_ or indent < 0:
            raise _NotPlain
        return root

    def _flow(self, position: int, depth: int) -> tuple[Map, int]:
        """A map in brackets, from behind its bracket, and where it ends."""
        if depth > _DEEPEST:
            raise _NotPlain
        text, base, strings = self._text, self._base, self._strings
        node = Map()
        marks: dict[Any, int] = {}
        node.marks = marks
        match = _PAIR.match
        while True:
            pair = match(text, position)
            if pair is None:
                raise _NotPlain
            name, bracket, plain, _, _, _, sign = pair.groups()
            known = strings.get(name)
            key = self._key(name) if known is None else known
            if key in marks:
                raise _NotPlain
            position = pair.end()
            value: Any
            if plain is not None:
                known = strings.get(plain)
                value = self._plain(plain) if known is None else known
                at = pair.start(3)
            elif bracket:
                at = position - 1
                value, position = self._flow(position, depth + 1)
                after = _AFTER_MAP.match(text, position)
                if after is None:
                    raise _NotPlain
                sign, position = after[1], after.end()
            else:
                value, at = self._value(pair, 3, node, key)
            node[key] = value
            marks[key] = base + (pair.start(1) << 32) + at
            if sign == "}":
                return node, position

    def _value(self, match: re.Match[str], group: int, holder: Map, key: Any) -> tuple[Any, int]:
        """The value of a line or pair, whose forms are groups from this one on, and where it begins."""
        if (plain := match[group]) is not None:
            return self._plain(plain), match.start(group)
        for quoted in (group + 1, group + 2):
            if (text := match[quoted]) is not None:
                if "${" in text:
                    self.references.append((holder, key))
                return text, match.start(quoted) - 1
        return self._list(match[group + 3], match.start(group + 3)), match.start(group + 3) - 1

    def _list(self, text: str, start: int) -> Seq:
        items = Seq()
        items.marks = []
        position = 0
        while position < len(text):
            item = _ITEM.match(text, position)
            if item is None:
                raise _NotPlain
            at = start + item.start(1)
            items.append(self._plain(item[1]))
            items.marks.append(self._base + (at << 32) + at)
            position = item.end()
        if text.rstrip().endswith(",") or (text and not items):
            raise _NotPlain
        return items

    def _plain(self, text: str) -> JsonValue:
        known = self._strings.get(text)
        if known is not None:
            return known
        if text in self._numbers:
            return self._numbers[text]
        value = resolve(text)
        if isinstance(value, str):
            self._strings[text] = text
            return text
        self._numbers[text] = value
        return value

    def _key(self, text: str) -> str | int:
        value = self._plain(text)
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise _NotPlain


def _map() -> Map:
    made = Map()
    made.marks = {}
    return made
