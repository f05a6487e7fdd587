"""Trial reads of a plan: what a device answered at a new or changed address, as entries and as lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.json_value import JsonValue
from nexus_cli.plan.change import Action, Attributes, Change, TagChange, where_of

MOST_PROBED = 200
"""Addresses that one plan tries; the rest is named as unknown."""
MOST_SHOWN = 20
"""Trial reads in a text; all are in the JSON form."""
HOW_READ = frozenset(
    {"address", "type", "options", "scale", "offset", "unit_factor", "unit_shift", "range", "values", "published_type"}
)
"""Keys of a tag that decide what a read of it gives."""
SILENT = frozenset({"device_timeout", "link_lost"})
"""Reasons of a device that does not answer at all."""


class ProbeEntry(TypedDict):
    """One trial read. Value, quality and status are as they would be published; `bytes` hexadecimal, "" where there are none."""

    path: str
    address: str
    device: str
    link: str
    value: JsonValue
    quality: str
    status: int
    type: str
    bytes: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The addresses of one device that are tried.

    Attributes:
        device: Its attributes as declared, with these tags alone; secrets are references.
        tags: Their names, in order.
    """

    device: Attributes
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The outcome of the trial reads.

    Attributes:
        entries: One per address, in the order of the plan.
        findings: A warning for each device that is silent, and each address that gives no GOOD value.
        unknown: What could not be tried, and why.
    """

    entries: tuple[ProbeEntry, ...] = ()
    findings: tuple[Diagnostic, ...] = ()
    unknown: tuple[str, ...] = ()


def trials_of(changes: Sequence[Change]) -> tuple[list[Trial], int]:
    """What is new or read in another way, by device, and how many addresses were left out beyond `MOST_PROBED`."""
    found: list[Trial] = []
    room, left_out = MOST_PROBED, 0
    for change in changes:
        after = change.after
        if change.type != "device" or after is None or not after.get("link") or after.get("enabled", True) is False:
            continue
        names = [name for name in _names(change) if after["tags"][name].get("address")]
        taken = tuple(names[:room])
        room -= len(taken)
        left_out += len(names) - len(taken)
        if taken:
            tags = {name: after["tags"][name] for name in taken}
            found.append(Trial(device={**after, "tags": tags}, tags=taken))
    return found, left_out


def _names(change: Change) -> Iterator[str]:
    declared: Mapping[str, Attributes] = (change.after or {}).get("tags", {})
    if change.before is None or {"link", "connection"} & set(change.keys):
        yield from (name for name, tag in declared.items() if tag.get("enabled", True) is not False)
        return
    yield from (name for tag in change.tags if (name := tag.path.rpartition("/")[2]) in declared and _is_new(tag))


def _is_new(tag: TagChange) -> bool:
    if (tag.after or {}).get("enabled", True) is False:
        return False
    return tag.action is Action.CREATE or not HOW_READ.isdisjoint(tag.keys)


def probe_entry(trial: Trial, name: str, *, problem: str, answer: Mapping[str, JsonValue]) -> ProbeEntry:
    """One trial read as it is in the document.

    Args:
        trial: Of the device.
        name: Of the tag.
        problem: Why there is no answer; "" when there is one.
        answer: Fields of `wire.browse.TrialRead`; empty without an answer.
    """
    tag = trial.device["tags"][name]
    value, quality = answer.get("value"), str(answer.get("quality") or "BAD")
    why = str(answer.get("problem") or answer.get("reason") or problem)
    raw = answer.get("code")
    code = raw if isinstance(raw, int) else 0
    unit = str(tag.get("publish_unit") or tag.get("unit") or "")
    shown = f"{value}{f' {unit}' if unit else ''} {quality}" if value is not None else quality
    text = shown + (f": {why.replace('_', ' ') if ' ' not in why else why}" if why else "")
    if code and str(code) not in text:
        text += f" (code {code})"
    return {
        "path": f"{trial.device['path']}/{name}",
        "address": str(tag["address"]),
        "device": str(trial.device["path"]),
        "link": str(trial.device["link"]),
        "value": value,
        "quality": quality,
        "status": code,
        "type": str(tag["type"]),
        "bytes": str(answer.get("bytes") or ""),
        "text": text,
    }


def probe_finding(entry: ProbeEntry, *, reason: str) -> Diagnostic | None:
    """The warning that a trial read is worth; None for a GOOD value.

    Args:
        entry: The trial read.
        reason: Of its quality; "" when the device was not reached at all.
    """
    if entry["quality"] == "GOOD":
        return None
    device, _, name = entry["path"].rpartition("/")
    where = (*where_of(f"device.{device}"), "tags", name)
    if not reason or reason in SILENT:
        return finding(
            "NX4022",
            f"the trial read of '{entry['path']}' had no answer: {entry['text'].removeprefix('BAD: ')}",
            where=where_of(f"device.{device}"),
            hint="see that the device is on and its connection is right; after apply its tags are BAD until it answers",
        )
    if entry["bytes"] or entry["value"] is not None:
        return finding(
            "NX4021",
            f"the value at '{entry['address']}' of '{entry['path']}' does not fit: {entry['text']}",
            where=where,
            hint="compare type, byte order, scale and range with the device; `nexus probe` tries every reading",
        )
    return finding(
        "NX4020",
        f"the device refuses '{entry['address']}' of '{entry['path']}': {entry['text'].removeprefix('BAD: ')}",
        where=where,
        hint="correct the address; `nexus discover --via GATEWAY` lists what the device has",
    )


def probe_lines(entries: Sequence[ProbeEntry]) -> Iterator[str]:
    """Trial reads as lines of a plan's text; those that failed come first."""
    ordered = sorted(entries, key=lambda each: each["quality"] == "GOOD")
    for each in ordered[:MOST_SHOWN]:
        data = f" [{each['bytes']}]" if each["bytes"] and len(each["bytes"]) <= 30 else ""
        yield f"{each['path']} at {each['address']} ({each['type']}){data}: {each['text']}"
    if len(ordered) > MOST_SHOWN:
        yield f"… and {len(ordered) - MOST_SHOWN:,} more (--format json shows all)"
