"""`nexus down`: everything stops, in order."""

from __future__ import annotations

import sys

import click

from nexus_cli.cli.console import answer, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.copied import refuse_copy
from nexus_cli.project.down import down


@click.command(
    "down", short_help="Stop the runtime on this machine.", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)
@click.option("--wipe", is_flag=True, help="Also remove .nexus: rows, outboxes, credentials, certificates, logs.")
@click.option("--yes", is_flag=True, help="Do not ask before --wipe.")
def command(wipe: bool, yes: bool) -> int:
    """Stop web, worker, gateways, historian, control, broker and database, in this order, so that accepted samples are kept.

    \b
    Example:
      nexus down
    """
    if not wipe:  # which touches nothing but the copy
        refuse_copy("")
    if wipe and not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(
                "There is no terminal to ask on, and nothing was removed: --yes removes without asking."
            )
        click.confirm(
            "Remove every stored row, credential and certificate of this .nexus folder?", abort=True, err=True
        )
    found = down(wipe=wipe, progress=note)
    answer(("stopped and removed" if wipe else "stopped") if found else "nothing is running here")
    return Exit.OK
