"""`nexus dead-letters`: messages that could not be stored."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from datetime import tzinfo

import click

from nexus_cli.cli.changing import styler
from nexus_cli.cli.console import answer, answer_json
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import color_option, format_option, reads_runtime, utc_option
from nexus_cli.cli.views.dead_letters import letters_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.dead_letters import dead_letters

EPILOG = (
    "\b\nExamples:\n  nexus dead-letters\n  nexus dead-letters acme/springfield/press --reason bad_time --limit 200\n"
    "  nexus dead-letters --format json | jq -r '.dead_letters[].payload'\n\n"
    + help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)


@click.command("dead-letters", short_help="Show messages that could not be stored.", epilog=EPILOG)
@click.argument("topic", metavar="[TOPIC]", default="")
@click.option("--reason", default="", metavar="REASON", help="Only of this reason, one word such as bad_time.")
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Maximum number of rows, the newest first.",
)
@utc_option
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_DATABASE_URL")
def command(topic: str, reason: str, limit: int, zone: tzinfo | None, format_: str) -> int:
    """Show messages that could not be stored, each with its reason and how many were alike.

    TOPIC is a whole topic, or the levels above topics. `nexus replay --dead-letters` plays them back.
    """
    found = asyncio.run(dead_letters(topic=topic, reason=reason, limit=limit))
    if format_ == "json":
        answer_json({"dead_letters": [dataclasses.asdict(each) for each in found]})
    else:
        answer(letters_text(found, style=styler(sys.stdout), zone=zone))
    return Exit.OK
