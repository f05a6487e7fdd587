"""`nexus read`: the newest value of a tag."""

from __future__ import annotations

import asyncio
import sys

import click

from nexus_cli.cli.completing import tag_paths
from nexus_cli.cli.console import answer, answer_bytes, colour_wanted
from nexus_cli.cli.exit_codes import Exit, help_text


@click.command(
    "read", short_help="Show the newest value of a tag.", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)
@click.argument("path", shell_complete=tag_paths)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
@click.option("--wait", "duration", default=None, metavar="TIME", help="Wait so long for a first value, e.g. 10s.")
def command(path: str, form: str, duration: str | None) -> int:
    """Show the newest value of area/line/device/tag, as the broker keeps it.

    \b
    Example:
      nexus read packaging/line-1/filler/temperature --format json
    """
    from nexus_cli.model.site import parse_duration
    from nexus_cli.project.live import read

    try:
        wait_s = parse_duration(duration) / 1000 if duration else 0.0
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--wait") from None
    live = asyncio.run(read(path, wait_s=wait_s))
    if form == "json":
        import orjson

        answer_bytes(orjson.dumps(live.to_json(), option=orjson.OPT_APPEND_NEWLINE, default=str))
    else:
        from nexus_cli.cli.views.tail import TailView

        answer(TailView(colour=colour_wanted(sys.stdout)).line(live))
    return Exit.OK
