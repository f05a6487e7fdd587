"""The history of deployments, and the lock, as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.diagnostics.printable import plain
from nexus_cli.diagnostics.wording import duration
from nexus_cli.wire.confirmation import Confirmation
from nexus_cli.wire.control import Deployment, JournalLine, Lock
from nexus_cli.wire.rollout import RolloutOf

Style = Callable[[str, str], str]
COLOURS = {"applied": "good", "partly": "warning", "failed": "error", "stopped": "error", "running": "bold"}


def deployments_text(found: Sequence[Deployment], *, style: Style, zone: tzinfo | None) -> str:
    """One line a deployment, the newest first; below it what is to be known beside."""
    if not found:
        return "no deployments"
    width = max(len(plain(each.who)) for each in found)
    lines: list[str] = []
    for each in found:
        one = plain(each)
        outcome = style(f"{one.outcome:8}", COLOURS.get(one.outcome, "dim"))
        at = clock_text(one.started, zone=zone)
        lines.append(f"{one.number:5}  {at}  {outcome}  {one.who:{width}}  {one.reason}".rstrip())
        lines += [style(f"       {fact}", "dim") for fact in facts(one)]
    return "\n".join(lines)


def deployment_head(found: Deployment, *, style: Style, zone: tzinfo | None) -> str:
    """One deployment: who, when, why, and what is to be known beside."""
    one = plain(found)
    ended = f", ended {clock_text(one.ended, zone=zone)}" if one.ended else ""
    lines = [
        style(f"Deployment {one.number}", "bold") + f": {style(one.outcome, COLOURS.get(one.outcome, 'dim'))}",
        f"  by {one.who}, {clock_text(one.started, zone=zone)}{ended}",
    ]
    if one.reason:
        lines.append(f"  reason: {one.reason}")
    return "\n".join([*lines, *(f"  {fact}" for fact in facts(one))])


def facts(found: Deployment) -> list[str]:
    """A rollback, consents, the CI run, the confirmation: each as one line, nothing of what there is not."""
    lines = [f"takes back from deployment {found.undoes} on"] if found.undoes else []
    if isinstance(found.rollout, RolloutOf):
        of = found.rollout
        lines.append(f"rollout {of.number}, wave {of.wave} ({of.position} of {of.waves}); the rollout is {of.state}")
    if found.allow:
        lines.append("consents: " + ", ".join(found.allow))
    if found.run_url:
        lines.append(f"run: {found.run_url}")
    if found.confirmation is not None:
        lines.append(confirmation_text(found.confirmation))
    return lines


def confirmation_text(found: Confirmation) -> str:
    """How long it waits, or what became of that."""
    if found.state == "armed":
        return f"has to be confirmed within {duration(found.within_s * 1000)} of its end"
    if found.state == "waiting":
        if found.problem:
            return (
                f"was not confirmed in time; control could not take it back yet: {found.problem} "
                f"It tries again; nexus confirm {found.number}, or nexus rollback {found.number}"
            )
        left = f"{found.left_s / 60:.0f} min" if found.left_s >= 120 else f"{found.left_s:.0f} s"
        return f"waits to be confirmed, {left} left: nexus confirm {found.number}, or nexus rollback {found.number}"
    if found.state == "confirmed":
        return f"confirmed by {found.who}"
    if found.state == "rolled-back":
        return f"rolled back by deployment {found.undone_by}: {found.reason}".rstrip(": ")
    return "recorded nothing, so there was nothing to confirm"


def journal_text(lines: Sequence[JournalLine], *, zone: tzinfo | None) -> str:
    """The journal, a line each: when, the step and what it is about, how it went, and why."""
    rows = []
    for line in plain(list(lines)):
        why = line.detail.get("message") or line.detail.get("reason") or ""
        what = f"{line.step} {line.subject}".rstrip()
        rows.append(f"  {clock_text(line.at, zone=zone, digits=3)}  {what:24}  {line.state:7}  {why}".rstrip())
    return "\n".join(rows)


def lock_text(found: Lock | None, *, zone: tzinfo | None) -> str:
    """Who holds the lock, for which deployment, since when, and its last sign of life."""
    if found is None:
        return "the lock is free"
    lock = plain(found)
    lines = [f"held by {lock.owner}" + (f" for deployment {lock.deployment}" if lock.deployment else "")]
    if lock.reason:
        lines.append(f"  reason: {lock.reason}")
    lines.append(
        f"  since {clock_text(lock.acquired, zone=zone)}, last heartbeat {clock_text(lock.heartbeat, zone=zone)}"
    )
    if lock.expired:
        lines.append("  its control leads no more: the next one takes it over")
    return "\n".join(lines)
