"""`nexus keep`: the series that are never dropped, and the end of their protection."""

from __future__ import annotations

import asyncio
import sys
from datetime import tzinfo

import click

from nexus_cli.cli.changing import agreed, styler
from nexus_cli.cli.console import answer, answer_json
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import changes_runtime, color_option, format_option, reads_runtime, utc_option
from nexus_cli.cli.views.keep import kept_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project import keep as project
from nexus_cli.wire.control import as_object

CODES = help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)


@click.group("keep", short_help="Show the series that are never dropped, and end it.", epilog=CODES)
def command() -> None:
    """Series that are never dropped: `keep: always` of a tag protects its series, also when the line or the tag is gone.

    \b
    Example:
      nexus keep list
      nexus keep end packaging/line-2/filler/temperature
    """


@command.command("list", epilog="\b\nExample:\n  nexus keep list --utc\n\n" + CODES)
@utc_option
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def list_(zone: tzinfo | None, format_: str) -> int:
    """Show the protected series: since when, by which deployment, and whether their tags still say so."""
    found = asyncio.run(project.listing())
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(kept_text(found, style=styler(sys.stdout), zone=zone))
    return Exit.OK


@command.command("end", epilog="\b\nExample:\n  nexus keep end packaging/line-1/filler/temperature\n\n" + CODES)
@click.argument("path", metavar="PATH")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def end(path: str, yes: bool, format_: str) -> int:
    """End the protection of the series at PATH (area/line/device/tag): its old samples go as its class says."""
    if not yes and not agreed(f"Let the old samples of {path} be dropped?"):
        return Exit.FINDINGS
    ended = asyncio.run(project.end(path))
    if format_ == "json":
        answer_json({"path": ended, "ended": True})
    else:
        answer(f"{ended} is protected no more: samples older than its class keeps go at the next upkeep")
    return Exit.OK
