"""Who gives a device or a tag the value of a key: its own text, the `defaults` of its line, area or site, or nobody.

What is inherited keeps the mark of the text that it came from, so the marks say where that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from nexus_cli.source.nodes import Map
from nexus_cli.source.tree import SourceTree

OWN, LINE, AREA, SITE, BUILT_IN = "own", "line", "area", "site", "built-in"
LEVELS = (LINE, AREA, SITE, BUILT_IN)
"""Who hands a value down, the nearest first; `built-in` is what counts where no text says anything."""


class Giver(NamedTuple):
    """Who gives a value.

    Attributes:
        level: `own` (the device, its template or the tag), `line`, `area`, `site`, or `built-in`.
        path: `area/line` or `area`; "" for the others.
    """

    level: str
    path: str = ""


def giver(tree: SourceTree, device: str, tag: str, key: str, inner: str = "") -> Giver:
    """Who gives a value.

    Args:
        tree: Of the site.
        device: `area/line/device`.
        tag: Its name; "" is the device itself.
        key: As it is written, such as `poll`.
        inner: Of `connection` and `quality`: the key below it.
    """
    area, line, name = device.split("/")
    holder = _inside(tree.device(("areas", area, "lines", line, "devices", name)), tag)
    if inner:
        holder = holder.get(key) if isinstance(holder, Map) else None
        key, above = inner, key
    else:
        above = ""
    mark = holder.marks.get(key) if isinstance(holder, Map) else None
    if mark is None:
        return Giver(BUILT_IN)
    for found, level in _levels(tree.root, area, line):
        given = level.get(above) if above else level
        if mark and isinstance(given, Map) and given.marks.get(key) == mark:
            return found
    return Giver(OWN)


def _inside(device: Any, tag: str) -> Any:
    if not tag:
        return device
    for named in ("tags", "calculated"):
        tags = device.get(named) if isinstance(device, Map) else None
        if isinstance(tags, Map) and tag in tags:
            return tags[tag]
    return None


def _levels(root: Mapping[Any, Any], area: str, line: str) -> Iterator[tuple[Giver, Map]]:
    """The maps that hand down, the nearest first: of a line and an area their own keys, then their `defaults`."""
    of_area = root["areas"][area]
    of_line = of_area["lines"][line]
    for found, holder in ((Giver(LINE, f"{area}/{line}"), of_line), (Giver(AREA, area), of_area)):
        yield from ((found, each) for each in (holder, holder.get("defaults")) if isinstance(each, Map))
    if isinstance(defaults := root.get("defaults"), Map):
        yield Giver(SITE), defaults
