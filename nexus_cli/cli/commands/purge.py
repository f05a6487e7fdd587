"""`nexus purge`: forgotten series and their samples, removed for good."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import tzinfo

import click

from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import (
    WholeNumber,
    changes_runtime,
    format_option,
    reads_runtime,
    utc_option,
)
from nexus_cli.cli.views.purges import preview_text, purge_text, purges_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project import purge as project
from nexus_cli.wire.control import as_object

EXITS = help_text(Exit.OK, Exit.FINDINGS, Exit.CONFLICT, Exit.OUTSIDE)
LOOK_S = 1.0


@click.group("purge", short_help="Remove forgotten series and their samples.", epilog=EXITS)
def command() -> None:
    """Removing a tag from the site file keeps its samples. A purge removes them, for good.

    \b
    Example:
      nexus purge start 'packaging/line-9/**' --dry-run
      nexus purge start 'packaging/line-9/**'
      nexus purge list
    """


@command.command("start", epilog=EXITS)
@click.argument("selectors", metavar="PATH|GLOB...", nargs=-1, required=True)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and end.")
@click.option(
    "--confirm", metavar="TEXT", default="", help="The selectors again, as they were typed, instead of asking."
)
@click.option("--reason", default="", help="For the audit trail.")
@click.option("--wait", is_flag=True, help="Wait for its end.")
@utc_option
@format_option("text", "json")
@changes_runtime("NEXUS_CONTROL_URL")
def start(
    selectors: tuple[str, ...],
    dry_run: bool,
    confirm: str,
    reason: str,
    wait: bool,
    zone: tzinfo | None,
    format_: str,
) -> int:
    """Show which forgotten series PATH or GLOB takes, ask for it again, and let the worker remove them.

    \b
    Example:
      nexus purge start packaging/line-9/filler/temp --confirm packaging/line-9/filler/temp --wait
    """
    shown = asyncio.run(project.preview(selectors))
    if format_ == "text":
        (answer if dry_run else note)(preview_text(shown, zone=zone))
    if dry_run:
        if format_ == "json":
            answer_json(shown, default=as_object)
        return Exit.OK
    wanted = " ".join(selectors)
    if not confirm and not sys.stdin.isatty():
        raise click.UsageError(f"There is no terminal to ask on, and nothing was removed: --confirm '{wanted}'.")
    typed = confirm or click.prompt(f"This can't be undone. Type {wanted} to remove it", err=True)
    if typed != wanted:
        note(f"'{typed}' is not '{wanted}': nothing was removed")
        return Exit.FINDINGS
    found = asyncio.run(project.purge(selectors, shown, reason=reason))
    while wait and found.state in ("waiting", "running"):
        time.sleep(LOOK_S)
        found = asyncio.run(project.find_purge(found.id))
    if format_ == "json":
        answer_json(found, default=as_object)
    elif wait:
        answer(purge_text(found, zone=zone))
    else:
        answer(f"purge {found.id} waits for a worker: nexus purge show {found.id}")
    return Exit.FINDINGS if found.state == "failed" else Exit.OK


@command.command("list", epilog=EXITS)
@click.option("--limit", default=50, show_default=True, type=WholeNumber(1, 200), help="Maximum number of rows.")
@utc_option
@format_option("text", "json")
@reads_runtime("NEXUS_CONTROL_URL")
def list_(limit: int, zone: tzinfo | None, format_: str) -> int:
    """Show purges, the newest first.

    \b
    Example:
      nexus purge list
    """
    found = asyncio.run(project.list_purges(limit=limit))
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(purges_text(found.purges, zone=zone))
    return Exit.OK


@command.command("show", epilog=EXITS)
@click.argument("purge", metavar="ID")
@utc_option
@format_option("text", "json")
@reads_runtime("NEXUS_CONTROL_URL")
def show(purge: str, zone: tzinfo | None, format_: str) -> int:
    """Show one purge: how far it is.

    \b
    Example:
      nexus purge show 01JZ3V5T8Q2M4N6P8R0S2T4V6W
    """
    found = asyncio.run(project.find_purge(purge))
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(purge_text(found, zone=zone))
    return Exit.OK
