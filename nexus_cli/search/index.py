"""The search over everything that is declared: a line of text for each area, line, device and tag. Pure.

To look through the 41,000 lines of a large site takes a few milliseconds; an index of words would be larger, and would
not find the middle of a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

import numpy as np
import orjson

from nexus_cli.model.resources import SiteConfig, decode
from nexus_cli.runtime.web.caller_rights import Mask
from nexus_cli.runtime.web.rest.branches import Places
from nexus_cli.runtime.web.site_view import SiteView, TagView
from nexus_cli.wire.web_find import Hit

MOST_WORDS = 8
FIELD = "\t"
FIELDS = ("path", "unit", "description", "address", "labels", "names")
"""Parts of a line, in this order."""


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
        self._lines: list[str] = []
        for entry, fields in self._all():
            self._entries.append(entry)
            self._lines.append(FIELD.join(map(_plain, fields)))
        self._paths = [line.partition(FIELD)[0] for line in self._lines]
        self._names = [path.rpartition("/")[2] for path in self._paths]
        self._tags = np.array([entry.tag for entry in self._entries], np.int64)
        self._above = [at for at, entry in enumerate(self._entries) if entry.tag < 0]

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
        lines = self._lines
        found = [at for at, line in enumerate(lines) if wanted[0] in line]
        for word in wanted[1:]:
            found = [at for at in found if word in lines[at]]
        seen = self._readable(readable)
        ranked = [(self._rank(at, wanted), at) for at in found if seen[at]]
        return [self._hit(at, wanted) for _, at in nsmallest(limit, ranked)], len(ranked)

    def _readable(self, readable: Mask) -> list[bool]:
        """Which lines the caller may see: those of tags that it reads, and of what is above them."""
        seen = np.zeros(len(self._entries), np.bool_)
        tags = self._tags >= 0
        seen[tags] = readable[self._tags[tags]]
        for at in self._above:
            span = self._places.spans[self._entries[at].place]
            seen[at] = readable[span.first : span.last].any()
        found: list[bool] = seen.tolist()
        return found

    def _rank(self, at: int, wanted: list[str]) -> int:
        """0 is best."""
        name = self._names[at]
        if name in wanted or self._paths[at] == wanted[0]:
            return 0
        if name.startswith(tuple(wanted)):
            return 1
        path = self._paths[at]
        return 2 if all(word in path for word in wanted) else 3

    def _hit(self, at: int, wanted: list[str]) -> Hit:
        entry, parts = self._entries[at], self._lines[at].split(FIELD)
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
    """In lower case, without what separates fields."""
    return text.casefold().replace(FIELD, " ")


def _said(labels: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in labels.items())
