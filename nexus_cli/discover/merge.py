"""Proposed tags into the text of a site file, matched by address. Pure: text in, text out.

`merge` adds what is missing and changes nothing that exists. `overwrite` also replaces the keys that discovery
knows, in tags that this file declares. `prune` also removes tags of this file whose address the device no longer has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from nexus_cli.discover.found import Skipped
from nexus_cli.discover.naming import elements, plain, unique
from nexus_cli.discover.placement import ADDRESS_KEYS, Existing, Identity, device_path, identity_of
from nexus_cli.discover.propose import ProposedDevice, ProposedTag
from nexus_cli.discover.site_keys import TagKeys
from nexus_cli.model.driver_kind import DriverKind
from nexus_cli.source.document import Block, Document

Mode = Literal["merge", "overwrite", "prune"]
Odd = Mapping[str, Mapping[str, str]]
"""Keys of new tags that the site language refuses, by tag path: key → reason; the key "" is the whole tag."""


@dataclass(slots=True, kw_only=True)
class Merged:
    """The changes of an edit.

    Attributes:
        added: New tags, by device path.
        changed: Keys that are replaced, by tag path.
        differing: What `overwrite` would change, by tag path: key → what the file has (None: nothing), what was found.
        removed: Tag paths that go.
        kept: Tag paths that were found and exist already.
        skipped: What can't be written in a site file, with the reason.
        created: Devices that are new.
    """

    added: dict[str, list[str]] = field(default_factory=dict)
    changed: dict[str, list[str]] = field(default_factory=dict)
    differing: dict[str, dict[str, tuple[Any, Any]]] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    created: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """True when the file stays as it is."""
        return not (self.added or self.changed or self.removed or self.created)


@dataclass(frozen=True, slots=True)
class _Matched:
    """One proposed tag, with the name that it has in the site, or the one that it gets."""

    tag: ProposedTag
    name: str
    present: bool


def merge(
    document: Document,
    at: str,
    device: ProposedDevice,
    existing: Existing,
    *,
    mode: Mode,
    kind: DriverKind | None,
    connection: Any,
    merged: Merged,
    present: frozenset[str] = frozenset(),
    odd: Odd | None = None,
) -> None:
    """Edit one device.

    Args:
        document: Takes the edits.
        at: `area/line/device`.
        device: What was found.
        existing: What the site has there.
        mode: How far to go.
        kind: Of the protocol; None for external devices, whose tags are matched by name.
        connection: The device's connection as its kind reads it.
        merged: Takes notes.
        present: Addresses of the device that were not proposed: their tags are never pruned.
        odd: What to leave out of new tags, known from an earlier try.
    """
    where = device_path(at)
    matched = _without(odd or {}, _match(device, existing, kind, connection, merged), at, merged)
    fresh = {one.name: one.tag.keys for one in matched if not one.present}
    merged.kept += [f"{at}/{one.name}" for one in matched if one.present]
    if existing.device is None and not document.has(where):
        if not fresh and not device.head.get("topics"):
            return
        head = {key: value for key, value in device.head.items() if value not in ({}, [], None)}
        tags = {"tags": Block(fresh)} if fresh else {}
        document.add(where[:-1], {where[-1]: Block({**head, **tags})})
        document.apply_edits()  # the next device may be in a line that this one created
        merged.created.append(at)
        if fresh:
            merged.added[at] = list(fresh)
        return
    if fresh:
        document.add((*where, "tags"), fresh)
        merged.added[at] = list(fresh)
    if existing.device is not None and existing.device.external:
        _topics(document, where, device.head.get("topics", []), existing, merged, at)
    own = document.keys((*where, "tags"))
    _compare(document, (*where, "tags"), own, matched, merged, at, overwrite=mode == "overwrite")
    if mode == "prune":
        found = {one.name for one in matched}
        known = {name for key, name in existing.names.items() if key[0] not in present}
        gone = [name for name in own if name in known and name not in found]
        if gone:
            document.apply_edits()
            document.remove((*where, "tags"), gone)
        merged.removed += [f"{at}/{name}" for name in gone]


def _compare(
    document: Document,
    where: tuple[str, ...],
    own: Sequence[str],
    matched: Sequence[_Matched],
    merged: Merged,
    at: str,
    *,
    overwrite: bool,
) -> None:
    """Overwrite, or only report, keys of this file that differ from the device."""
    names, all_tags = frozenset(own), document.value(where)
    written = all_tags if isinstance(all_tags, Mapping) else {}  # all at once: there may be 100,000
    for one in matched:
        if not one.present or one.name not in names:
            continue
        now = written[one.name] if one.name in written else document.value((*where, one.name))
        differing = _differing(now, one.tag.keys)
        if not overwrite and differing.get("description") == (None, "/".join(one.tag.original)):
            del differing["description"]  # only where it came from: not worth reporting
        if not differing:
            continue
        if not overwrite:
            merged.differing[f"{at}/{one.name}"] = differing
            continue
        for key, (_, value) in differing.items():
            document.set((*where, one.name, key), value)
        merged.changed[f"{at}/{one.name}"] = list(differing)


def _match(
    device: ProposedDevice, existing: Existing, kind: DriverKind | None, connection: Any, merged: Merged
) -> list[_Matched]:
    taken = {plain(name) for name in existing.taken}
    indexed = elements((tag.name, tag.original) for tag in device.tags)
    seen: dict[Identity, str] = {}
    matched = []
    for tag in device.tags:
        key = (tag.name,) if kind is None else identity_of(kind, connection, tag.keys)
        original = "/".join(tag.original)
        if isinstance(key, str):
            merged.skipped.append(Skipped(original, key))
            continue
        if key in seen:
            merged.skipped.append(Skipped(original, f"the same address as {seen[key]}"))
            continue
        seen[key] = original
        name = existing.names.get(key)
        if name is not None:
            matched.append(_Matched(tag, name, present=True))
            continue
        name = unique(tag.name, taken, elements=indexed)
        taken.add(plain(name))
        matched.append(_Matched(tag, name, present=False))
    return matched


def _without(odd: Odd, matched: Sequence[_Matched], at: str, merged: Merged) -> list[_Matched]:
    """New tags without the refused keys, which are noted; the names of all tags stay."""
    kept = []
    for one in matched:
        refused = {} if one.present else odd.get(f"{at}/{one.name}", {})
        original = "/".join(one.tag.original)
        merged.skipped += [Skipped(f"{original}: {key}" if key else original, why) for key, why in refused.items()]
        if "" in refused:
            continue
        keys = {key: value for key, value in one.tag.keys.items() if key not in refused}
        kept.append(replace(one, tag=replace(one.tag, keys=cast("TagKeys", keys))) if refused else one)
    return kept


def _differing(now: Any, found: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Where a tag of the file says something else than the device; the address stays as it was spelt."""
    if not isinstance(now, Mapping):
        return {}
    return {
        key: (now.get(key), value)
        for key, value in found.items()
        if key not in ADDRESS_KEYS and key != "writable" and not _same(now.get(key), value)
    }


def _topics(
    document: Document, where: Sequence[str], found: Sequence[str], existing: Existing, merged: Merged, at: str
) -> None:
    have = list(getattr(existing.device.device, "topics", ())) if existing.device is not None else []
    missing = [glob for glob in found if glob not in have]
    if missing:
        document.extend((*where, "topics"), missing if document.has((*where, "topics")) else [*have, *missing])
        merged.changed.setdefault(at, []).append("topics")


def _same(now: Any, value: Any) -> bool:
    if isinstance(now, Mapping) and isinstance(value, Mapping):
        return {str(key): item for key, item in now.items()} == {str(key): item for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return isinstance(now, list) and list(value) == now
    return bool(now == value)
