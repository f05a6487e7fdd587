"""`nexus sequence`: run, list, status, abort."""

from __future__ import annotations

import asyncio
import sys
from datetime import tzinfo

import click

from nexus_cli.cli.changing import agreed, styler
from nexus_cli.cli.completing import sequences
from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import changes_runtime, color_option, format_option, pairs, reads_runtime, utc_option
from nexus_cli.cli.views.sequence import end_text, line_text, listing_text, rehearsal_text, status_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project import sequence as project
from nexus_cli.wire.control import as_object

EXITS = {"done": Exit.OK, "refused": Exit.FINDINGS}
"""Everything else ended in the middle: partly."""
CODES = (
    "\b\nExit codes:\n  0  done\n  1  refused: a precondition does not hold or a parameter does not fit, nothing was written\n"
    "  4  it ended in the middle: a step failed, time ran out, or it was aborted or interrupted\n"
    "  5  another sequence on the same devices is running\n  6  control is unreachable"
)

ASKED = help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)


@click.group("sequence", short_help="Run a sequence of writes, or show its runs.")
def command() -> None:
    """Sequences of the applied site: ordered writes and publishes with waits, carried out by control."""


@command.command(
    "run",
    epilog="\b\nExamples:\n  nexus sequence run warm-up --dry-run\n  nexus sequence run warm-up --yes\n"
    "  nexus sequence run fill --set amount=35 --reason 'order 17'\n\n" + CODES,
)
@click.argument("name", shell_complete=sequences)
@click.option(
    "--set", "values", multiple=True, metavar="NAME=VALUE", callback=pairs, help="Value of a parameter. Repeatable."
)
@click.option("--dry-run", is_flag=True, help="Show every step with the tags' current values; write nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@click.option("--reason", default="", help="Reason, for the audit trail.")
@utc_option
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def run(
    name: str, values: dict[str, str], dry_run: bool, yes: bool, reason: str, zone: tzinfo | None, format_: str
) -> int:
    """Run sequence NAME and follow it. Stopping this command does not stop the sequence."""
    rehearsal = asyncio.run(project.rehearse(name, values))
    if dry_run:
        _say(rehearsal.to_json(), rehearsal_text(rehearsal, style=styler(sys.stdout)), format_)
        return Exit.OK if rehearsal.ready else Exit.FINDINGS
    if format_ == "text":
        note(rehearsal_text(rehearsal, style=styler(sys.stderr)))
    if not yes and not agreed("Run this?"):
        return Exit.FINDINGS
    run_id = asyncio.run(project.start(name, values=rehearsal.values, reason=reason, agreed=rehearsal.agreed))
    style = styler(sys.stderr)
    try:
        found = asyncio.run(project.follow(run_id, on_line=lambda line: note(line_text(line, style=style, zone=zone))))
    except KeyboardInterrupt:
        note(f"the sequence continues in control; `nexus sequence status {run_id}` shows it, `abort` ends it")
        raise
    _say(found, end_text(found, style=styler(sys.stdout)), format_)
    return EXITS.get(found.state, Exit.PARTLY)


@command.command("list", epilog="\b\nExample:\n  nexus sequence list --utc\n\n" + ASKED)
@utc_option
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def list_(zone: tzinfo | None, format_: str) -> int:
    """Show the applied sequences and their newest runs."""
    found = asyncio.run(project.listing())
    _say(found, listing_text(found, style=styler(sys.stdout), zone=zone), format_)
    return Exit.OK


@command.command("status", epilog="\b\nExample:\n  nexus sequence status 01M8XDKGAWM93ADV2162K5M96C\n\n" + ASKED)
@click.argument("run_id", metavar="RUN")
@utc_option
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def status(run_id: str, zone: tzinfo | None, format_: str) -> int:
    """Show one run and its journal."""
    found = asyncio.run(project.status(run_id))
    _say(found, status_text(found, style=styler(sys.stdout), zone=zone), format_)
    return Exit.OK


@command.command("abort", epilog="\b\nExample:\n  nexus sequence abort 01M8XDKGAWM93ADV2162K5M96C\n\n" + ASKED)
@click.argument("run_id", metavar="RUN")
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def abort(run_id: str, format_: str) -> int:
    """Abort a run before its next step, and run its abort branch."""
    found = asyncio.run(project.abort(run_id))
    already = "already " if found.again else ""
    _say(found, f"{already}aborting {run_id}; `nexus sequence status {run_id}` shows how it ends", format_)
    return Exit.OK


def _say(data: object, text: str, format_: str) -> None:
    if format_ == "json":
        answer_json(data, default=as_object)
    else:
        answer(text)
