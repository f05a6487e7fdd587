"""A comparison of which only a part is wanted; and one that is made while a rollout is in flight. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.diff import diff
from nexus_cli.plan.document import PlanDocument
from nexus_cli.plan.moved import Rename
from nexus_cli.plan.order import ordered
from nexus_cli.plan.plan import Base, plain_json
from nexus_cli.plan.targets import Part, Targets, part_of


def narrowed(base: Base, desired: Snapshot, *, moved: Sequence[Rename], targets: Targets) -> tuple[Snapshot, Part]:
    """The declared state of which only a part counts: what is left out is as it is recorded. Raises as `part_of`."""
    recorded = Snapshot(desired.enterprise, desired.site, base.resources, base.digests)
    changes = ordered(diff(recorded, plain_json(desired, base.digests), moved=moved))
    return part_of(changes, recorded, desired, targets=targets)


def files_digest(document: PlanDocument) -> str:
    """Digest of what the files declared when a plan was made; of a plan of a part this is not what it makes."""
    targets = document.get("targets")
    return targets["files"] if targets is not None else document["desired"]["digest"]


def plan_during(words: str) -> Diagnostic:
    """What a plan says that is made while a rollout is in flight."""
    return finding(
        "NX5038",
        f"{words}; the plan compares with what is recorded so far",
        hint="`nexus rollout show` says where it is",
    )
