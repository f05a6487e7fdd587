"""What an earlier run found out about the devices of a site: those that did not change since are not read again.

A device is remembered by its own text (`Section.digest`) and by everything else that has a part in it: the defaults
above it, its template, the variables, and the names that its checks compare with.

See docs/decisions/0062.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from nexus_cli.diagnostics import ModelPath
from nexus_cli.source.draft import Draft
from nexus_cli.source.nodes import Map
from nexus_cli.source.sections import DIGEST_BYTES, Section, below, devices

_NAMED = ("enterprise", "site")


class Remembered(NamedTuple):
    """A device in which nothing was found.

    Attributes:
        section: Digest of its text.
        context: Digest of what surrounds it (`Contexts`).
        template: Name of its template, "" for none.
    """

    section: bytes
    context: bytes
    template: str


_HANDED_DOWN = ("classification", "defaults", "on_change", "owner", "pii")
"""Keys of an area or a line that have a part in every device below."""


class UnsoundMemory(Exception):
    """A section that is remembered as sound is not: the memory is not ours, or of another version."""


class Contexts:
    """Digests of what surrounds devices. Texts count as they are written: make it before variables are replaced."""

    def __init__(self, root: Map, values: Mapping[str, Any]) -> None:
        """Take the tree of a site, with its overlay, and the variables in effect."""
        retention = root.get("retention")
        names = [repr(name) for name in retention] if isinstance(retention, Map) else []
        self._site = repr(([root.get(key) for key in _NAMED], names, dict(values), root.get("defaults")))
        templates = root.get("templates")
        self._templates = (
            {str(name): repr(one) for name, one in templates.items()} if isinstance(templates, Map) else {}
        )
        self._above = {
            (str(area), str(line)): repr([level.get(key) for level in (lines, named) for key in _HANDED_DOWN])
            for area, lines in below(root, "areas")
            for line, named in below(lines, "lines")
        }
        self._made: dict[tuple[str, str, str], bytes] = {}

    def around(self, path: str, template: str) -> bytes:
        """The digest for a device that uses a template ("" for none)."""
        area, line, _ = path.split("/", 2)
        key = (area, line, template)
        if key not in self._made:
            around = (self._site, self._above.get((area, line)), self._templates.get(template) if template else None)
            self._made[key] = hashlib.blake2b(repr(around).encode(), digest_size=DIGEST_BYTES).digest()
        return self._made[key]


def sections(root: Map) -> Iterator[tuple[str, Section]]:
    """Path and section of every device that is one."""
    for area, line, name, holder in devices(root):
        section = holder[name]
        if isinstance(section, Section):
            yield f"{area}/{line}/{name}", section


def closed_sections(root: Map) -> dict[str, tuple[ModelPath, Section]]:
    """Model path and section of every device that is not yet opened, by the path of the device."""
    found: dict[str, tuple[ModelPath, Section]] = {}
    for area, line, name, holder in devices(root):
        section = holder[name]
        if isinstance(section, Section) and not section.opened:
            found[f"{area}/{line}/{name}"] = (("areas", area, "lines", line, "devices", name), section)
    return found


def open_section(draft: Draft, section: Section) -> None:
    """Read a section in place. Raises UnsoundMemory."""
    if not section.open(draft.references, draft.pool):
        raise UnsoundMemory


def open_overlaid(draft: Draft, root: Map) -> frozenset[str]:
    """Open the devices that the overlay mentions; gives their paths."""
    if draft.overlay is None:
        return frozenset()
    there = dict(sections(root))
    paths = frozenset(f"{area}/{line}/{name}" for area, line, name, _ in devices(draft.overlay.root))
    for path in paths & there.keys():
        open_section(draft, there[path])
    return paths


def settle(
    draft: Draft,
    closed: Mapping[str, tuple[ModelPath, Section]],
    earlier: Mapping[str, Remembered],
    contexts: Contexts,
) -> dict[str, Remembered]:
    """Open every closed section that is not remembered as it is now; gives what is known of those that stay closed."""
    kept: dict[str, Remembered] = {}
    for path, (_, section) in closed.items():
        known = earlier.get(path)
        if known is not None and known == (section.digest, contexts.around(path, known.template), known.template):
            kept[path] = known
        else:
            open_section(draft, section)
    return kept


def worth_remembering(
    draft: Draft, contexts: Contexts, template_of: Mapping[str, str], written: Mapping[str, Section]
) -> dict[str, Remembered]:
    """What to remember of devices by path, those in whose text something was found apart.

    Args:
        draft: The site, with its findings.
        contexts: Of its devices.
        template_of: Template name by device path.
        written: The section of each device.
    """
    strange = _with_findings(draft, written)
    remembered = {}
    for path, section in written.items():
        if path not in strange:
            template = template_of.get(path, "")
            remembered[path] = Remembered(section.digest, contexts.around(path, template), template)
    return remembered


def _with_findings(draft: Draft, written: Mapping[str, Section]) -> set[str]:
    """Devices in whose text there is a finding, from their name on."""
    files = {file.name: file for file in draft.files}
    ordered: dict[str, list[tuple[int, int, str]]] = {}
    for path, section in written.items():
        ordered.setdefault(section.file.name, []).append((section.key_start, section.end, path))
    for one in ordered.values():
        one.sort()
    found = set()
    for item in draft.findings:
        place = item.place
        if place is None or place.file not in ordered:
            continue
        file, inside = files[place.file], ordered[place.file]
        position = file.starts[place.line - 1] + place.column - 1
        number = bisect_right(inside, position, key=_begin) - 1
        if number >= 0 and position <= inside[number][1]:
            found.add(inside[number][2])
    return found


def _begin(section: tuple[int, int, str]) -> int:
    return section[0]
