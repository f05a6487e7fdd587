"""`nexus history`: stored values of a tag."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from nexus_cli.cli.completing import tag_paths
from nexus_cli.cli.console import answer, answer_bytes, answer_data, colour_wanted
from nexus_cli.cli.exit_codes import Exit, help_text


@click.command(
    "history", short_help="Show stored values of a tag.", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)
@click.argument("path", metavar="PATH", shell_complete=tag_paths)
@click.option("--since", default="1h", show_default=True, help="Start: how long ago (1h, 7d), or ISO 8601.")
@click.option("--until", default="now", show_default=True, help="End, in the same forms.")
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(1, 1_000_000), help="Newest so many.")
@click.option("--every", default=None, metavar="TIME", help="One line per bucket of this width, such as 1m.")
@click.option(
    "--agg",
    "aggregate",
    default="avg",
    show_default=True,
    type=click.Choice(["avg", "min", "max", "first", "last", "count", "good"]),
    help="What to show of a bucket; avg is time-weighted.",
)
@click.option("--format", "format_", default="table", show_default=True, type=click.Choice(["table", "csv", "json"]))
@click.option("--plot", is_flag=True, help="Draw the numbers in the terminal.")
def command(path: str, format_: str, plot: bool, **question: Any) -> int:
    """Show the stored values of a tag: time (UTC), value, quality and why, with known gaps between them.

    \b
    Examples:
      nexus history packaging/line-1/filler/temperature --since 1h
      nexus history packaging/line-1/filler/temperature --since 7d --every 1h --agg max --format csv
    """
    from nexus_cli.cli.views import history as view
    from nexus_cli.project.history import history

    found = asyncio.run(history(path, **question)).to_json()
    if format_ == "json":
        import orjson

        answer_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    elif format_ == "csv":
        answer_data(view.to_csv(found))
    else:
        answer(view.table(found, colour=colour_wanted(sys.stdout)) if not plot else view.plot(found))
    return Exit.OK
