"""The plan as JSON, with Terraform's field names; every text form is rendered from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict

from nexus_cli.access.gains import Gain
from nexus_cli.diagnostics.diagnostic import Diagnostic, format_path
from nexus_cli.json_value import JsonObject
from nexus_cli.plan.action_document import ActionEntry, action_entries
from nexus_cli.plan.aliases import AliasEntry, alias_entries
from nexus_cli.plan.approvals import NO_APPROVALS, ApprovalsEntry
from nexus_cli.plan.change import Attributes, Change, TagChange
from nexus_cli.plan.document_impact import (
    LoadEntry,
    ReaderEntry,
    load_entry,
    reader_entry,
)
from nexus_cli.plan.document_reach import DefaultsEntry, TemplateEntry, defaults_entry, template_entry
from nexus_cli.plan.hazards import Hazard, blocked
from nexus_cli.plan.impact import Impact
from nexus_cli.plan.masking import masked, sensitive
from nexus_cli.plan.measured import MeasuredEntry
from nexus_cli.plan.plan import Plan
from nexus_cli.plan.policy_document import PolicyEntry, policy_entries
from nexus_cli.plan.probed import ProbeEntry
from nexus_cli.plan.rollout_document import NO_ROLLOUT, RolloutEntry, TargetsEntry, Way, rollout_entry, targets_entry
from nexus_cli.plan.stages import stages_of
from nexus_cli.plan.targets import WHOLE, Part
from nexus_cli.plan.unreachable import UnreachableEntry

FORMAT_VERSION = "1.0"


class DigestEntry(TypedDict):
    """The declared state."""

    digest: str


class BaseEntry(DigestEntry):
    """The recorded state, with the number of the deployment that recorded it; 0 is none."""

    deployment: int


class ValuesEntry(TypedDict):
    """The change of a resource: one action, the attributes of both sides, masked, and the keys that differ, sorted.

    `before_sensitive` and `after_sensitive` are objects of the same shape that are true where a secret was masked.
    """

    actions: list[str]
    before: JsonObject | None
    after: JsonObject | None
    before_sensitive: JsonObject
    after_sensitive: JsonObject
    keys: list[str]


class TagValuesEntry(TypedDict):
    """The change of a tag. Attributes are given where its device is on both sides; else they are the device's."""

    actions: list[str]
    keys: list[str]
    before: NotRequired[Attributes | None]
    after: NotRequired[Attributes | None]


class TagEntry(TypedDict):
    """One tag of a changed device: `tag.AREA/LINE/DEVICE/TAG`; `previous_address` where it moved."""

    address: str
    change: TagValuesEntry
    previous_address: NotRequired[str]


class ChangeEntry(TypedDict):
    """One changed resource; `previous_address` where a device moved, `tags` of a device only."""

    address: str
    type: str
    name: str
    change: ValuesEntry
    previous_address: NotRequired[str]
    tags: NotRequired[list[TagEntry]]


class ImpactEntry(TypedDict):
    """One consequence, see `plan.impact.Impact`; `names` where it is about a countable few or many, `measured` where the
    runtime gave its counts.
    """

    address: str
    plane: str
    text: str
    names: NotRequired[list[str]]
    measured: NotRequired[str]


class HazardEntry(TypedDict):
    """One hazard, see `plan.hazards.Hazard`; `allowed` where a consent covers it. `measured` is what is stored of its series
    now: no part of what the hazard is."""

    name: str
    code: str
    scope: str
    address: str
    message: str
    allowed: bool
    measured: NotRequired[str]


class RightsEntry(TypedDict):
    """What some principals gain and lose of one right, see `access.gains.Gain`: all of them the same."""

    principals: list[str]
    action: str
    kind: str
    gained: list[str]
    lost: list[str]


class SessionsEntry(TypedDict):
    """What becomes of live sessions, see `plan.stale_sessions.Stale`."""

    principals: list[str]
    broker: str
    at_once: bool
    text: str


class PositionEntry(TypedDict):
    """A place in a file, both from 1."""

    line: int
    column: int


class RangeEntry(TypedDict):
    """A part of a file."""

    filename: str
    start: PositionEntry
    end: PositionEntry


class DiagnosticEntry(TypedDict):
    """One finding; `range` where its place in a file is known."""

    code: str
    severity: str
    summary: str
    where: str
    hint: str
    range: NotRequired[RangeEntry]


class StepEntry(TypedDict):
    """One step of apply; the subject is a gateway, or "" for the site."""

    step: str
    subject: str
    text: str


class PlanDocument(TypedDict):
    """The plan as JSON, the keys in this order; those that are not required are missing in plans of older versions.

    `document_schema.py` is the same as a JSON Schema, for who reads `nexus plan --format json`.
    """

    format_version: str
    site: str
    base: BaseEntry
    desired: DigestEntry
    effect: NotRequired[str]
    resource_changes: list[ChangeEntry]
    impact: list[ImpactEntry]
    load: NotRequired[list[LoadEntry]]
    readers: NotRequired[list[ReaderEntry]]
    actions: NotRequired[list[ActionEntry]]
    templates: NotRequired[list[TemplateEntry]]
    defaults: NotRequired[list[DefaultsEntry]]
    measured: NotRequired[MeasuredEntry]
    probe: NotRequired[list[ProbeEntry]]
    unreachable: NotRequired[list[UnreachableEntry]]
    unknowns: NotRequired[list[str]]
    rights: NotRequired[list[RightsEntry]]
    sessions: NotRequired[list[SessionsEntry]]
    hazards: list[HazardEntry]
    policies: NotRequired[list[PolicyEntry]]
    approvals: NotRequired[ApprovalsEntry]
    diagnostics: list[DiagnosticEntry]
    steps: NotRequired[list[StepEntry]]
    rollout: NotRequired[RolloutEntry]
    summary: dict[str, int]
    moved: list[list[str]]
    targets: NotRequired[TargetsEntry]
    renames: NotRequired[list[list[str]]]
    aliases: NotRequired[list[AliasEntry]]
    applyable: bool
    complete: bool
    errored: bool


def plan_document(
    plan: Plan,
    *,
    findings: Sequence[Diagnostic] = (),
    allow: Sequence[str] = (),
    way: Way | None = None,
    part: Part | None = None,
) -> PlanDocument:
    """The whole plan as JSON values, without secrets.

    Args:
        plan: As `make_plan` gave it.
        findings: What was found on the way.
        allow: Consents; hazards that they cover are marked.
        way: How it goes out: in waves, within windows; None says nothing of it.
        part: The part of the declared state that it makes; None is the whole.
    """
    open_ = set(blocked(plan.hazards, allow))
    rollout = rollout_entry(plan.changes, way) if way is not None else None
    document: PlanDocument = {
        "format_version": FORMAT_VERSION,
        "site": f"{plan.enterprise}/{plan.site}",
        "base": {"deployment": plan.base_deployment, "digest": plan.base_digest},
        "desired": {"digest": plan.desired_digest},
        "effect": plan.effect,
        "resource_changes": [_change(change) for change in plan.changes],
        "impact": [_impact(each) for each in plan.impacts],
        "load": [load_entry(each) for each in plan.loads],
        "readers": [reader_entry(each) for each in plan.readers],
        "actions": action_entries(plan.actions),
        "templates": [template_entry(each) for each in plan.templates],
        "defaults": [defaults_entry(each) for each in plan.defaults],
        "rights": _rights(plan.rights),
        "sessions": [
            {"principals": list(each.principals), "broker": each.broker, "at_once": each.at_once, "text": each.text}
            for each in plan.sessions
        ],
        "hazards": [_hazard(hazard, allowed=hazard not in open_) for hazard in plan.hazards],
        "policies": policy_entries(plan.violations),
        "approvals": plan.approvals or NO_APPROVALS,
        "diagnostics": [_diagnostic(each) for each in findings],
        "steps": [{"step": each.step, "subject": each.subject, "text": each.text} for each in stages_of(plan.changes)],
        "rollout": rollout or NO_ROLLOUT,
        "summary": plan.counts(),
        "moved": [list(rename) for rename in plan.moved],
        "targets": targets_entry(part or WHOLE),
        "renames": [list(rename) for rename in plan.renames],
        "aliases": alias_entries(plan.changes),
        "applyable": plan.applyable and not open_,
        "complete": True,
        "errored": plan.errored,
    }
    # Left out afterwards, so that the keys that are there have their order.
    if rollout is None:
        del document["rollout"]
    if part is None:
        del document["targets"]
    if plan.approvals is None:
        del document["approvals"]
    return document


def _change(change: Change) -> ChangeEntry:
    document: ChangeEntry = {
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


def _tag(tag: TagChange, *, whole: bool) -> TagEntry:
    """A tag of a changed device; of a new or vanished device the attributes are in the device already."""
    change: TagValuesEntry = {"actions": [tag.action.value], "keys": list(tag.keys)}
    if whole:
        change["before"] = tag.before
        change["after"] = tag.after
    document: TagEntry = {"address": f"tag.{tag.path}", "change": change}
    if tag.previous_path is not None:
        document["previous_address"] = f"tag.{tag.previous_path}"
    return document


def _impact(impact: Impact) -> ImpactEntry:
    entry: ImpactEntry = {"address": impact.address, "plane": impact.plane, "text": impact.text}
    if impact.names:
        entry["names"] = list(impact.names)
    return entry


def _rights(gains: Sequence[Gain]) -> list[RightsEntry]:
    """Principals that gain and lose the same together: a list of 41,000 tags is written once for all of them."""
    alike: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for gain in gains:
        alike.setdefault((gain.action, gain.kind, gain.gained, gain.lost), []).append(gain.principal)
    return [
        {"principals": who, "action": action, "kind": kind, "gained": list(gained), "lost": list(lost)}
        for (action, kind, gained, lost), who in alike.items()
    ]


def _hazard(hazard: Hazard, *, allowed: bool) -> HazardEntry:
    return {
        "name": hazard.name,
        "code": hazard.code,
        "scope": hazard.scope,
        "address": hazard.address,
        "message": hazard.message,
        "allowed": allowed,
    }


def _diagnostic(each: Diagnostic) -> DiagnosticEntry:
    found: DiagnosticEntry = {
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
