"""What `nexus drift` asks before it writes files or has control put something back."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from nexus_cli.cli.changing import agreed, complain, styler
from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.views.drift import adopted_text, drift_text, reverted_text
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.drift.kinds import KINDS, Ignored, ignored_of
from nexus_cli.exit_codes import Exit
from nexus_cli.project.drift import revert_drift, site_of
from nexus_cli.project.drift_adopt import adoption, carry_out
from nexus_cli.settings import Settings
from nexus_cli.wire.control import as_object
from nexus_cli.wire.control_drift import DriftReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was given to `--adopt`: the site as it was read, and whether to ask."""

    path: str | None
    env: str | None
    variables: Mapping[str, str]
    yes: bool


def wanted_ignored(texts: Sequence[str]) -> list[Ignored]:
    """Read `--ignore`; what names no kind is a usage error."""
    found: list[Ignored] = []
    for text in texts:
        try:
            found.append(ignored_of(text))
        except ValueError as error:
            near = did_you_mean(str(error), KINDS) or f"one of {', '.join(KINDS)}"
            raise click.UsageError(f"NX4201: '{error}' is not a kind of drift; {near}") from None
    return found


def adopt(report: DriftReport, wanted: Wanted, settings: Settings) -> int:
    """Show the diff, ask, and write."""
    made = adoption(report, wanted.path, env=wanted.env, variables=wanted.variables)
    complain(made.findings)
    if made.value is None:
        return Exit.FINDINGS
    adopted = made.value.adopted
    complain(adopted.left)
    if made.value.empty:
        note("there is nothing to adopt")
        answer(drift_text(report, style=styler(sys.stdout)))
        return Exit.FINDINGS if adopted.left else Exit.OUTSIDE if report.unknown else Exit.OK
    for one in made.value.edits:
        answer(one.diff().rstrip("\n"))
    note(adopted_text(adopted.taken, style=styler(sys.stderr)))
    if not wanted.yes and not agreed("Write this?"):
        return Exit.FINDINGS
    carry_out(made.value, settings=settings)
    if made.value.edits:
        note("written; `nexus plan` shows it as a change")
    return Exit.OK


def revert(settings: Settings, wanted: Wanted, *, format_: str) -> int:
    """Show what would be put back, ask, and have control do it."""
    if format_ not in ("text", "json"):
        raise click.UsageError("--revert has the formats text and json")
    site = ""
    if wanted.path is not None:
        named = site_of(wanted.path, env=wanted.env, variables=wanted.variables)
        complain(named.findings, named.files)
        if named.value is None:
            return Exit.FINDINGS
        site = named.value
    shown = revert_drift(settings, preview=True, site=site)
    if format_ == "text":
        note(reverted_text(shown, style=styler(sys.stderr)))
    if not wanted.yes and not agreed("Put this back?"):
        return Exit.FINDINGS
    shown = revert_drift(settings, preview=False, site=site)
    if format_ == "json":
        answer_json(shown, default=as_object)
    else:
        answer(reverted_text(shown, style=styler(sys.stdout)))
    return Exit.OK


def refuse_unused(context: click.Context, *, adopts: bool, reverts: bool) -> None:
    """What would have no effect is a usage error: a person who leaves something out must not find it changed."""
    if adopts and reverts:
        raise click.UsageError("--adopt takes what the devices have, --revert what is recorded: one of them")
    words = ("no_device", "ignore", "severity") if reverts else ("no_device", "format_") if adopts else ()
    for name in words:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = "--" + name.rstrip("_").replace("_", "-")
            raise click.UsageError(f"{option} has no effect with {'--revert' if reverts else '--adopt'}")
