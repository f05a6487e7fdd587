"""`nexus logs`: the log lines of the runtime's parts."""

from __future__ import annotations

import time
from datetime import tzinfo

import click

from nexus_cli.cli.completing import parts
from nexus_cli.cli.console import answer
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import WholeNumber, reads_runtime, utc_option
from nexus_cli.cli.views.logs import Follower, last_lines, on_clock
from nexus_cli.exit_codes import Exit
from nexus_cli.project.logs import log_files

LOOK_S = 0.2


@click.command(
    "logs", short_help="Show the logs of the runtime.", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)
@click.argument("part", required=False, shell_complete=parts)
@click.option("-n", "--lines", default=20, type=WholeNumber(min=0), help="Number of lines per log, the newest.")
@click.option("-f", "--follow", is_flag=True, help="Follow until Ctrl-C.")
@utc_option
@reads_runtime("")
def command(part: str | None, lines: int, follow: bool, zone: tzinfo | None) -> int:
    """Show the last lines of a part (broker, database, control, historian, web, worker, gateway-NAME, supervisor), or of all.

    Times of the roles are local, with their offset, as in every other command; the files are in UTC, and so are JSON
    lines. The broker and the database write times of their own.

    \b
    Example:
      nexus logs historian -n 100 -f
    """
    files = log_files(part)
    label = len(files) > 1
    followers = []
    for name, path in files.items():
        text, position = last_lines(path, lines)
        followers.append(Follower(path, name if label else "", position, zone=zone))
        for line in (on_clock(each, zone=zone) for each in text):
            answer(f"{name}: {line}" if label else line)
    while follow:
        for follower in followers:
            for line in follower.fresh():
                answer(line)
        time.sleep(LOOK_S)
    return Exit.OK
