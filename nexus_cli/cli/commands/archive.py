"""`nexus archive`: days of samples as Parquet files, and back."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, TypeVar

import click

from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import changes_runtime, format_option, reads_runtime, seconds, utc_option
from nexus_cli.cli.views import archive as view
from nexus_cli.exit_codes import Exit
from nexus_cli.model.calendar import iso
from nexus_cli.project.archive import Chosen, archived, restore, verify

EXITS = help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
F = TypeVar("F", bound=Callable[..., Any])


def _which(function: F) -> F:
    """`--class`, `--from` and `--to`."""
    for option in (
        click.option("--to", "until", default=None, metavar="TIME", help="Up to this day, in the same forms."),
        click.option(
            "--from", "since", default=None, metavar="TIME", help="From this day (UTC): 2026-01-31, 30d, 2026-W05."
        ),
        click.option("--class", "class_", default="", metavar="CLASS", help="Only of this retention class."),
    ):
        function = option(function)
    return function


@click.group("archive", short_help="List, verify and restore archived days.", epilog=EXITS)
def command() -> None:
    """The archive has days of samples as Parquet files, before the historian drops them (`archive:` in the site file).

    \b
    Example:
      nexus archive list --from 30d
      nexus archive restore --from 2024-03-01 --to 2024-03-08
    """


@command.command("list", epilog=EXITS)
@_which
@utc_option
@format_option("text", "json")
@reads_runtime("NEXUS_DATABASE_URL")
def list_(class_: str, since: str | None, until: str | None, zone: tzinfo | None, format_: str) -> int:
    """Show the days: open (to be archived), writing, verified (also in the historian), dropped (in the archive alone).

    \b
    Example:
      nexus archive list --class fast --from 30d --format json
    """
    found = asyncio.run(archived(Chosen(class_=class_, since=since, until=until, zone=zone)))
    if format_ == "json":
        answer_json({"days": [view.day_json(each) for each in found]})
    else:
        answer(view.days_text(found, zone=zone))
    return Exit.OK


@command.command("verify", epilog=EXITS)
@_which
@utc_option
@format_option("text", "json")
@reads_runtime("NEXUS_DATABASE_URL")
def verify_(class_: str, since: str | None, until: str | None, zone: tzinfo | None, format_: str) -> int:
    """Read every file and hold it against its manifest. A damaged day that the historian still has is archived again.

    \b
    Example:
      nexus archive verify --from 2024-01-01 --to 2025-01-01
    """
    found = asyncio.run(verify(Chosen(class_=class_, since=since, until=until, zone=zone)))
    if format_ == "json":
        answer_json({"days": [dataclasses.asdict(each) | {"day": str(each.day)} for each in found]})
    else:
        answer(view.checked_text(found))
    return Exit.FINDINGS if any(each.problems for each in found) else Exit.OK


@command.command("restore", epilog=EXITS)
@_which
@click.option(
    "--hold",
    "hold_s",
    default="7d",
    show_default=True,
    metavar="TIME",
    callback=seconds("1h", "3650d"),
    help="How long they are not dropped again.",
)
@utc_option
@format_option("text", "json")
@changes_runtime("NEXUS_DATABASE_URL")
def restore_(class_: str, since: str | None, until: str | None, hold_s: int, zone: tzinfo | None, format_: str) -> int:
    """Put days back into the historian. What it has stays as it is: a repetition adds nothing.

    \b
    Example:
      nexus archive restore --class fast --from 2024-03-01 --to 2024-03-08 --hold 30d
    """
    if since is None or until is None:
        raise click.UsageError("say which days: --from and --to")
    chosen = Chosen(class_=class_, since=since, until=until, zone=zone)
    hold = timedelta(seconds=hold_s)
    held = datetime.now(UTC) + hold
    found = asyncio.run(restore(chosen, hold=hold, each_done=lambda day: note(f"{day.retention} {day.day}")))
    if format_ == "json":
        days = [dataclasses.asdict(each) | {"day": str(each.day)} for each in found]
        answer_json({"days": days, "hold_until": held.isoformat()})
    else:
        answer(view.restored_text(found, until=iso(held, zone)))
    return Exit.OK
