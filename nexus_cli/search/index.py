"""The search over everything that is declared: a line of text for each area, line, device and tag. Pure.

To look through the 41,000 lines of a large site takes a few milliseconds; an index of words would be larger, and would
not find the middle of a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nexus_cli.search.about import NOTHING_SAID, About, about_place, about_tag
from nexus_cli.search.declared import Declared, DeclaredTag
from nexus_cli.search.places import Span
from nexus_cli.search.uses import TAG, Uses
from nexus_cli.wire.web_find import Hit

Mask = NDArray[np.bool_]

MOST_WORDS = 8
FIELD = "\t"
FIELDS = ("path", "unit", "description", "address", "labels", "names", "owner", "classification", "pii", "lineage")
"""Parts of a line, in this order."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a line is about: a tag by its index, or a place by its path."""

    tag: int
    place: str
    labels: Mapping[str, str]
    about: About = NOTHING_SAID


class SearchIndex:
    """Everything that is declared. Making it takes about half a second for 41,000 tags: not on the loop."""

    def __init__(self, declared: Declared, places: Mapping[str, Span]) -> None:
        """Read it once.

        Args:
            declared: What is searched.
            places: Its areas, lines and devices (`spans_of`).
        """
        self._tag_at, self._places = declared.tags, places
        self._words = {device.path: device.description for device in declared.devices}
        self._uses: Uses = {path: list(many) for path, many in declared.uses.items()}
        self._entries: list[_Entry] = []
        self._lines: list[str] = []
        for entry, fields in self._all(declared):
            self._entries.append(entry)
            self._lines.append(FIELD.join(map(_plain, fields)))
        self._paths = [line.partition(FIELD)[0] for line in self._lines]
        self._names = [path.rpartition("/")[2] for path in self._paths]
        self._tags = np.array([entry.tag for entry in self._entries], np.int64)
        self._above = [at for at, entry in enumerate(self._entries) if entry.tag < 0]

    def _all(self, declared: Declared) -> Iterator[tuple[_Entry, tuple[str, ...]]]:
        for span in self._places.values():
            if span.kind in ("area", "line"):
                above = declared.labels_above(span.path)
                about = about_place(declared.places.get(span.path))
                said = (span.path, "", about.description, "", _said(above), "", *about.words())
                yield _Entry(-1, span.path, above, about), said
        for device in declared.devices:
            path, attributes = device.path, declared.attributes(device.path)
            labels = {**declared.labels_above(path), **attributes.get("labels", {})}
            about = about_tag(attributes, external=False)
            said = (path, "", device.description, device.protocol, _said(labels), "", *about.words())
            yield _Entry(-1, path, labels, about), said
            external = not attributes.get("gateway")
            for at in range(device.first, device.last):
                tag = declared.tags[at]
                own: Mapping[str, Any] = attributes.get("tags", {}).get(tag.path.rpartition("/")[2], {})
                mine = {**labels, **own.get("labels", {})}
                for used in dict.fromkeys(own.get("inputs", {}).values()):
                    self._uses.setdefault(used, []).append(TAG + tag.path)
                names = " ".join(map(str, own.get("values", {}).values()))
                about = about_tag(own, external=external)
                fields = (tag.path, tag.unit, tag.description, tag.address, _said(mine), names, *about.words())
                yield _Entry(at, tag.path, mine, about), fields

    def find(self, words: str, readable: Mask | None = None, *, limit: int) -> tuple[list[Hit], int]:
        """The best `limit` finds that have every word, and how many there are.

        Best is what is called so, then what begins so, then what has it in its path; in the order of the lines among equals.
        `readable` says of each tag whether the caller may see it; None: all of them.
        """
        wanted = [_plain(word) for word in words.split()][:MOST_WORDS]
        if not wanted:
            return [], 0
        wanted.sort(key=len, reverse=True)
        lines = self._lines
        found = [at for at, line in enumerate(lines) if wanted[0] in line]
        if readable is not None:
            seen = self._readable(readable)
            found = [at for at in found if seen[at]]
        for word in wanted[1:]:
            found = [at for at in found if word in lines[at]]
        return [self._hit(at, wanted) for at in islice(self._best_first(found, wanted), limit)], len(found)

    def _best_first(self, found: list[int], wanted: list[str]) -> Iterator[int]:
        """Finds, the best first; looked at only as far as they are taken: of a word that is everywhere only some are shown."""
        names, paths, begins = self._names, self._paths, tuple(wanted)
        well = [at for at in found if names[at].startswith(begins) or paths[at] == wanted[0]]
        yield from (at for at in well if names[at] in wanted or paths[at] == wanted[0])
        yield from (at for at in well if not (names[at] in wanted or paths[at] == wanted[0]))
        first = set(well)
        yield from (at for at in found if at not in first and all(word in paths[at] for word in wanted))
        yield from (at for at in found if at not in first and not all(word in paths[at] for word in wanted))

    def _readable(self, readable: Mask) -> list[bool]:
        """Which lines the caller may see: those of tags that it reads, and of what is above them."""
        seen = np.zeros(len(self._entries), np.bool_)
        tags = self._tags >= 0
        seen[tags] = readable[self._tags[tags]]
        for at in self._above:
            span = self._places[self._entries[at].place]
            seen[at] = readable[span.first : span.last].any()
        found: list[bool] = seen.tolist()
        return found

    def _hit(self, at: int, wanted: list[str]) -> Hit:
        entry, parts = self._entries[at], self._lines[at].split(FIELD)
        where = [name for name, part in zip(FIELDS, parts, strict=True) if any(word in part for word in wanted)]
        if entry.tag < 0:
            span = self._places[entry.place]
            words = self._words.get(span.path, "") or entry.about.description
            hit = Hit(path=span.path, kind=span.kind, description=words, labels=dict(entry.labels), where=where)
        else:
            hit = _tag_hit(self._tag_at[entry.tag], entry.labels, where)
        about = entry.about
        return msgspec.structs.replace(
            hit,
            owner=about.owner,
            classification=about.classification,
            pii=about.pii,
            lineage=about.lineage,
            used_by=self._uses.get(hit.path, []) if entry.tag >= 0 else [],
        )


def _tag_hit(tag: DeclaredTag, labels: Mapping[str, str], where: list[str]) -> Hit:
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


def _plain(text: str) -> str:
    """In lower case, without what separates fields."""
    return text.casefold().replace(FIELD, " ")


def _said(labels: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in labels.items())
