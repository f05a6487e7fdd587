"""What a person sees who signs a plan, cut to what a page can show; taken from the plan's JSON form. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from nexus_cli.json_value import JsonObject
from nexus_cli.plan.document import HazardEntry, ImpactEntry, PlanDocument
from nexus_cli.plan.text import action_of, change_lines
from nexus_cli.plan.text_rights import rights_lines
from nexus_cli.wire.control_plans import DeploymentReview, Listed, PlaneReview, ReviewedChange

MOST_LISTED = 100
"""Entries of one list."""
MOST_TAGS = 100
"""Tags of one changed device, and paths of one policy or template."""
MEASURED = "What the runtime measured for the plan (samples, live subscribers, cycle times) is not on record: load is predicted."


def review_of(
    plan: PlanDocument, review: DeploymentReview, *, offset: int = 0, limit: int = MOST_LISTED
) -> DeploymentReview:
    """The review with what the plan says, and the changes from `offset` on, at most `limit`."""
    impacts: Mapping[str, list[ImpactEntry]] = defaultdict(list)
    planes: dict[str, list[ImpactEntry]] = {}
    for each in plan["impact"]:
        impacts[each["address"]].append(each)
        planes.setdefault(each["plane"], []).append(each)
    load = sorted(plan.get("load", ()), key=lambda one: (-(one["share_after"] or 0.0), one["link"]))
    open_first: list[HazardEntry] = sorted(plan["hazards"], key=lambda one: one["allowed"])
    changes = plan["resource_changes"]
    return msgspec.structs.replace(
        review,
        effect=plan.get("effect", ""),
        summary=plan["summary"],
        hazards=_listed(open_first),
        policies=_listed(plan.get("policies", ()), paths="paths"),
        impact=[
            PlaneReview(plane=plane, total=len(found), shown=[_told(one) for one in found[:MOST_LISTED]])
            for plane, found in planes.items()
        ],
        load=_listed(load),
        readers=_listed(plan.get("readers", ())),
        templates=_listed(plan.get("templates", ()), paths="devices"),
        rights=[line for line in rights_lines(plan, _unstyled) if line and line != "Rights:"],
        unknowns=[
            *plan.get("unknowns", ()),
            *(f"load of {one['link']}: {one['text']}" for one in load[:MOST_LISTED] if one["basis"] == "unknown"),
            MEASURED,
        ],
        offset=offset,
        total=len(changes),
        changes=[
            ReviewedChange(
                address=one["address"],
                action=action_of(one),
                lines=list(change_lines(one, impacts.get(one["address"], ()), _unstyled, most_tags=MOST_TAGS)),
            )
            for one in changes[offset : offset + limit]
        ],
    )


def _listed(entries: Sequence[Mapping[str, object]], *, paths: str = "") -> Listed:
    shown = [dict(one) if not paths else _shortened(one, paths) for one in entries[:MOST_LISTED]]
    return Listed(total=len(entries), shown=shown)


def _told(impact: ImpactEntry) -> JsonObject:
    """Without the names that it counts: they may be all tags of a site."""
    return {key: value for key, value in impact.items() if key != "names"}


def _shortened(entry: Mapping[str, object], key: str) -> JsonObject:
    paths = entry[key]
    assert isinstance(paths, list)
    return {**entry, key: paths[:MOST_TAGS], "more": max(0, len(paths) - MOST_TAGS)}


def _unstyled(text: str, _: str) -> str:
    return text
