"""Devices as sections of their text: a section is read on demand, and known by the digest of its text.

The text without its sections is read as a whole, each section as a text of its own. Both together mean what the whole
text means as long as every section is complete in itself (a map without aliases and without a finding) and every key
whose section was taken out is found again, empty, at its place. Where anything is in doubt the whole text is read.

See docs/decisions/0062.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from nexus_cli.source.nodes import Map, Seq, SourceFile, pack, unpack
from nexus_cli.source.plain_section import PlainSection
from nexus_cli.source.pool import Pool
from nexus_cli.source.reader import Reader

DIGEST_BYTES = 16
DEPTH = 6
"""Levels above a device's own map: areas, area, lines, line, devices, device."""

_HEAD = re.compile(r"\n( +)devices:[ \t]*(?:#[^\n]*)?\r?(?=\n)")
_FIRST = re.compile(r"(?:\n[ \t]*(?:#[^\n]*)?\r?(?=\n))*\n( +)(?=[^ \t#\r\n])")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*:(?=[ \r\n])")
_REST = re.compile(r"[ \t]*(?:#[^\n]*)?\r?\n| *(?=\{)")
_FILLING = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\r?\n)* *")


class Section(Map):
    """The map of one device, empty until it is opened.

    Attributes:
        file: Where it is written.
        key_start: Position of the device's name.
        start, end: Its text, from behind the colon up to the line break before what follows.
        digest: Of that text.
        opened: True once its content is here.
    """

    __slots__ = ("digest", "end", "file", "key_start", "opened", "start")

    def __init__(self, file: SourceFile, key_start: int, start: int, end: int) -> None:
        super().__init__()
        self.marks = {}
        self.file, self.key_start, self.start, self.end = file, key_start, start, end
        self.opened = False
        self.digest = hashlib.blake2b(self.text.encode(), digest_size=DIGEST_BYTES).digest()

    @property
    def text(self) -> str:
        """What is written in it, with the line break at its end."""
        return self.file.text[self.start : self.end + 1]

    def open(self, references: list[tuple[Any, Any]], pool: Pool | None = None) -> bool:
        """Read it in place.

        Args:
            references: Takes `(container, key)` of every string with `${` in it.
            pool: Strings and numbers that were read before.

        Returns:
            False when it does not mean the same by itself as in its file.
        """
        if self.opened:
            return True
        text = self.text
        plain = PlainSection(text, self.file.number, self.start, pool or Pool())
        if (root := plain.read()) is not None:
            self._take(root, plain.references, references)
            return True
        reader = Reader(self.file, text=text, offset=self.start, depth=DEPTH, pool=pool)
        root = reader.read_piece()
        if not isinstance(root, Map) or reader.findings or reader.shared or reader.documents != 1:
            return False
        self._take(root, reader.references, references)
        return True

    def _take(self, root: Map, own: list[tuple[Any, Any]], references: list[tuple[Any, Any]]) -> None:
        self.update(root)
        self.marks = root.marks
        references.extend((self if holder is root else holder, key) for holder, key in own)
        self.opened = True


@dataclass(slots=True)
class Sectioned:
    """A file that was read in sections.

    Attributes:
        root: Its map; devices are `Section`s.
        references: As of a `Reader`, for what was opened.
    """

    root: Map
    references: list[tuple[Any, Any]]


def read_sections(file: SourceFile, known: frozenset[bytes], pool: Pool) -> Sectioned | None:
    """Read a file in sections.

    Args:
        file: The file.
        known: Digests of sections that were opened without a finding before; they stay closed.
        pool: Strings and numbers of the files before.

    Returns:
        None where it has no sections, or where the whole text has to be read.
    """
    text = file.text
    if "\ufeff" in text or ("\r" in text and text.count("\r") != text.count("\r\n")):
        return None
    found = {section.key_start: section for section in _sections(file)}
    if not found:
        return None
    cuts = list(found.values())
    skeleton = Reader(file, text=_without(text, cuts), pool=pool)
    root = skeleton.read_piece()
    if not isinstance(root, Map) or skeleton.findings or skeleton.shared or skeleton.documents != 1:
        return None
    _shift(root, cuts, file.number)
    references = list(skeleton.references)
    if _place(root, found) < len(found):
        return None
    if not all(one.digest in known or one.open(references, pool) for one in cuts):
        return None
    return Sectioned(root, references)


def devices(root: Map) -> Iterator[tuple[str, str, Any, Map]]:
    """Area, line, name and the map that holds it, of every device below `areas` that is a map."""
    for area, lines in below(root, "areas"):
        for line, named in below(lines, "lines"):
            holder = named.get("devices")
            if isinstance(holder, Map):
                for name, device in holder.items():
                    if isinstance(device, Map):
                        yield str(area), str(line), name, holder


def below(node: Map, key: str) -> Iterator[tuple[Any, Map]]:
    """Name and map of everything below a key that is a map."""
    inner = node.get(key)
    if isinstance(inner, Map):
        yield from ((name, one) for name, one in inner.items() if isinstance(one, Map))


def _sections(file: SourceFile) -> Iterator[Section]:
    text, done = file.text, 0
    for head in _HEAD.finditer(text):
        first = _FIRST.match(text, head.end()) if head.start() >= done else None
        if first is None or len(first[1]) <= len(head[1]):
            continue
        indent = len(first[1])
        starts = []
        for line in _structure(indent).finditer(text, first.start(1) - 1):
            starts.append(line.start())
            if line.end() - line.start() - 1 < indent:
                break
        else:
            starts.append(len(text))
        done = starts[-1]
        for line_break, following in pairwise(starts):
            key = _KEY.match(text, line_break + 1 + indent)
            rest = _REST.match(text, key.end()) if key else None
            if key and rest and rest.end() <= following:
                yield Section(file, key.start(), key.end(), following)


@lru_cache(maxsize=64)
def _structure(indent: int) -> re.Pattern[str]:
    """Line breaks before lines that are indented at most so far; comments and empty lines have no structure."""
    return re.compile(rf"\n {{0,{indent}}}(?=[^ #\r\n])")


def _without(text: str, cuts: Iterable[Section]) -> str:
    parts, position = [], 0
    for cut in cuts:
        parts.append(text[position : cut.start])
        position = cut.end
    return "".join([*parts, text[position:]])


def _shift(root: Map, cuts: list[Section], number: int) -> None:
    """Change the marks of the text without its sections into those of the whole text."""
    places, moved, removed = [], [0], 0
    for cut in cuts:
        places.append(cut.start - removed)
        removed += cut.end - cut.start
        moved.append(removed)

    def whole(mark: int) -> int:
        _, key, value = unpack(mark)
        return pack(number, key + moved[bisect_left(places, key)], value + moved[bisect_left(places, value)])

    stack: list[Any] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, Map):
            node.marks = {key: whole(mark) for key, mark in node.marks.items()}
            stack.extend(node.values())
        elif isinstance(node, Seq):
            node.marks = [whole(mark) for mark in node.marks]
            stack.extend(node)


def _place(root: Map, found: dict[int, Section]) -> int:
    """Put the sections at their keys; gives how many there were."""
    count = 0
    for _, lines in below(root, "areas"):
        for _, line in below(lines, "lines"):
            holder = line.get("devices")
            if isinstance(holder, Map):
                count += sum(_put(holder, name, found) for name in holder)
    return count


def _put(holder: Map, name: Any, found: dict[int, Section]) -> bool:
    number, key, _ = unpack(holder.marks[name])
    section = found.get(key)
    if section is None or holder[name] is not None:
        return False
    begin = _FILLING.match(section.file.text, section.start)
    holder[name] = section
    holder.marks[name] = pack(number, key, begin.end() if begin else section.start)
    return True
