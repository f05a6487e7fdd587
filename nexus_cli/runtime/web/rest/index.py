"""The search over everything that is declared: one text, looked through word by word. Pure.

The text has a line for each area, line, device and tag, in lower case. `str.find` looks through the 6 MB of 41,000 tags in
a few milliseconds; an index of words would be larger, and would not find the middle of a word.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from nexus_cli.model.resources import SiteConfig, decode
from nexus_cli.runtime.web.caller_rights import Mask
from nexus_cli.runtime.web.rest.branches import Places
from nexus_cli.runtime.web.site_view import SiteView, TagView
from nexus_cli.wire.web_find import Hit

MOST_WORDS = 8
FIELD, LINE = "\t", "\n"
FIELDS = ("path", "unit", "description", "address", "labels", "names")
"""Parts of a line, in this order."""
_BETWEEN = {FIELD: " ", LINE: " "}


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a line is about: a tag by its index, or a place by its path."""

    tag: int
    place: str
    labels: Mapping[str, str]


class SearchIndex:
    """Everything of one view. Making it takes about half a second for 41,000 tags: not on the loop."""

    def __init__(self, view: SiteView, places: Places) -> None:
        """Read the view once."""
        self._view, self._places = view, places
        self._entries: list[_Entry] = []
        lines: list[str] = []
        for entry, fields in self._all():
            self._entries.append(entry)
            lines.append(FIELD.join(map(_plain, fields)))
        self._starts: list[int] = []
        at = 0
        for line in lines:
            self._starts.append(at)
            at += len(line) + 1
        self._text = LINE.join(lines) + LINE

    def _all(self) -> Iterator[tuple[_Entry, tuple[str, ...]]]:
        site = decode({"enterprise": "", "site": "", **self._view.resources.get("site", {})}, SiteConfig)
        for span in self._places.spans.values():
            if span.kind in ("area", "line"):
                above = _above(site, span.path)
                yield _Entry(-1, span.path, above), (span.path, "", "", "", _said(above), "")
        for path, device in self._view.devices.items():
            declared: dict[str, Any] = orjson.loads(device.raw)
            labels = self._view.tree.places[path].labels
            yield _Entry(-1, path, labels), (path, "", device.description, device.protocol, _said(labels), "")
            for tag in self._view.tags[device.first : device.last]:
                own: dict[str, Any] = declared.get("tags", {}).get(tag.name, {})
                mine = {**labels, **own.get("labels", {})}
                names = " ".join(map(str, own.get("values", {}).values()))
                fields = (tag.path, tag.unit, tag.description, tag.address, _said(mine), names)
                yield _Entry(tag.index, tag.path, mine), fields

    def find(self, words: str, readable: Mask, *, limit: int) -> tuple[list[Hit], int]:
        """The best `limit` finds that have every word, and how many there are.

        Best is what is called so, then what begins so, then what has it in its path; by path among equals.
        """
        wanted = [_plain(word) for word in words.split()][:MOST_WORDS]
        if not wanted:
            return [], 0
        wanted.sort(key=len, reverse=True)
        found = []
        for at in self._lines_with(wanted[0]):
            entry = self._entries[at]
            if not self._readable(entry, readable):
                continue
            line = self._line(at)
            if all(word in line for word in wanted[1:]):
                found.append((_rank(line, wanted), at))
        found.sort()
        return [self._hit(at, wanted) for _, at in found[:limit]], len(found)

    def _lines_with(self, word: str) -> Iterable[int]:
        at, line = self._text.find(word), -1
        while at >= 0:
            line = bisect_right(self._starts, at, lo=line + 1) - 1
            yield line
            if line + 1 == len(self._starts):
                return
            at = self._text.find(word, self._starts[line + 1])

    def _line(self, at: int) -> str:
        start = self._starts[at]
        return self._text[start : self._text.index(LINE, start)]

    def _readable(self, entry: _Entry, readable: Mask) -> bool:
        if entry.tag >= 0:
            return bool(readable[entry.tag])
        span = self._places.spans[entry.place]
        return bool(readable[span.first : span.last].any())

    def _hit(self, at: int, wanted: list[str]) -> Hit:
        entry, parts = self._entries[at], self._line(at).split(FIELD)
        where = [name for name, part in zip(FIELDS, parts, strict=True) if any(word in part for word in wanted)]
        if entry.tag < 0:
            span = self._places.spans[entry.place]
            device = self._view.devices.get(span.path)
            words = device.description if device is not None else ""
            return Hit(path=span.path, kind=span.kind, description=words, labels=dict(entry.labels), where=where)
        return _tag_hit(self._view.tags[entry.tag], entry.labels, where)


def _tag_hit(tag: TagView, labels: Mapping[str, str], where: list[str]) -> Hit:
    return Hit(
        path=tag.path,
        kind="tag",
        unit=tag.unit,
        type=tag.type,
        description=tag.description,
        address=tag.address,
        labels=dict(labels),
        where=where,
    )


def _above(site: SiteConfig, path: str) -> dict[str, str]:
    levels = path.split("/")
    return {**site.labels.get(levels[0], {}), **site.labels.get("/".join(levels[:2]), {})}


def _plain(text: str) -> str:
    """In lower case, without what separates fields and lines."""
    found = text.casefold()
    for sign, other in _BETWEEN.items():
        found = found.replace(sign, other)
    return found


def _said(labels: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in labels.items())


def _rank(line: str, wanted: list[str]) -> int:
    """0 is best."""
    path = line.partition(FIELD)[0]
    name = path.rpartition("/")[2]
    if path == wanted[0] or name in wanted:
        return 0
    if any(name.startswith(word) for word in wanted):
        return 1
    return 2 if all(word in path for word in wanted) else 3
