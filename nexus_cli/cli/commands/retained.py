"""`nexus retained`: what the broker keeps on topics without an owner."""

from __future__ import annotations

import asyncio
import sys

import click

from nexus_cli.cli.changing import agreed, styler
from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import changes_runtime, color_option, format_option, reads_runtime
from nexus_cli.cli.views.retained import cleared_text, kept_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project import retained as project
from nexus_cli.wire.control import as_object

CODES = help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)


@click.group("retained", short_help="Show and clear retained topics without an owner.")
def command() -> None:
    """Retained messages below the site whose topics no declared tag, message or other system has."""


@command.command("list", epilog="\b\nExample:\n  nexus retained list --format json\n\n" + CODES)
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_BROKER_URL")
def list_(format_: str) -> int:
    """List them, with the size of each message."""
    found = asyncio.run(project.listing())
    if format_ == "json":
        answer_json([{"topic": one.topic, "size": one.size} for one in found])
    else:
        answer(kept_text(found, style=styler(sys.stdout)))
    return Exit.OK


@command.command(
    "clear",
    epilog="\b\nExamples:\n  nexus retained clear acme/chicago/packaging/line-1/old/temperature --preview\n"
    "  nexus retained clear acme/chicago/packaging/line-1/old/temperature --yes\n\n" + CODES,
)
@click.argument("topics", metavar="TOPIC...", nargs=-1, required=True)
@click.option("--preview", is_flag=True, help="Show what would be cleared; clear nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def clear(topics: tuple[str, ...], preview: bool, yes: bool, format_: str) -> int:
    """Clear each TOPIC. One that has an owner is refused, and then nothing is cleared."""
    shown = asyncio.run(project.clear(topics, preview=True))
    if not preview:
        if format_ == "text":
            note(cleared_text(shown, style=styler(sys.stderr)))
        if not yes and not agreed(f"Clear {len(shown.cleared)} topics?"):
            return Exit.FINDINGS
        shown = asyncio.run(project.clear(topics, preview=False))
    if format_ == "json":
        answer_json(shown, default=as_object)
    else:
        answer(cleared_text(shown, style=styler(sys.stdout)))
    return Exit.FINDINGS if shown.refused else Exit.OK
