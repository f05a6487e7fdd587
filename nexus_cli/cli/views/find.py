"""Finds as text and JSON. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from nexus_cli.diagnostics.printable import one_line

if TYPE_CHECKING:
    from nexus_cli.project.find import Found
    from nexus_cli.wire.web_find import Hit

Style = Callable[[str, str], str]
_COLOUR = {"GOOD": "good", "UNCERTAIN": "warning", "BAD": "error"}
LONGEST_VALUE = 60
MOST_USES = 5
"""Users of a tag, and people, that a line names."""


def found_document(found: Found) -> dict[str, Any]:
    """The finds in order; `value` of a tag is as web gives it, null where it is not known."""
    rows = [{**msgspec.to_builtins(hit), "value": found.values.get(hit.path)} for hit in found.hits]
    return {"site": found.site, "total": found.total, "found": rows, "search_ms": round(found.search_ms, 3)}


def found_text(found: Found, *, style: Style) -> str:
    """One find a line, the best first."""
    if not found.hits:
        return f"nothing in {one_line(found.site)} has all these words"
    lines = [_line(hit, found.values.get(hit.path), style) for hit in found.hits]
    left = found.total - len(found.hits)
    if left:
        lines.append(style(f"{left:,} more; give more words or raise --limit", "dim"))
    return "\n".join(lines)


def _line(hit: Hit, value: Mapping[str, Any] | None, style: Style) -> str:
    labels = " ".join(f"{name}={text}" for name, text in hit.labels.items()) if "labels" in hit.where else ""
    facts = [hit.type, hit.unit, hit.address, hit.description, labels, *_about(hit)]
    said = ", ".join(one_line(each) for each in facts if each)
    return "  ".join(
        filter(None, (style(one_line(hit.path), "bold"), _value(value, style), style(said, "dim") or hit.kind))
    )


def _about(hit: Hit) -> list[str]:
    """What governs the data, where something is said about it."""
    return [
        f"owner {hit.owner}" if hit.owner else "",
        hit.classification,
        "pii" if hit.pii else "",
        hit.lineage,
        f"used by {', '.join(hit.used_by[:MOST_USES])}" if hit.used_by else "",
        f"read by {', '.join(hit.readers[:MOST_USES])}"
        if hit.readers and {"owner", "pii", "classification"} & set(hit.where)
        else "",
    ]


def _value(value: Mapping[str, Any] | None, style: Style) -> str:
    if value is None:
        return ""
    quality = str(value.get("quality", ""))
    if value.get("value") is None:
        return style(one_line(f"{quality} {value.get('reason', '')}".strip()), _COLOUR.get(quality, "dim"))
    text = one_line(
        " ".join(
            str(each)
            for each in (value["value"], value.get("unit"), value.get("label"))
            if each != "" and each is not None
        )
    )
    return style(text[:LONGEST_VALUE], _COLOUR.get(quality, "dim"))
