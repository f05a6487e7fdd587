"""Whether a plan has to be approved before it is applied, and by whom: as object, JSON and text. Pure.

Control asks the same question at apply. See docs/decisions/0102.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import TypedDict

import msgspec

from nexus_cli.diagnostics.wording import counted
from nexus_cli.json_value import JsonObject
from nexus_cli.model.policy_config import APPROVALS, ApprovalsConfig, is_rule
from nexus_cli.model.snapshot import Attributes
from nexus_cli.plan.change import Change
from nexus_cli.plan.hazards import Hazard, covers


class ApprovalsEntry(TypedDict):
    """How many approvals a plan needs, and the names of the keys on record that may sign."""

    required: int
    keys: list[str]


NO_APPROVALS: ApprovalsEntry = {"required": 0, "keys": []}


def needs_approval(rules: ApprovalsConfig | None, changes: Sequence[Change], hazards: Sequence[Hazard]) -> bool:
    """Whether a plan has to be approved: every one where neither hazards nor paths are named, and always one that
    changes who approves."""
    if rules is None:
        return False
    if any(change.address == APPROVALS for change in changes):
        return True
    if not rules.hazards and not rules.paths:
        return True
    if any(hazard.name in rules.hazards for hazard in hazards):
        return True
    paths = {path for change in changes for path in _paths(change)}
    return any(covers(glob, path) for glob in rules.paths for path in paths)


def approvals_needed(
    recorded: Mapping[str, Attributes],
    declared: Mapping[str, Attributes],
    addresses: Container[str],
    changes: Sequence[Change],
    hazards: Sequence[Hazard],
) -> ApprovalsEntry | None:
    """What a plan needs by the rules on record; None where it needs no approval, or nothing is on record.

    Args:
        recorded: Resources of the base, those that are the same on both sides may be missing.
        declared: Resources of the desired state.
        addresses: Of everything that is on record.
        changes, hazards: Of the plan.
    """
    rules = (recorded.get(APPROVALS) or declared.get(APPROVALS)) if APPROVALS in addresses else None
    if not rules or not changes:
        return None
    config = msgspec.convert(rules, ApprovalsConfig)
    if not needs_approval(config, changes, hazards):
        return None
    return {"required": config.required, "keys": sorted(config.keys)}


def approvals_fact(found: ApprovalsEntry | None) -> str:
    """`2 approvals, by ann, bob`; "" where none is needed."""
    return f"{counted(found['required'], 'approval')}, by {', '.join(found['keys'])}" if found else ""


def approvals_lines(found: ApprovalsEntry | None, style: Callable[[str, str], str]) -> Iterator[str]:
    """A line for a terminal; nothing where no approval is needed."""
    if fact := approvals_fact(found):
        yield ""
        yield style("Needs approval:", "bold") + f" {fact} (`nexus approve`)"


def approvals_schema() -> JsonObject:
    """JSON Schema of the document's `approvals`."""
    return {
        "type": "object",
        "properties": {
            "required": {"type": "integer", "minimum": 1},
            "keys": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["required", "keys"],
        "additionalProperties": False,
        "description": "How many approvals apply needs, and whose keys count. Absent where it needs none.",
    }


def _paths(change: Change) -> Iterable[str]:
    yield change.name if not is_rule(change.address) else change.address
    yield change.previous_name
    for tag in change.tags:
        yield tag.path
        if tag.previous_path is not None:
            yield tag.previous_path
