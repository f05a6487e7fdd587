"""`nexus status`: how everything is."""

from __future__ import annotations

import sys

import click
import msgspec
import orjson

from nexus_cli.cli.console import answer, answer_json, colour_wanted, columns
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.folding import folded
from nexus_cli.cli.views.status import render_status
from nexus_cli.exit_codes import Exit
from nexus_cli.project.status import status


@click.command(
    "status",
    short_help="Show the state of the broker, database, roles and links.",
    epilog=help_text(Exit.OK, Exit.OUTSIDE),
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
def command(form: str) -> int:
    """Show the state of the broker, database, control, historian, web, worker, gateways and links, and the devices without values.

    Exits with 6 when something is wrong: a process or a link is down, or a device does not answer.

    \b
    Example:
      nexus status --format json | jq '.links[] | select(.state != "connected")'
    """
    found = status()
    if form == "json":
        answer_json(orjson.loads(msgspec.json.encode(found)))
    else:
        answer(folded(render_status(found, colour=colour_wanted(sys.stdout)), columns(sys.stdout)))
    return Exit.OK if found.state == "up" else Exit.OUTSIDE
