"""One deployment on its way: its row, its changes, its stages, and what is known of its end so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from nexus_cli.apply import table
from nexus_cli.apply.observation import Observed
from nexus_cli.apply.request import DeploymentRequest, changes_between
from nexus_cli.database.deployments import Deployment
from nexus_cli.model.config import digest
from nexus_cli.plan.change import Change
from nexus_cli.plan.stages import Stage, stages_of


@dataclass(slots=True, kw_only=True)
class Run:
    """One deployment on its way.

    Attributes:
        deployment: With its plan.
        request: What was asked for.
        digests: Digest of each written resource.
        journal: What earlier tries wrote.
        wanted: Digest that each gateway has to answer with.
        answers: What the gateways answered; None when nothing came in time.
        reachable_before: Device paths that gave values before anything was recorded.
    """

    deployment: Deployment
    request: DeploymentRequest
    digests: Mapping[str, str]
    changes: tuple[Change, ...]
    stages: tuple[Stage, ...]
    rows: list[table.Row]
    journal: list[dict[str, Any]] = field(default_factory=list)
    wanted: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Observed | None] = field(default_factory=dict)
    reachable_before: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, deployment: Deployment, journal: list[dict[str, Any]]) -> Run:
        """A run from a deployment's row and journal."""
        plan = deployment.plan
        request = DeploymentRequest(
            base_digest=deployment.base_digest,
            desired_digest=deployment.desired_digest,
            changed=plan["changed"],
            moved=[(source, target) for source, target in plan["moved"]],
            allow=plan["allow"],
            reason=deployment.reason,
        )
        changes = changes_between(request.changed, plan["before"], moved=request.moved)
        return cls(
            deployment=deployment,
            request=request,
            digests=plan["digests"],
            changes=changes,
            stages=stages_of(changes),
            rows=table.rows_of(changes),
            journal=journal,
            reachable_before=_noted(journal, "reachable_before"),
        )

    def stages_named(self, name: str) -> list[Stage]:
        """The stages of one step."""
        return [stage for stage in self.stages if stage.step == name]

    def is_done(self, name: str) -> bool:
        """Whether the journal says that a step was done before this try."""
        return any(line["step"] == name and line["state"] == "done" for line in self.journal)

    def moves(self) -> list[tuple[str, str]]:
        """(old, new) path of every tag that moves."""
        tags = [tag for change in self.changes for tag in change.tags]
        return [(tag.previous_path, tag.path) for tag in tags if tag.previous_path is not None]


def plan_of(
    request: DeploymentRequest, *, before: Mapping[str, Any], digests: Mapping[str, str], summary: Mapping[str, Any]
) -> dict[str, Any]:
    """What a deployment's row keeps of its plan: enough to carry it out, and to take it back."""
    return {
        "changed": request.changed,
        "before": before,
        "digests": digests,
        "moved": [list(rename) for rename in request.moved],
        "allow": list(request.allow),
        "summary": summary,
    }


def notice(*, deployment: int, digest: str, again: bool = False) -> bytes:
    """The message on a gateway's `config` topic; `again` has it publish every tag of its live view once more."""
    return orjson.dumps({"deployment": deployment, "digest": digest, **({"again": True} if again else {})})


def gateway_digest(devices: Mapping[str, str]) -> str:
    """One digest over what a gateway has to run: of the sorted `[path, digest]` pairs."""
    return digest([list(pair) for pair in sorted(devices.items())])


def _noted(journal: list[dict[str, Any]], key: str) -> list[str]:
    return next((list(line["detail"][key]) for line in journal if key in line["detail"]), [])
