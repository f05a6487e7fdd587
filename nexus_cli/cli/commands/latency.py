"""`nexus latency`: how long operations take."""

from __future__ import annotations

import sys
import time

import click
import msgspec
import orjson

from nexus_cli.cli.console import answer, answer_json, clear_screen, colour_wanted
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import reads_runtime
from nexus_cli.cli.views.latency import render_latency
from nexus_cli.exit_codes import Exit
from nexus_cli.project.latency import latency
from nexus_cli.wire.health import ROLES
from nexus_cli.wire.latency_health import LatencyTable

EVERY_S = 2.0


@click.command(
    "latency",
    short_help="Show how long reads, polls, writes, commits and requests take.",
    epilog=help_text(Exit.OK, Exit.OUTSIDE),
)
@click.option("--role", type=click.Choice(sorted(ROLES)), default=None, help="Processes of this role only.")
@click.option("--watch", is_flag=True, help=f"Show again every {EVERY_S:g} s; with --format json a line each time.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
@reads_runtime("")
def command(role: str | None, watch: bool, form: str) -> int:
    """Show count, p50, p95, p99 and maximum of each kind of operation over the last minute (1m) and hour (1h).

    read: a request to a device until its answer; poll: all requests of a device's cycle; publish: a message until the broker has
    it; live: a sample until the broker has its live value; write: a command until its answer; commit: a batch into the database;
    queue: a sample until its row is committed; api: a request to control or web until its answer.

    Exits with 6 when a role does not answer. Web shows the same of the whole site: GET /v1/sites/ENTERPRISE/SITE/latencies.

    \b
    Example:
      nexus latency --role gateway --watch
      nexus latency --format json | jq '.rows[] | select(.operation == "read" and .window == "1m").p99_ms'
    """
    found = latency(role=role or "")
    _show(found, form, watch=watch)
    while watch:
        time.sleep(EVERY_S)
        found = latency(role=role or "")
        _show(found, form, watch=True)
    return Exit.OUTSIDE if found.missing else Exit.OK


def _show(found: LatencyTable, form: str, *, watch: bool) -> None:
    data = orjson.loads(msgspec.json.encode(found))
    if form == "text":
        if watch:
            clear_screen()
        answer(render_latency(found, colour=colour_wanted(sys.stdout)))
    elif watch:
        answer(orjson.dumps(data).decode())
        sys.stdout.flush()
    else:
        answer_json(data)
