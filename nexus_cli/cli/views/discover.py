"""The result of a discovery and its edit: values to JSON and text, pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from nexus_cli.diagnostics.printable import plain
from nexus_cli.diagnostics.wording import counted
from nexus_cli.discover.placement import device_at
from nexus_cli.json_value import JsonObject

if TYPE_CHECKING:
    from nexus_cli.discover.edit import Edit
    from nexus_cli.discover.known_tags import KnownTags
    from nexus_cli.discover.propose import Proposal, ProposedTag

ROWS = 60
"""Lines of the tree before folders are only counted."""
REASONS = 12
BLOCKS = 20
DIFFERING = 5
RECOGNISED = 8
"""Lines about instances of companion specifications."""
Style = Callable[[str, str], str]


class SkippedDocument(TypedDict):
    """Skipped entries, with their reasons."""

    what: str
    reason: str


class Counts(TypedDict):
    """Values of one source."""

    seen: int
    found: int
    skipped: int


class SourceDocument(TypedDict):
    """One device, broker or file. A device has its head's keys and `tags`; a tag its name and its keys."""

    source: str
    protocol: str
    complete: bool
    facts: JsonObject
    counts: Counts
    devices: list[JsonObject]
    skipped: list[SkippedDocument]


class EditDocument(TypedDict):
    """Values that are written, by device and tag path."""

    path: str
    written: bool
    created: list[str]
    added: dict[str, list[str]]
    changed: dict[str, list[str]]
    differing: dict[str, dict[str, JsonObject]]
    removed: list[str]
    kept: int
    notes: list[str]
    skipped: list[SkippedDocument]
    diff: str


class DiscoveryDocument(TypedDict):
    """Everything that was found, and the edit when a file was named."""

    sources: list[SourceDocument]
    at: str
    into: str
    tags: int
    skipped: int
    edit: EditDocument | None


def document(
    proposals: Sequence[Proposal],
    *,
    edit: Edit | None = None,
    written: bool = False,
    at: str = "",
    known: KnownTags | None = None,
    into: str = "",
) -> DiscoveryDocument:
    """The JSON form.

    Args:
        proposals: What was found.
        edit: What it changes, None when no file was named.
        written: The edit is in the file.
        at: Place of the device itself.
        known: What the site has already.
        into: The file that would be edited.
    """
    return {
        "sources": [_source(proposal, at, known or {}) for proposal in proposals],
        "at": at,
        "into": into,
        "tags": sum(proposal.tags for proposal in proposals),
        "skipped": sum(len(proposal.skipped) for proposal in proposals),
        "edit": None if edit is None else _edit(edit, written=written),
    }


def _source(proposal: Proposal, at: str, known: KnownTags) -> SourceDocument:
    facts = {key: value for key, value in proposal.facts.items() if key not in ("present", "namespaces")}
    return {
        "source": proposal.source,
        "protocol": proposal.protocol,
        "complete": proposal.complete,
        "facts": facts,
        "counts": {
            "seen": proposal.tags + len(proposal.skipped),
            "found": proposal.tags,
            "skipped": len(proposal.skipped),
        },
        "devices": [
            {
                "device": device.place,
                **({"at": place} if (place := device_at(at, device.place)) in known else {}),
                **device.head,
                "tags": [_tag(tag, known.get(place)) for tag in device.tags],
            }
            for device in proposal.devices
        ],
        "skipped": [{"what": what, "reason": reason} for what, reason in proposal.skipped],
    }


def _tag(tag: ProposedTag, known: Mapping[str, str] | None) -> JsonObject:
    """One tag; of a device of the site, `there` is its name there, null when it is new."""
    place = {} if known is None else {"there": known.get(tag.name)}
    return {"name": tag.name, "original": list(tag.original), **place, **tag.keys}


def _edit(edit: Edit, *, written: bool) -> EditDocument:
    merged = edit.merged
    return {
        "path": edit.path.as_posix(),
        "written": written,
        "created": merged.created,
        "added": merged.added,
        "changed": merged.changed,
        "differing": {
            path: {key: {"file": now, "found": value} for key, (now, value) in keys.items()}
            for path, keys in merged.differing.items()
        },
        "removed": merged.removed,
        "kept": len(merged.kept),
        "notes": list(edit.notes),
        "skipped": [{"what": what, "reason": reason} for what, reason in merged.skipped],
        "diff": edit.diff(),
    }


def text(result: Mapping[str, Any], *, skipped: bool, diff: bool, style: Style) -> str:
    """The tree of proposed tags, the counts, and the edit."""
    lines: list[str] = []
    result = {**result, "sources": plain(result["sources"])}
    for source in result["sources"]:
        lines += _header(source, style)
        for device in source["devices"]:
            lines += _device(device, style)
        notes = int(source["facts"].get("left_out") or 0)
        lines += _skipped(source["skipped"], notes=notes, whole=skipped, style=style)
    edit = result["edit"]
    if edit is not None:
        lines.append("")
        if diff and edit["diff"]:
            lines += [_coloured(line, style) for line in edit["diff"].splitlines()]
        lines += _edited(edit)
        lines += _differing(edit["differing"])
        lines += [f"note: {note}" for note in edit["notes"]]
    else:
        lines += _writing(result)
    for source in result["sources"]:
        if source["facts"].get("ended") and source["facts"].get("noted"):
            lines.append(style(f"{source['facts']['ended']}; the same command resumes from there", "warning"))
    return "\n".join(lines)


def _units(source: Mapping[str, Any], style: Style) -> list[str]:
    """The units that answered on a bus."""
    facts = source["facts"]
    units = facts["units"]
    head = f"{facts['asked']} units asked in {facts['seconds']:.1f} s, {facts['timeout_ms'] / 1000:g} s each at most"
    lines = [f"{style(str(source['source']), 'bold')}: {head}: {len(units)} answer{'s' if len(units) == 1 else ''}"]
    if facts.get("ended"):
        lines.append(style(f"{facts['ended']}: the rest was not asked", "warning"))
    for one in units:
        parts = [*one["identity"].values(), *(["speaks SunSpec"] if one["sunspec"] else [])]
        lines.append(f"  unit {one['unit']:<3}  {', '.join(parts) or style('does not say who it is', 'dim')}")
    if units:
        keys = "".join(f"&{key}={value}" for key, value in facts["keys"].items())
        lines.append(f"look at one: nexus discover '{source['source']}?unit={units[0]['unit']}{keys}'")
    return lines


def _header(source: Mapping[str, Any], style: Style) -> list[str]:
    counts, facts = source["counts"], source["facts"]
    if "units" in facts:
        return _units(source, style)
    becomes = "1 becomes a tag" if counts["found"] == 1 else f"{counts['found']} become tags"
    took = f" in {facts['seconds']:.1f} s" if facts.get("seconds") else ""
    resumed = f", {facts['resumed']} of them from an earlier run" if facts.get("resumed") else ""
    notes = int(facts.get("left_out") or 0)
    noted = f", {counted(notes, 'note')}" if notes else ""
    seen, skipped = counts["seen"] - notes, counts["skipped"] - notes
    lines = [
        style(str(source["source"]), "bold")
        + f": {counted(seen, 'value')} seen{took}{resumed}: {becomes}, {skipped} skipped{noted}"
    ]
    if facts.get("ended"):
        lines.append(style(f"{facts['ended']}: the rest was not looked at", "warning"))
    lines += [f"  {key}: {value}" for key, value in facts.get("identity", {}).items()]
    if "data_blocks" in facts:
        lines.append(f"  data_blocks: {_blocks(facts['data_blocks'])}")
    lines += _recognised(facts.get("recognised", {}))
    lines += [f"  note: {note}" for note in facts.get("notes", ())]
    return lines


def _recognised(kinds: Mapping[str, Sequence[str]]) -> list[str]:
    """`Filler 1, Filler 2: PackML PackMLBaseObject (FillerType)`; parts of what is named already are left out."""
    families: dict[str, set[str]] = {}
    for what, places in kinds.items():
        families.setdefault(what.partition(" ")[0], set()).update(places)
    rows = []
    for what, places in kinds.items():
        known = families[what.partition(" ")[0]]
        tops = [place for place in places if not any(above in known for above in _above(place))]
        if tops:
            more = f" and {len(tops) - 3} more" if len(tops) > 3 else ""
            rows.append(f"  {', '.join(tops[:3])}{more}: {what}")
    if len(rows) > RECOGNISED:
        return [*rows[:RECOGNISED], f"  … and {len(rows) - RECOGNISED} kinds more (--format json has all)"]
    return rows


def _above(place: str) -> list[str]:
    levels = place.split("/")
    return ["/".join(levels[:count]) for count in range(1, len(levels))]


def _blocks(blocks: Sequence[Mapping[str, Any]]) -> str:
    """`DB1 16 bytes (Recipe), DB7 200 bytes (protected)`."""
    parts = []
    for one in blocks[:BLOCKS]:
        marks = [str(one.get("name") or ""), "protected" if one.get("protected") else ""]
        parts.append(
            f"{one['block']} {one['length']} bytes" + (f" ({', '.join(filter(None, marks))})" if any(marks) else "")
        )
    more = f" and {len(blocks) - BLOCKS} more (--format json has all)" if len(blocks) > BLOCKS else ""
    return ", ".join(parts) + more


def _device(device: Mapping[str, Any], style: Style) -> list[str]:
    head = ", ".join(f"{key} {device[key]}" for key in ("protocol", "mode", "poll") if key in device)
    tags, exists = device["tags"], "at" in device
    fresh = [tag for tag in tags if not tag.get("there")]
    counts = f": {len(tags) - len(fresh)} there already, {len(fresh)} new" if exists else ""
    name = device.get("at") or device["device"] or "(the device)"
    lines = ["", f"{style(name, 'bold')}  {head}  {counted(len(tags), 'tag')}{counts}"]
    if exists and len(tags) > ROWS:
        tags = fresh  # known tags need not be listed
    rows = [(f"{_mark(tag)}{tag['name']}" if exists else tag["name"], _about(tag)) for tag in tags]
    if len(rows) <= ROWS:
        width = max((len(name) for name, _ in rows), default=0)
        return lines + [f"  {name.ljust(width)}  {style(about, 'dim')}" for name, about in rows]
    folders = _folders([name for name, _ in rows])
    shown = folders[:ROWS]
    width = max(len(name) for name, _ in shown)
    about = dict(rows)
    lines += [
        f"  {name.ljust(width)}  {style(f'{count} tags' if count > 1 else about.get(name, ''), 'dim')}".rstrip()
        for name, count in shown
    ]
    if len(folders) == len(rows):  # nothing was folded
        return [*lines, f"  … and {len(rows) - ROWS} more (--format json has everything)"]
    if len(folders) > ROWS:
        lines.append(f"  … and {len(folders) - ROWS} folders more (--format json has everything)")
    return lines


def _mark(tag: Mapping[str, Any]) -> str:
    """Of a tag of a device of the site: `+` for a new one."""
    return "  " if tag.get("there") else "+ "


def _writing(result: Mapping[str, Any]) -> list[str]:
    """The command that would write the result."""
    devices = [device for source in result["sources"] for device in source["devices"]]
    tags = [tag for device in devices for tag in device["tags"]]
    if not tags:
        return []
    fresh = sum(not tag.get("there") for tag in tags)
    exists = any("at" in device for device in devices)
    if exists and not fresh:
        return ["", "nothing new"]
    own = all(device["device"].count("/") == 2 for device in devices)
    place = "" if result["at"] or own else " --at area/line/device"
    what = f"the {fresh} new" if exists and fresh < len(tags) else "them"
    return ["", f"the same command with --into {result['into'] or 'site.yaml'}{place} writes {what}"]


def _folders(names: Sequence[str]) -> list[tuple[str, int]]:
    """Names grouped by leading levels, as deep as the rows allow."""
    best: list[tuple[str, int]] = [("", len(names))]
    for depth in range(1, 8):
        counted = Counter(".".join(name.split(".")[:depth]) for name in names)
        whole = {".".join(name.split(".")[:depth]): name for name in names}
        shown = [(f"{name}.*" if count > 1 else whole[name], count) for name, count in counted.items()]
        if len(shown) > ROWS and depth > 1:
            return best
        best = shown
    return best


def _about(tag: Mapping[str, Any]) -> str:
    known = tag.get("there")
    parts = ["there already" if known == tag["name"] else f"there as {known}"] if known else []
    parts.append(str(tag["type"]))
    if tag.get("unit"):
        parts.append(str(tag["unit"]))
    if tag.get("range"):
        parts.append(f"{tag['range'][0]}..{tag['range'][1]}")
    if tag.get("values"):
        parts.append("/".join(list(map(str, tag["values"].values()))[:4]))
    unit = f" unit {tag['unit_id']}" if "unit_id" in tag else ""
    parts.append(f"{tag.get('node') or tag.get('address') or ''}{unit}")
    return "  ".join(part for part in parts if part)


def _skipped(skipped: Sequence[Mapping[str, str]], *, notes: int, whole: bool, style: Style) -> list[str]:
    if not skipped:
        return []
    heading = "skipped" if not notes else "notes" if notes == len(skipped) else "skipped, and notes"
    if whole:
        return ["", f"{heading}:", *(f"  {one['what']}: {one['reason']}" for one in skipped)]
    reasons = Counter(one["reason"] for one in skipped)
    lines = ["", f"{heading} (--skipped lists each):"]
    lines += [f"  {count}  {style(reason, 'dim')}" for reason, count in reasons.most_common(REASONS)]
    if len(reasons) > REASONS:
        lines.append(f"  … and {counted(len(reasons) - REASONS, 'reason')} more")
    return lines


def _edited(edit: Mapping[str, Any]) -> list[str]:
    added = sum(len(names) for names in edit["added"].values())
    keys = sum(len(names) for names in edit["changed"].values())
    counts = f"{added} added, {keys} keys changed, {len(edit['removed'])} removed, {edit['kept']} already there"
    lines = [f"  not taken: {one['what']}: {one['reason']}" for one in edit["skipped"][:REASONS]]
    if len(edit["skipped"]) > REASONS:
        lines.append(f"  … and {len(edit['skipped']) - REASONS} not taken more")
    verb = "written" if edit["written"] else "unchanged" if not edit["diff"] else "not written"
    return [*lines, f"{edit['path']} {verb}: {counts}"]


def _differing(differing: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """Tags that are kept although the device differs."""
    if not differing:
        return []
    counted = Counter(key for keys in differing.values() for key in keys)
    which = ", ".join(f"{key} {count}" for key, count in counted.most_common())
    tags = f"{len(differing)} tag{'s' if len(differing) > 1 else ''} there"
    lines = [
        f"{tags} differ{'' if len(differing) > 1 else 's'} from what was found ({which}): --mode overwrite takes it"
    ]
    for path, keys in list(differing.items())[:DIFFERING]:
        parts = [f"{key} {_short(one['file'])} (found {_short(one['found'])})" for key, one in keys.items()]
        lines.append(f"  {path.rpartition('/')[2]}: {', '.join(parts)}")
    if len(differing) > DIFFERING:
        lines.append(f"  … and {len(differing) - DIFFERING} more (--format json has everything)")
    return lines


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _coloured(line: str, style: Style) -> str:
    if line.startswith(("+++", "---", "@@")):
        return style(line, "dim")
    return style(line, "good") if line.startswith("+") else style(line, "error") if line.startswith("-") else line
