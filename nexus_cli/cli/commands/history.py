"""`nexus history`: stored values of a tag."""

from __future__ import annotations

import asyncio
import sys
from datetime import tzinfo
from typing import Any

import click
import orjson

from nexus_cli.cli.completing import tag_paths
from nexus_cli.cli.console import answer, answer_bytes, answer_data, answer_json, colour_wanted
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import WholeNumber, reads_runtime, utc_option
from nexus_cli.cli.views import history as view
from nexus_cli.cli.views import statistics as stats_view
from nexus_cli.exit_codes import Exit
from nexus_cli.history.document import builtins_of
from nexus_cli.model.calendar import zone_named
from nexus_cli.project.history import history, history_to_draw, statistics


def _named(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tzinfo | None:
    try:
        return None if value is None else zone_named(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}; write a name such as Europe/Berlin") from None


@click.command(
    "history", short_help="Show stored values of a tag.", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)
@click.argument("path", metavar="PATH", shell_complete=tag_paths)
@click.option(
    "--since", default="1h", show_default=True, help="Start: how long ago (1h, 7d), today, 06:00, or ISO 8601."
)
@click.option("--until", default="now", show_default=True, help="End, in the same forms as --since.")
@click.option(
    "--limit",
    default=1000,
    show_default=True,
    type=WholeNumber(1, 1_000_000),
    help="Maximum number of rows, the newest first.",
)
@click.option("--every", default=None, metavar="TIME", help="One line per bucket: 1m, 1h, 1d, 1w, 1mo.")
@click.option(
    "--agg",
    "aggregate",
    default=None,
    type=click.Choice(["avg", "min", "max", "first", "last", "count", "good"]),
    help="Aggregate per bucket. [default: time-weighted avg; last for text, JSON and named codes]",
)
@click.option("--zone", "named", default=None, metavar="ZONE", callback=_named, help="Time zone, e.g. Europe/Berlin.")
@utc_option
@click.option("--format", "format_", default="table", show_default=True, type=click.Choice(["table", "csv", "json"]))
@click.option("--spreadsheet", is_flag=True, help="In CSV, prefix ' to text that a spreadsheet would evaluate.")
@click.option("--plot", is_flag=True, help="Draw a plot in the terminal.")
@click.option("--stats", is_flag=True, help="Show count, minimum, maximum, means and deviation of the span.")
@reads_runtime("NEXUS_DATABASE_URL")
def command(
    path: str,
    format_: str,
    spreadsheet: bool,
    plot: bool,
    stats: bool,
    named: tzinfo | None,
    zone: tzinfo | None,
    **question: Any,
) -> int:
    """Show the stored values of a tag: time, value, quality and reason, with known gaps between them.

    Times are read and shown on the local clock, with its offset; --zone or --utc change both. Days, weeks (from Monday)
    and months follow that zone, or the `time_zone` of the site file when neither is given.

    \b
    Examples:
      nexus history packaging/line-1/filler/temperature --since today
      nexus history packaging/line-1/filler/temperature --since 90d --every 1d --agg max --format csv
      nexus history packaging/line-1/filler/temperature --since 7d --stats
    """
    if named is not None and zone is not None:
        raise click.UsageError("--zone and --utc contradict each other; use one of them")
    if stats:
        return _stats(path, format_, zone=named or zone, plot=plot, **question)
    look = history_to_draw if plot and format_ == "table" else history
    found = asyncio.run(look(path, zone=named or zone, **question))
    if format_ == "json":
        answer_bytes(orjson.dumps(found.to_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    elif format_ == "csv":
        answer_data(view.to_csv(found, spreadsheet=spreadsheet))
    else:
        answer(view.table(found, colour=colour_wanted(sys.stdout)) if not plot else view.plot(found))
    return Exit.OK


def _stats(
    path: str,
    format_: str,
    *,
    plot: bool,
    since: str,
    until: str,
    every: str | None,
    aggregate: str | None,
    **rest: Any,
) -> int:
    if plot or every is not None or aggregate is not None or format_ == "csv":
        raise click.UsageError("--stats is about the whole span: without --plot, --every, --agg and --format csv")
    found = asyncio.run(statistics(path, since=since, until=until, zone=rest["zone"]))
    if format_ == "json":
        answer_json(builtins_of(found))
    else:
        answer(stats_view.text(found, colour=colour_wanted(sys.stdout)))
    return Exit.OK
