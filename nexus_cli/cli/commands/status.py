"""`nexus status`: how everything is."""

from __future__ import annotations

import sys

import click

from nexus_cli.cli.console import answer, answer_json, colour_wanted
from nexus_cli.cli.exit_codes import Exit, help_text


@click.command(
    "status", short_help="Show how broker, database, roles and links are.", epilog=help_text(Exit.OK, Exit.OUTSIDE)
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
def command(form: str) -> int:
    """Show broker, database, control, historian, gateways, their links, and the devices that give no value.

    Exits with 6 when one of them is not well: a part or a link is down, a device does not answer.

    \b
    Example:
      nexus status --format json | jq '.links[] | select(.state != "connected")'
    """
    from nexus_cli.project.runtime import status

    found = status()
    if form == "json":
        answer_json(found, default=str)
    else:
        from nexus_cli.cli.views.status import render_status

        answer(render_status(found, colour=colour_wanted(sys.stdout)))
    return Exit.OK if found["state"] == "up" else Exit.OUTSIDE
