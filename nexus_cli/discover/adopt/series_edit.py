"""The edit that declares series: tags of external devices, and entries of `moved:`. Pure, but for the document that it edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nexus_cli.discover.adopt.series import EXTERNAL, SeriesEntry
from nexus_cli.source.document import Block, Document

Tree = dict[str, dict[str, dict[str, dict[str, Mapping[str, Any]]]]]
"""Keys of tags by area, line, device and name."""


def written(text: str, entries: Sequence[SeriesEntry]) -> str:
    """The text of a site file with the tags and moves of these entries.

    Raises:
        DocumentError: It can't be edited.
    """
    document = Document(text)
    tree: Tree = {}
    for entry in entries:
        if entry.tag:
            area, line, device, name = entry.series.path.split("/")
            tree.setdefault(area, {}).setdefault(line, {}).setdefault(device, {})[name] = entry.tag
    for area, lines in tree.items():
        _add(document, area, lines)
    moves = dict.fromkeys(entry.entry for entry in entries if entry.entry is not None)
    if moves:
        document.apply_edits()
        document.extend(("moved",), [{"from": old, "to": new} for old, new in moves])
    return document.text()


def _add(document: Document, area: str, lines: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """One area, in as few edits as there are maps that grow: each edit of a large file takes its time."""
    at: tuple[str, ...] = ("areas", area, "lines")
    if not document.has(at[:2]):
        made = Block({line: _line(devices) for line, devices in lines.items()})
        document.add(("areas",), {area: Block({"lines": made})})
        document.apply_edits()
        return
    fresh = {line: _line(devices) for line, devices in lines.items() if not document.has((*at, line))}
    if fresh:
        document.add(at, fresh)
        document.apply_edits()
    for line, devices in lines.items():
        if line in fresh:
            continue
        where = (*at, line, "devices")
        new = {name: _device(tags) for name, tags in devices.items() if not document.has((*where, name))}
        if new:
            document.add(where, new)
            document.apply_edits()
        for name, tags in devices.items():
            if name not in new:
                document.add((*where, name, "tags"), dict(tags))
    document.apply_edits()


def _line(devices: Mapping[str, Mapping[str, Any]]) -> Block:
    return Block({"devices": Block({name: _device(tags) for name, tags in devices.items()})})


def _device(tags: Mapping[str, Any]) -> Block:
    return Block({"protocol": EXTERNAL, "tags": Block(tags)})
