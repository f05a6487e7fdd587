"""A plan as GitHub annotations; rendered from its JSON form."""

from __future__ import annotations

from nexus_cli.plan.document import PlanDocument, RangeEntry
from nexus_cli.plan.text import headline

MOST_ANNOTATIONS = 10
"""GitHub shows ten annotations per severity and step."""


def plan_annotations(plan: PlanDocument) -> str:
    """`::error`, `::warning` and `::notice` commands for a workflow's log, one a line."""
    lines = []
    found = [
        *(
            _annotation(each["severity"], f"{each['code']}", each["summary"], each.get("range"))
            for each in plan["diagnostics"]
        ),
        *(
            _annotation(
                "notice" if each["allowed"] else "error", f"{each['code']} {each['name']}", each["message"], None
            )
            for each in plan["hazards"]
        ),
    ]
    for kind in ("error", "warning", "notice"):
        of_kind = [line for line in found if line.startswith(f"::{kind} ")]
        lines += of_kind[: MOST_ANNOTATIONS - 1]
        if len(of_kind) >= MOST_ANNOTATIONS:
            lines.append(f"::{kind} title=NEXUS::and {len(of_kind) - MOST_ANNOTATIONS + 1} more")
    lines.append(_annotation("notice", "NEXUS plan", headline(plan), None))
    return "\n".join(lines)


def _annotation(severity: str, title: str, text: str, place: RangeEntry | None) -> str:
    kind = {"error": "error", "warning": "warning"}.get(severity, "notice")
    facts = [f"title={_property(title)}"]
    if place is not None:
        facts = [f"file={_property(place['filename'])}", f"line={place['start']['line']}", *facts]
    return f"::{kind} {','.join(facts)}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
