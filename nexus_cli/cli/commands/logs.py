"""`nexus logs`: what the parts of the runtime wrote."""

from __future__ import annotations

import time

import click

from nexus_cli.cli.completing import parts
from nexus_cli.cli.console import answer
from nexus_cli.cli.exit_codes import help_text
from nexus_cli.cli.options import reads_runtime
from nexus_cli.exit_codes import Exit

LOOK_S = 0.2


@click.command("logs", short_help="Show the logs of the runtime.", epilog=help_text(Exit.OK, Exit.FINDINGS))
@click.argument("part", required=False, shell_complete=parts)
@click.option("-n", "--lines", default=20, type=click.IntRange(min=0), help="Number of lines per log, the newest.")
@click.option("-f", "--follow", is_flag=True, help="Follow until Ctrl-C.")
@reads_runtime("")
def command(part: str | None, lines: int, follow: bool) -> int:
    """Show the last lines of a part (broker, database, control, historian, gateway-NAME, supervisor), or of all.

    \b
    Example:
      nexus logs historian -n 100 -f
    """
    from nexus_cli.cli.views.logs import Follower, last_lines
    from nexus_cli.project.runtime import log_files

    files = log_files(part)
    label = len(files) > 1
    followers = []
    for name, path in files.items():
        text, position = last_lines(path, lines)
        followers.append(Follower(path, name if label else "", position))
        for line in text:
            answer(f"{name}: {line}" if label else line)
    while follow:
        for follower in followers:
            for line in follower.fresh():
                answer(line)
        time.sleep(LOOK_S)
    return Exit.OK
