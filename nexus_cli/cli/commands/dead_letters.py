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
from nexus_cli.cli.options import (
    WholeNumber,
    changes_runtime,
    color_option,
    format_option,
    reads_runtime,
    utc_option,
)
from nexus_cli.cli.views.dead_letters import letters_text, retried_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.dead_letters import change_letters, dead_letters

EPILOG = (
    "\b\nExamples:\n  nexus dead-letters list\n  nexus dead-letters list acme/springfield/press --reason bad_time --limit 200\n"
    "  nexus dead-letters list --format json | jq -r '.dead_letters[].payload'\n\n"
    + help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)


class _Listing(click.Group):
    """Lists when no subcommand is named: a topic alone is listed, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` in front of anything that is neither a subcommand nor a question for help."""
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group("dead-letters", cls=_Listing, short_help="Show messages that could not be stored.", epilog=EPILOG)
def command() -> None:
    """Show messages that could not be stored, retry or discard them. Without a subcommand they are listed."""


@command.command("list", epilog=EPILOG)
@click.argument("topic", metavar="[TOPIC]", default="")
@click.option("--reason", default="", metavar="REASON", help="Only of this reason, one word such as bad_time.")
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=WholeNumber(1, 1000),
    help="Maximum number of rows, the newest first.",
)
@utc_option
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_DATABASE_URL")
def list_(topic: str, reason: str, limit: int, zone: tzinfo | None, format_: str) -> int:
    """Show messages that could not be stored, each with its reason and how many were alike.

    TOPIC is a whole topic, or the levels above topics. `nexus replay --dead-letters` plays them back.
    """
    found = asyncio.run(dead_letters(topic=topic, reason=reason, limit=limit))
    if format_ == "json":
        answer_json({"dead_letters": [dataclasses.asdict(each) for each in found]})
    else:
        answer(letters_text(found, style=styler(sys.stdout), zone=zone))
    return Exit.OK


@command.command("retry", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE))
@click.argument("ids", metavar="[ID…]", nargs=-1, type=WholeNumber(1, 2**63 - 1))
@click.option("--topic", default="", metavar="TOPIC", help="Of this topic, or below it.")
@click.option("--reason", default="", metavar="REASON", help="Only of this reason.")
@click.option("--all", "all_", is_flag=True, help="All of them.")
@format_option("text", "json")
@changes_runtime("NEXUS_CONTROL_URL")
def retry(ids: tuple[int, ...], topic: str, reason: str, all_: bool, format_: str) -> int:
    """Give dead letters back to the historian, when their reason is cured: a tag or a retention class was declared since.

    What it can store now is stored under its first time, once. The rest stays, with its reason and one more try. Exit 1
    when something stays.

    \b
    Example:
      nexus dead-letters retry --reason unknown_series
    """
    done = asyncio.run(change_letters("retry", ids, topic=topic, reason=reason, all_=all_))
    if format_ == "json":
        answer_json({"ids": done.ids, "kept": done.kept, "waiting": done.waiting})
    else:
        answer(retried_text(done))
    return Exit.FINDINGS if done.kept or done.waiting else Exit.OK


@command.command("discard", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE))
@click.argument("ids", metavar="[ID…]", nargs=-1, type=WholeNumber(1, 2**63 - 1))
@click.option("--topic", default="", metavar="TOPIC", help="Of this topic, or below it.")
@click.option("--reason", default="", metavar="REASON", help="Only of this reason.")
@click.option("--all", "all_", is_flag=True, help="All of them.")
@format_option("text", "json")
@changes_runtime("NEXUS_CONTROL_URL")
def discard(ids: tuple[int, ...], topic: str, reason: str, all_: bool, format_: str) -> int:
    """Remove dead letters that no one needs any more. The audit trail keeps who did it.

    \b
    Example:
      nexus dead-letters discard --topic acme/springfield/press --reason undeclared
    """
    gone = asyncio.run(change_letters("discard", ids, topic=topic, reason=reason, all_=all_)).ids
    if format_ == "json":
        answer_json({"ids": gone})
    else:
        answer(f"{len(gone)} dead letters were discarded")
    return Exit.OK
