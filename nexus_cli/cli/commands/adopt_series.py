"""`nexus adopt series`: series in the database that no site declares get an end that a person chose."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from nexus_cli.cli.changing import agreed, styler
from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import changes_runtime, color_option, format_option
from nexus_cli.cli.views.adopt_series import series_document, series_text
from nexus_cli.discover.adopt.series import Choices
from nexus_cli.exit_codes import Exit
from nexus_cli.project import adopt_series as project

EXITS = help_text(Exit.OK, Exit.FINDINGS, Exit.PARTLY, Exit.CONFLICT, Exit.OUTSIDE)


@click.command("series", short_help="Declare, move, forget or protect series that no site declares.", epilog=EXITS)
@click.option("--into", required=True, type=click.Path(path_type=Path), help="The site file that gets tags and moves.")
@click.option("--declare", metavar="GLOB", multiple=True, help="Make them tags of external devices. Repeatable.")
@click.option(
    "--move", metavar="OLD=NEW", multiple=True, help="Bind them to a tag, by an entry of `moved:`. Repeatable."
)
@click.option("--forget", metavar="GLOB", multiple=True, help="Leave them undeclared; samples stay. Repeatable.")
@click.option("--keep", metavar="GLOB", multiple=True, help="Never drop their samples. Repeatable.")
@click.option("--reason", default="", help="For the audit trail.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and end.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def series(
    into: Path,
    declare: tuple[str, ...],
    move: tuple[str, ...],
    forget: tuple[str, ...],
    keep: tuple[str, ...],
    reason: str,
    dry_run: bool,
    yes: bool,
    format_: str,
) -> int:
    """Series in the database that no site declares: of removed lines, of old names, of rows that were written by hand.

    Without a choice it lists them. No sample is removed: `nexus purge` does that.

    \b
    Example:
      nexus adopt series --into site.yaml
      nexus adopt series --into site.yaml --move packaging/line-9=packaging/line-1 --forget 'trial/**' --dry-run
    """
    choices = Choices(declare=declare, forget=forget, keep=keep, moves=tuple(_pair(one) for one in move))
    found = asyncio.run(project.series(choices, into=into))
    if format_ == "text":
        answer(series_text(series_document(found), styler(sys.stdout)))
    if found.changes and not dry_run:
        if not yes and not agreed("Do this?"):
            return Exit.FINDINGS
        found = asyncio.run(project.carry_out(found, reason=reason))
        if format_ == "text":
            after = series_document(found)["after"] or {}
            note(f"afterwards {after['series']:,} undeclared series with {after['samples']:,} samples")
    if format_ == "json":
        answer_json(series_document(found))
    else:
        for text in found.notes:
            note(text)
    return Exit.OK


def _pair(text: str) -> tuple[str, str]:
    old, sign, new = text.partition("=")
    if not (sign and old and new):
        raise click.UsageError(f"--move is OLD=NEW, not '{text}'.")
    return old.strip("/"), new.strip("/")
