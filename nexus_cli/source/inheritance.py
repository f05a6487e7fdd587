"""Who gives a device or a tag the value of a key: its own text, the `defaults` of its line, area or site, or no text at all.

What is inherited keeps the mark of a text that hands it down. Tags of several devices that inherit equal values may be one
object, whose marks are those of the first of them: so a mark says whether a value is inherited, and the nearest of the
device and its levels that has the key says from whom.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from nexus_cli.source.nodes import Map
from nexus_cli.source.tree import SourceTree

OWN, LINE, AREA, SITE, BUILT_IN = "own", "line", "area", "site", "built-in"
LEVELS = (LINE, AREA, SITE, BUILT_IN)
"""Who hands a value down, the nearest first; `built-in` is what counts where no text says anything."""
LAID = ("connection", "quality")
"""Maps that are laid over each other key by key."""


class Giver(NamedTuple):
    """Who gives a value.

    Attributes:
        level: `own` (the device, its template or the tag), `line`, `area`, `site`, or `built-in`.
        path: `area/line` or `area`; "" for the others.
    """

    level: str
    path: str = ""


class Inheritance:
    """Answers for one site."""

    def __init__(self, tree: SourceTree) -> None:
        """Of a site without errors."""
        self._tree = tree

    def giver(self, device: str, tag: str, key: str, inner: str = "") -> Giver:
        """Who gives a value.

        Args:
            device: `area/line/device`.
            tag: Its name; "" is the device itself.
            key: As it is written, such as `poll`.
            inner: Of `connection` and `quality`: the key below it.
        """
        area, line, name = device.split("/")
        of_device = self._tree.device(("areas", area, "lines", line, "devices", name))
        mark = _mark(_inside(of_device, tag), key, inner)
        if mark is None:
            return Giver(BUILT_IN)
        handed_down = (key, inner, mark) in self._of_levels
        if tag and (handed_down or (key, inner, mark) in self._of_devices):
            # The tag says nothing of its own: its device comes first, and may have it from a level itself.
            mark = _mark(of_device, key, inner)
            handed_down = mark is None or (key, inner, mark) in self._of_levels
        if handed_down:
            for found, level in self._levels(area, line):
                if _mark(level, key, inner) is not None:
                    return found
        return Giver(OWN)

    @cached_property
    def _of_levels(self) -> frozenset[tuple[str, str, int]]:
        """Key, inner key and mark of everything that some level of the site hands down."""
        return frozenset(each for level in self._every_level() for each in _marks(level))

    @cached_property
    def _of_devices(self) -> frozenset[tuple[str, str, int]]:
        """The same of what devices and their templates hand down to their tags; a device that was not read shares nothing."""
        found: set[tuple[str, str, int]] = set()
        for area, line in self._lines():
            devices = _below(self._tree.root["areas"][area]["lines"][line], "devices")
            for name, device in devices.items() if isinstance(devices, Map) else ():
                if f"{area}/{line}/{name}" not in self._tree.kept:
                    found.update(_marks(device))
        return frozenset(found)

    def _lines(self) -> Iterator[tuple[str, str]]:
        areas = self._tree.root.get("areas")
        for area, of_area in areas.items() if isinstance(areas, Map) else ():
            lines = _below(of_area, "lines")
            yield from ((area, line) for line, of_line in lines.items() if of_line) if isinstance(lines, Map) else ()

    def _every_level(self) -> Iterator[Map]:
        for area, line in self._lines():
            yield from (level for _, level in self._levels(area, line))

    def _levels(self, area: str, line: str) -> Iterator[tuple[Giver, Map]]:
        """The maps that hand down, the nearest first: of a line and an area their own keys, then their `defaults`."""
        of_area = self._tree.root["areas"][area]
        of_line = of_area["lines"][line]
        for found, holder in ((Giver(LINE, f"{area}/{line}"), of_line), (Giver(AREA, area), of_area)):
            yield from ((found, each) for each in (holder, holder.get("defaults")) if isinstance(each, Map))
        if isinstance(defaults := self._tree.root.get("defaults"), Map):
            yield Giver(SITE), defaults


def _inside(device: Any, tag: str) -> Any:
    if not tag:
        return device
    for named in ("tags", "calculated"):
        if isinstance(tags := _below(device, named), Map) and tag in tags:
            return tags[tag]
    return None


def _below(holder: Any, key: str) -> Any:
    return holder.get(key) if isinstance(holder, Map) else None


def _mark(holder: Any, key: str, inner: str) -> int | None:
    """Mark of a value, or of the value below it; None where it is not there."""
    if inner:
        holder, key = _below(holder, key), inner
    return holder.marks.get(key) if isinstance(holder, Map) and key in holder else None


def _marks(holder: Any) -> Iterator[tuple[str, str, int]]:
    """Key, inner key and mark of a map's values, and of those one level below that are laid over each other."""
    if not isinstance(holder, Map):
        return
    for key, mark in holder.marks.items():
        yield str(key), "", mark
        if key in LAID and isinstance(below := holder.get(key), Map):
            yield from ((str(key), str(inner), each) for inner, each in below.marks.items())
