"""Output that `plan`, `apply` and `show` share."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

import click

from nexus_cli.cli.arguments import as_given
from nexus_cli.cli.console import answer, answer_json, colour_wanted, note, style
from nexus_cli.cli.views.deployment import deployment_text
from nexus_cli.cli.views.findings import block, document, summary
from nexus_cli.diagnostics import Diagnostic
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.plan.document import HazardEntry, PlanDocument
from nexus_cli.plan.hazards import NAMES, unknown_names
from nexus_cli.plan.policy_document import PolicyEntry
from nexus_cli.plan.text import consent, plan_text
from nexus_cli.source.nodes import SourceFile
from nexus_cli.wire.control import DeploymentProgress, as_object

if TYPE_CHECKING:
    from nexus_cli.project.live import NotGood

MOST_OF_A_CODE = 10
"""Findings of one code that are shown one by one; more are counted."""


def styler(stream: TextIO) -> Callable[[str, str], str]:
    """A function that colours a text for this stream, or leaves it."""
    enabled = colour_wanted(stream)
    return lambda text, name: style(text, name, enabled=enabled)


def check_consents(allow: Sequence[str]) -> None:
    """A consent to something that is no hazard is a usage error."""
    unknown = unknown_names(allow)
    if unknown:
        raise click.UsageError(f"NX4007: '{unknown[0]}' is not a hazard; {did_you_mean(unknown[0], NAMES)}")


def complain(findings: Sequence[Diagnostic], files: Iterable[SourceFile] = ()) -> None:
    """Findings on stderr, as `nexus validate` shows them: stdout belongs to the answer.

    Args:
        findings: In the order to show them.
        files: Texts to quote from.
    """
    if not findings:
        return

    colour, texts = styler(sys.stderr), tuple(files)
    answer = document(findings, texts)
    shown: Counter[str] = Counter()
    for each in answer["diagnostics"]:
        shown[each["code"]] += 1
        if shown[each["code"]] <= MOST_OF_A_CODE:
            note(block(each, colour).removesuffix("" if "snippet" in each else "\n"))
    for code, count in shown.items():
        if count > MOST_OF_A_CODE:
            where = " (`nexus validate --format json` lists all)" if texts else ""
            note(f"… and {count - MOST_OF_A_CODE:,} more {code}{where}")
    if texts and not answer["valid"]:
        note(summary(answer, colour))


def agreed(question: str = "Apply this?") -> bool:
    """Ask for consent; without a terminal that is a usage error."""
    if not sys.stdin.isatty():
        did, does = ("applied", "applies") if question.startswith("Apply") else ("done", "goes ahead")
        raise click.UsageError(f"There is no terminal to ask on, and nothing was {did}: --yes {does} without asking.")
    return click.confirm(question, err=True, default=False)


def refuse_open_hazards(hazards: Sequence[HazardEntry], *, given: Sequence[str] = ()) -> None:
    """Show which hazard blocks, and how to consent.

    Args:
        hazards: Without consent.
        given: Consents that cover other hazards of the plan: they are still needed.
    """
    more = f", and {len(hazards) - 1} more" if len(hazards) > 1 else ""
    colour = styler(sys.stderr)
    note(colour("error[NX4002]", "error") + f": blocked, and nothing was changed: {hazards[0]['message']}{more}")
    wanted = {f"--allow {consent(hazards, name)}" for name in {each["name"] for each in hazards}}
    consents = sorted(wanted | {f"--allow {shlex.quote(each)}" for each in given})
    note(f"  = hint: if that is what you want: {as_given()} {' '.join(consents)}")


def refuse_policies(policies: Sequence[PolicyEntry]) -> None:
    """Show which policy blocks, whose it is, and what violates it."""
    colour = styler(sys.stderr)
    for one in policies:
        note(
            colour("error[NX4032]", "error")
            + f": blocked by policy {one['name']}, and nothing was changed: {one['message']}"
        )
        paths = one["paths"]
        more = f" and {len(paths) - MOST_OF_A_CODE:,} more" if len(paths) > MOST_OF_A_CODE else ""
        note(f"  {', '.join(paths[:MOST_OF_A_CODE])}{more}")
        hint = one.get("hint") or (f"its owner is {one['owner']}" if one["owner"] else "")
        if hint:
            note(f"  = hint: {hint}")


def show_end(found: DeploymentProgress, *, not_good: Sequence[NotGood], format_: str) -> None:
    """How a deployment ended, on stdout; with the tags that it left not GOOD."""

    if format_ == "json":
        answer_json({**as_object(found), "not_good": not_good}, default=as_object)
    else:
        answer("\n" + deployment_text(found, style=styler(sys.stdout), not_good=not_good))
    if found.outcome == "partly":
        note(
            f"  = hint: `nexus apply --resume {found.number}` continues it, `nexus rollback {found.number}` takes it back"
        )


def show_plan(document: PlanDocument, *, steps: bool = False, between: tuple[str, str] | None = None) -> None:
    """The plan as text on stdout, with the steps of apply when they are wanted; of two states with their names."""
    answer(plan_text(document, style=styler(sys.stdout), steps=steps, between=between))
