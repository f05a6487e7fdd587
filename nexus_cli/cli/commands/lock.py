"""`nexus lock`: who holds the site's lock, and how it is broken."""

from __future__ import annotations

from datetime import tzinfo

import click

from nexus_cli.cli.changing import agreed
from nexus_cli.cli.console import answer, answer_json
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import changes_runtime, format_option, reads_runtime, utc_option
from nexus_cli.cli.views.deployments import lock_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project import undo
from nexus_cli.settings import load_settings
from nexus_cli.wire.control import as_object

EXITS = help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)


@click.group("lock", short_help="Show and break the lock of deployments.", epilog=EXITS)
def command() -> None:
    """One deployment runs at a time. Its lock is kept by control, with a heartbeat.

    \b
    Example:
      nexus lock list
      nexus lock break --reason "gateway gw-2 hangs"
    """


@command.command("list", epilog=EXITS)
@utc_option
@format_option("text", "json")
@reads_runtime("NEXUS_CONTROL_URL")
def list_(zone: tzinfo | None, format_: str) -> int:
    """Show who holds the lock: for which deployment, since when, and its last heartbeat.

    \b
    Example:
      nexus lock list --format json
    """
    found = undo.lock(load_settings())
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(lock_text(found.lock, zone=zone))
    return Exit.OK


@command.command("break", epilog=EXITS)
@click.option("--reason", required=True, help="Why, for the journal and the audit trail.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@utc_option
@format_option("text", "json")
@changes_runtime("NEXUS_CONTROL_URL")
def break_(reason: str, yes: bool, zone: tzinfo | None, format_: str) -> int:
    """Take the lock away: its deployment records nothing more and ends as far as it came.

    \b
    Example:
      nexus lock break --reason "gateway gw-2 hangs"
    """
    if not reason.strip():
        raise click.UsageError("--reason is empty: say why, it is on record.")
    settings = load_settings()
    held = undo.lock(settings).lock
    if held is not None and not yes:
        answer(lock_text(held, zone=zone))
        if not agreed("Break this lock?"):
            return Exit.FINDINGS
    found = undo.break_lock(settings, held, reason=reason)
    if format_ == "json":
        answer_json(found, default=as_object)
    elif found.lock is None:
        answer("the lock is free: nothing was broken")
    else:
        answer(f"broke the lock of {found.lock.owner}; `nexus apply --resume` continues, `nexus rollback` takes back")
    return Exit.OK
