"""`nexus read`: the newest value of a tag."""

from __future__ import annotations

import asyncio
import sys

import click
import orjson

from nexus_cli.cli.completing import gateways, tag_paths
from nexus_cli.cli.console import answer, answer_bytes, answer_json, colour_wanted
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import reads_runtime
from nexus_cli.cli.views.direct import document, text
from nexus_cli.cli.views.tail import TailView
from nexus_cli.exit_codes import Exit
from nexus_cli.model.site import parse_duration
from nexus_cli.project.address_read import read_direct
from nexus_cli.project.live import read


@click.command(
    "read", short_help="Show the newest value of a tag.", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)
@click.argument("path", shell_complete=tag_paths)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
@click.option("--wait", "duration", default=None, metavar="TIME", help="Maximum wait for a first value, e.g. 10s.")
@click.option("--direct", is_flag=True, help="Read the device now, next to the published value.")
@click.option(
    "--client",
    type=click.Choice(["nexus", "library"]),
    default="nexus",
    help="With --direct: library also reads through pymodbus, python-snap7, pyads or asyncua.",
)
@click.option(
    "--via",
    default="",
    metavar="GATEWAY",
    shell_complete=gateways,
    help="With --direct: read through this gateway's link.",
)
@reads_runtime("NEXUS_BROKER_URL")
def command(path: str, form: str, duration: str | None, direct: bool, client: str, via: str) -> int:
    """Show the newest value of area/line/device/tag, as retained by the broker.

    --direct reads the tag's address on the device now, from this machine and over its own connection, and shows raw
    value and bytes. With --via the running gateway reads it, over its open link and between its polls: for a device
    that is not reachable from here, or accepts one connection only. With --client library a published library reads the
    same address again, always from here: a second opinion. If the library can't read the address, the output says so,
    and the exit code is that of NEXUS's own read.

    \b
    Examples:
      nexus read packaging/line-1/filler/temperature --format json
      nexus read packaging/line-1/filler/temperature --direct --client library
      nexus read packaging/line-1/filler/temperature --direct --via gw-1
    """
    if client != "nexus" and not direct:
        raise click.UsageError("--client goes with --direct: the broker's value has no client.")
    if via and not direct:
        raise click.UsageError("--via goes with --direct: the published value is the broker's.")
    if direct:
        return _direct(path, form, client, via)

    try:
        wait_s = parse_duration(duration) / 1000 if duration else 0.0
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--wait") from None
    live = asyncio.run(read(path, wait_s=wait_s))
    if form == "json":
        answer_bytes(orjson.dumps(live.to_json(), option=orjson.OPT_APPEND_NEWLINE, default=str))
    else:
        answer(TailView(colour=colour_wanted(sys.stdout)).line(live))
    return Exit.OK


def _direct(path: str, form: str, client: str, via: str) -> int:
    found = asyncio.run(read_direct(path, client=client, via=via))
    result = document(found)
    if form == "json":
        answer_json(result, default=str)
    else:
        answer(text(result))
    if not any(one.opinion.data or one.quality != "BAD" for one in found.answers):
        return Exit.OUTSIDE
    return Exit.OK if found.agree else Exit.FINDINGS
