"""The plan as JSON, with Terraform's field names; every text form is rendered from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nexus_cli.diagnostics.diagnostic import Diagnostic, format_path
from nexus_cli.plan.change import Change, TagChange
from nexus_cli.plan.hazards import Hazard, blocked
from nexus_cli.plan.masking import masked, sensitive
from nexus_cli.plan.plan import Plan
from nexus_cli.plan.stages import stages_of

FORMAT_VERSION = "1.0"


def plan_document(plan: Plan, *, findings: Sequence[Diagnostic] = (), allow: Sequence[str] = ()) -> dict[str, Any]:
    """The whole plan as JSON values, without secrets. `document_schema.py` is its shape.

    Args:
        plan: As `make_plan` gave it.
        findings: What was found on the way.
        allow: Consents; hazards that they cover are marked.
    """
    open_ = set(blocked(plan.hazards, allow))
    return {
        "format_version": FORMAT_VERSION,
        "site": f"{plan.enterprise}/{plan.site}",
        "base": {"deployment": plan.base_deployment, "digest": plan.base_digest},
        "desired": {"digest": plan.desired_digest},
        "resource_changes": [_change(change) for change in plan.changes],
        "impact": [{"address": each.address, "plane": each.plane, "text": each.text} for each in plan.impacts],
        "hazards": [_hazard(hazard, allowed=hazard not in open_) for hazard in plan.hazards],
        "diagnostics": [_diagnostic(each) for each in findings],
        "steps": [{"step": each.step, "subject": each.subject, "text": each.text} for each in stages_of(plan.changes)],
        "summary": plan.counts(),
        "moved": [list(rename) for rename in plan.moved],
        "renames": [list(rename) for rename in plan.renames],
        "applyable": plan.applyable and not open_,
        "complete": True,
        "errored": plan.errored,
    }


def _change(change: Change) -> dict[str, Any]:
    document: dict[str, Any] = {
        "address": change.address,
        "type": change.type,
        "name": change.name,
        "change": {
            "actions": [change.action.value],
            "before": masked(change.before),
            "after": masked(change.after),
            "before_sensitive": sensitive(change.before),
            "after_sensitive": sensitive(change.after),
            "keys": list(change.keys),
        },
    }
    if change.previous_address is not None:
        document["previous_address"] = change.previous_address
    if change.type == "device":
        document["tags"] = [
            _tag(tag, whole=change.before is not None and change.after is not None) for tag in change.tags
        ]
    return document


def _tag(tag: TagChange, *, whole: bool) -> dict[str, Any]:
    """A tag of a changed device; of a new or vanished device the attributes stand in the device already."""
    change: dict[str, Any] = {"actions": [tag.action.value], "keys": list(tag.keys)}
    if whole:
        change |= {"before": tag.before, "after": tag.after}
    document: dict[str, Any] = {"address": f"tag.{tag.path}", "change": change}
    if tag.previous_path is not None:
        document["previous_address"] = f"tag.{tag.previous_path}"
    return document


def _hazard(hazard: Hazard, *, allowed: bool) -> dict[str, Any]:
    return {
        "name": hazard.name,
        "code": hazard.code,
        "scope": hazard.scope,
        "address": hazard.address,
        "message": hazard.message,
        "allowed": allowed,
    }


def _diagnostic(each: Diagnostic) -> dict[str, Any]:
    found: dict[str, Any] = {
        "code": each.code,
        "severity": each.severity.value,
        "summary": each.message,
        "where": format_path(each.where),
        "hint": each.hint,
    }
    if each.place is not None:
        found["range"] = {
            "filename": each.place.file,
            "start": {"line": each.place.line, "column": each.place.column},
            "end": {"line": each.place.end_line, "column": each.place.end_column},
        }
    return found
