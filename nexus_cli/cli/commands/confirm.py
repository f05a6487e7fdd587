"""`nexus confirm`: keep a deployment that waits for it."""

from __future__ import annotations

import click

from nexus_cli.cli.console import answer, answer_json
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import WholeNumber, changes_runtime, format_option
from nexus_cli.exit_codes import Exit
from nexus_cli.project.undo import confirm
from nexus_cli.settings import load_settings

EPILOG = "\b\nExamples:\n  nexus confirm\n  nexus confirm 12\n\n" + help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)


@click.command("confirm", epilog=EPILOG)
@click.argument("number", required=False, type=WholeNumber(1, 2**31 - 1), metavar="[DEPLOYMENT]")
@format_option("text", "json")
@changes_runtime("NEXUS_CONTROL_URL")
def command(number: int | None, format_: str) -> int:
    """Keep a deployment that was applied with --confirm-within, before control takes it back.

    Without a number it is the one that waits.
    """
    kept = confirm(load_settings(), number or 0)
    if format_ == "json":
        answer_json({"number": kept})
    else:
        answer(f"deployment {kept} stays")
    return Exit.OK
