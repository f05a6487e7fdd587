"""`nexus apply`: refuse what is stale, send the rest to control."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nexus_cli.diagnostics import NexusError
from nexus_cli.plan.document_reach import reach_of
from nexus_cli.plan.narrow import files_digest
from nexus_cli.project.following import OnEvent, follow
from nexus_cli.project.ready import Ready
from nexus_cli.project.text import load
from nexus_cli.settings import Settings
from nexus_cli.source.files import shown
from nexus_cli.wire.approval import Approval
from nexus_cli.wire.control import DeploymentProgress, DeploymentRequest, PlanSummary, State
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.rollout import RolloutRequest


def refuse_stale_plan(ready: Ready, file: str, *, settings: Settings) -> None:
    """See that neither the files nor the recorded state moved since a plan was saved.

    Files that are not here any more (a CI job applies what another one planned) are not compared.

    Args:
        ready: The saved plan.
        file: Where it was saved.
        settings: Where control is.

    Raises:
        NexusError: NX5002 (exit code 5), naming the fact that moved.
    """
    source = ready.source
    if Path(source["path"]).exists():
        here = Path(source["path"])
        loaded = load(here, env=source["env"], variables=source["variables"])
        if loaded.value is None or loaded.value.snapshot.digest != files_digest(ready.document):
            raise _stale(f"the files at {shown(here)} changed since it was made", ready, file)
    state = asyncio.run(_state(settings, ready.site))
    base = ready.document["base"]
    if state.digest != base["digest"]:
        moved = f"the recorded state moved: it was deployment {base['deployment']}, it is now {state.deployment}"
        raise _stale(moved, ready, file)


def refuse_other_effect(ready: Ready, effect: str) -> None:
    """Raises NexusError NX4033 (exit code 5): a plan does something else than what was approved."""
    found = ready.document.get("effect", "")
    if effect and effect != found:
        raise NexusError(f"The plan does something else than what was approved: its effect is {found}.", code="NX4033")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """How a plan is to be applied.

    Attributes:
        allow: Consents to hazards.
        reason: For the journal, the lock and the audit trail.
        effect: Control refuses a plan with another effect; "" takes any.
        approvals: What was signed.
        confirm_within_s: Control takes it back when it is not confirmed so long after its end; 0 is never.
        undoes: The first deployment that it takes back; 0 is none.
        run_url: Page of the CI run that asks for it; "" is none.
    """

    allow: Sequence[str] = ()
    reason: str = ""
    effect: str = ""
    approvals: Sequence[Approval] = ()
    confirm_within_s: int = 0
    undoes: int = 0
    run_url: str = ""


def apply_ready(ready: Ready, options: ApplyOptions, *, settings: Settings, on_event: OnEvent) -> DeploymentProgress:
    """Send a plan to control and follow it to its end. Ending this process changes nothing about it.

    Args:
        ready: The plan.
        options: See there.
        settings: Where control is.
        on_event: Called with every line of the journal.

    Returns:
        The deployment as control gives it at its end.

    Raises:
        NexusError: Control refused it (exit code 1, 3, 5), or can't be reached.
    """

    async def ask() -> DeploymentProgress:
        async with ControlClient(settings, site=ready.site) as control:
            number = await control.deploy(request_of(ready, options))
            return await follow(control, number, on_event=on_event)

    return asyncio.run(ask())


def request_of(ready: Ready, options: ApplyOptions, *, rollout: RolloutRequest | None = None) -> DeploymentRequest:
    """What is sent to control; `rollout` says in which waves it goes out."""
    document = ready.document
    return DeploymentRequest(
        base_digest=document["base"]["digest"],
        desired_digest=document["desired"]["digest"],
        changed=ready.changed,
        plan=PlanSummary(
            moved=[(old, new) for old, new in document["moved"]],
            summary=document["summary"],
            reach=reach_of(document.get("templates", ()), document.get("defaults", ())) or msgspec.UNSET,
        ),
        reason=options.reason,
        allow=list(options.allow),
        effect=options.effect or msgspec.UNSET,
        approvals=[msgspec.to_builtins(one) for one in options.approvals] or msgspec.UNSET,
        confirm_within_s=options.confirm_within_s or msgspec.UNSET,
        undoes=options.undoes or msgspec.UNSET,
        run_url=options.run_url or msgspec.UNSET,
        rollout=rollout or msgspec.UNSET,
    )


def _stale(fact: str, ready: Ready, file: str) -> NexusError:
    return NexusError(
        f"The plan is stale: {fact}.",
        code="NX5002",
        hint=f"plan again: {shlex.join(planned_by(ready, file))}",
    )


def planned_by(ready: Ready, file: str) -> list[str]:
    """The command that makes a saved plan again, of the same part of the same files."""
    source, targets = ready.source, ready.document.get("targets")
    words = ["nexus", "plan", shown(Path(source["path"]))]
    if source["env"]:
        words += ["--env", source["env"]]
    for name, value in source["variables"].items():
        words += ["--var", f"{name}={value}"]
    if targets:
        for glob in targets["target"]:
            words += ["--target", glob]
        for glob in targets["exclude"]:
            words += ["--exclude", glob]
    return [*words, "--out", file]


async def _state(settings: Settings, site: str) -> State:
    async with ControlClient(settings, site=site) as control:
        return await control.state()
