"""Bodies of control's HTTP API about confirming, rolling back and resuming deployments; rules as in `control.py`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from nexus_cli.json_value import JsonObject
from nexus_cli.wire.control import NO_NUL, Body, Question

Reason = Annotated[str, msgspec.Meta(max_length=1000, pattern=NO_NUL)]


class UndoRequest(Question, frozen=True, kw_only=True):
    """A rollback of what waits for its confirmation, or a resume; `reason` is for journal, lock and audit trail."""

    reason: Reason = ""


class Confirmed(Body, frozen=True, kw_only=True):
    """The deployment of this number stays."""

    number: int


class RollbackPlan(Body, frozen=True, kw_only=True):
    """What takes deployments back: a plan like any other, made by control, which alone knows the former state.

    Attributes:
        undoes: The first deployment that is taken back; every later one is, too.
        undone: All of them that recorded something, the newest first.
        base: Number of the deployment that recorded the state that comes back; 0 is the empty state before the first.
        base_digest, desired_digest: Of the recorded state, and of the former one.
        plan: As `nexus plan --format json` gives it.
        changed: Attributes to record by address; None removes.
        moved: Renames that are reversed: from the path of now to the former one.
        again: Rollbacks among `undone` that come undone, each with the first deployment that it took back: what they took
            back is there again.
    """

    undoes: int
    undone: list[int]
    base: int
    base_digest: str
    desired_digest: str
    plan: JsonObject
    changed: dict[str, JsonObject | None]
    moved: list[tuple[str, str]] = []
    again: list[tuple[int, int]] = []


class FormerState(Body, frozen=True, kw_only=True):
    """The whole state after a deployment.

    Attributes:
        deployment: Its number.
        digest: Of everything.
        digests, resources: Of each resource, by address.
    """

    deployment: int
    digest: str
    digests: dict[str, str]
    resources: dict[str, JsonObject]
