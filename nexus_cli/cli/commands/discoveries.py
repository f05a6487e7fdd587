"""`nexus discoveries`: discoveries that the worker does."""

from __future__ import annotations

import asyncio
from datetime import tzinfo

import click

from nexus_cli.cli.console import answer, answer_json
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import (
    WholeNumber,
    changes_runtime,
    format_option,
    reads_runtime,
    utc_option,
)
from nexus_cli.cli.views.discoveries import discoveries_text, discovery_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.discover_later import delete_discovery, find_discovery, list_discoveries
from nexus_cli.wire.control import as_object

EXITS = help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)


@click.group("discoveries", short_help="Show discoveries that the worker does.", epilog=EXITS)
def command() -> None:
    """Discoveries of `nexus discover --later`: the worker browses, and what it found is kept for 30 days.

    \b
    Example:
      nexus discover --later --at packaging/line-1/filler
      nexus discover --from 01JZ3V5T8Q2M4N6P8R0S2T4V6W --into sites/x/site.yaml --dry-run
    """


@command.command("list", epilog=EXITS)
@click.option("--limit", default=50, show_default=True, type=WholeNumber(1, 200), help="Maximum number of rows.")
@utc_option
@format_option("text", "json")
@reads_runtime("NEXUS_CONTROL_URL")
def list_(limit: int, zone: tzinfo | None, format_: str) -> int:
    """Show discoveries, the newest first.

    \b
    Example:
      nexus discoveries list
    """
    found = asyncio.run(list_discoveries(limit=limit))
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(discoveries_text(found.discoveries, zone=zone))
    return Exit.OK


@command.command("show", epilog=EXITS)
@click.argument("discovery", metavar="ID")
@utc_option
@format_option("text", "json")
@reads_runtime("NEXUS_CONTROL_URL")
def show(discovery: str, zone: tzinfo | None, format_: str) -> int:
    """Show one discovery: how far it is, and what it found so far.

    \b
    Example:
      nexus discoveries show 01JZ3V5T8Q2M4N6P8R0S2T4V6W
    """
    found = asyncio.run(find_discovery(discovery))
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(discovery_text(found, zone=zone))
    return Exit.OK


@command.command("delete", epilog=EXITS)
@click.argument("discovery", metavar="ID")
@format_option("text", "json")
@changes_runtime("NEXUS_CONTROL_URL")
def delete(discovery: str, format_: str) -> int:
    """Remove a discovery and what it found; one that runs ends.

    \b
    Example:
      nexus discoveries delete 01JZ3V5T8Q2M4N6P8R0S2T4V6W
    """
    asyncio.run(delete_discovery(discovery))
    if format_ == "json":
        answer_json({"id": discovery})
    else:
        answer(f"discovery {discovery} was removed")
    return Exit.OK
