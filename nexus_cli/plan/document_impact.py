"""Load and readers in the plan as JSON: their entries, and the JSON Schema of these, with those of templates and defaults."""

from __future__ import annotations

from typing import TypedDict

from nexus_cli.json_value import JsonObject
from nexus_cli.plan.document_reach import list_of, reach_schemas
from nexus_cli.plan.load import LinkLoad
from nexus_cli.plan.readers import WORST_FIRST, Reader


class LoadEntry(TypedDict):
    """The load of one link, see `plan.load.LinkLoad`; null where it can't be known."""

    link: str
    gateway: str
    protocol: str
    devices: int
    requests_before: int | None
    requests_after: int | None
    cycle_ms_before: float | None
    cycle_ms_after: float | None
    interval_ms: int | None
    share_before: float | None
    share_after: float | None
    basis: str
    text: str


class ReaderEntry(TypedDict):
    """One reader of what changes, see `plan.readers.Reader`."""

    path: str
    change: str
    kind: str
    name: str
    effect: str


def load_entry(load: LinkLoad) -> LoadEntry:
    """One link as JSON; times in ms with three digits, shares of 1."""
    before, after = load.before, load.after
    return {
        "link": load.link,
        "gateway": load.gateway,
        "protocol": load.protocol,
        "devices": load.devices,
        "requests_before": before.requests if before else None,
        "requests_after": after.requests if after else None,
        "cycle_ms_before": round(before.cycle_ms, 3) if before else None,
        "cycle_ms_after": round(after.cycle_ms, 3) if after else None,
        "interval_ms": (after.interval_ms or None) if after else None,
        "share_before": round(before.share, 6) if before else None,
        "share_after": round(after.share, 6) if after else None,
        "basis": load.basis,
        "text": load.text,
    }


def reader_entry(reader: Reader) -> ReaderEntry:
    """One reader as JSON."""
    return {
        "path": reader.path,
        "change": reader.change,
        "kind": reader.kind,
        "name": reader.name,
        "effect": reader.effect,
    }


def impact_schemas() -> JsonObject:
    """JSON Schema of the keys `load`, `readers`, `templates` and `defaults` of a plan."""
    text: JsonObject = {"type": "string"}
    count: JsonObject = {"type": "integer", "minimum": 0}
    whole: JsonObject = {"type": ["integer", "null"], "minimum": 0}
    number: JsonObject = {"type": ["number", "null"], "minimum": 0}
    load = {
        **dict.fromkeys(("link", "gateway", "protocol"), text),
        "devices": count,
        **dict.fromkeys(("requests_before", "requests_after"), whole),
        **dict.fromkeys(("cycle_ms_before", "cycle_ms_after"), number),
        "interval_ms": whole,
        **dict.fromkeys(("share_before", "share_after"), number),
        "basis": {"enum": ["predicted", "measured", "unknown"]},
        "text": text,
    }
    reader = {**dict.fromkeys(("path", "kind", "name", "effect"), text), "change": {"enum": list(WORST_FIRST)}}
    return {
        "load": list_of(load, "Load of the links that the changes touch: a share above 1 can't keep its intervals."),
        "readers": list_of(reader, "Who reads what is removed, moved, or changes its type, unit or range; each once."),
        **reach_schemas(),
    }
