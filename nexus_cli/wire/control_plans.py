"""Bodies of control's HTTP API about plans of deployments; rules as in `control.py`."""

from __future__ import annotations

from nexus_cli.json_value import JsonObject
from nexus_cli.wire.control import Body


class DeploymentPlan(Body, frozen=True, kw_only=True):
    """The plan of a deployment on record.

    Attributes:
        number: Of the deployment.
        text: As `nexus plan` shows it, without colours.
        note: What of it can't be computed any more; "" when it is whole.
        plan: The same as JSON, as `nexus plan --format json` gives it; None unless it was asked for.
    """

    number: int
    text: str
    note: str = ""
    plan: JsonObject | None = None


class ApprovalUse(Body, frozen=True, kw_only=True):
    """An approval that a deployment used.

    Attributes:
        key: Name of the key on record.
        signer: Who signed, as the statement says.
        effect: The effect that was signed, `sha256:…`.
        at: When the deployment began, µs since 1970 UTC.
    """

    key: str
    signer: str = ""
    effect: str = ""
    at: int = 0


class Listed(Body, frozen=True, kw_only=True):
    """The beginning of a list, with its whole length."""

    total: int = 0
    shown: list[JsonObject] = []


class PlaneReview(Listed, frozen=True, kw_only=True):
    """Impact on one plane; an entry is as in the plan's `impact`, without `names`."""

    plane: str


class ReviewedChange(Body, frozen=True, kw_only=True):
    """One change in the words of `nexus plan`.

    Attributes:
        address: Of the resource.
        action: `create`, `update`, `move` or `forget`.
        lines: Its heading, what differs, and what it brings.
    """

    address: str
    action: str
    lines: list[str]


class DeploymentReview(Body, frozen=True, kw_only=True):
    """What a person sees who signs a deployment: what it changes and what that does. Lists are bounded.

    Attributes:
        number: Of the deployment.
        base: Number of the deployment that recorded the state before it; 0 is none.
        rollout: Number of the rollout of which it is a wave; 0 is none.
        text: The plan as `nexus plan` shows it, without colours; with the first changes alone.
        note: As in `DeploymentPlan`.
        effect: What it does, as a digest; "" when that can't be computed any more.
        required: How many approvals it needed.
        approvals: Those that it used; of a wave those of its rollout.
        summary: As in the plan.
        hazards, policies, load, readers, templates: As in the plan; the worst first. Of a policy, and of a template, the first
            paths, with `more` of them.
        impact: By plane, in the order of the plan.
        rights: Lines of text: who gains and loses what, and which live sessions that concerns.
        unknowns: Sentences.
        offset: Position of the first of the changes.
        total: How many changes there are.
        changes: In order, from `offset` on.
    """

    number: int
    base: int = 0
    rollout: int = 0
    text: str = ""
    note: str = ""
    effect: str = ""
    required: int = 0
    approvals: list[ApprovalUse] = []
    summary: dict[str, int] = {}
    hazards: Listed = Listed()
    policies: Listed = Listed()
    impact: list[PlaneReview] = []
    load: Listed = Listed()
    readers: Listed = Listed()
    templates: Listed = Listed()
    rights: list[str] = []
    unknowns: list[str] = []
    offset: int = 0
    total: int = 0
    changes: list[ReviewedChange] = []
