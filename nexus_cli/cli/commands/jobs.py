"""`nexus jobs`: notifications and other work that waits, runs or failed."""

from __future__ import annotations

import asyncio
from datetime import tzinfo

import click

from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import (
    WholeNumber,
    changes_runtime,
    format_option,
    reads_runtime,
    utc_option,
)
from nexus_cli.cli.views.jobs import jobs_text, stats_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.jobs import change_jobs, job_stats, jobs
from nexus_cli.wire.control import as_object

EXITS = help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)


@click.group("jobs", short_help="Show, retry and discard jobs.", epilog=EXITS)
def command() -> None:
    """Jobs are work that is done later and again until it succeeds: notifications, archiving.

    \b
    Example:
      nexus jobs list --state failed
      nexus jobs retry 4711
    """


@command.command("list", epilog=EXITS)
@click.option("--state", default=None, type=click.Choice(["queued", "running", "failed"]), help="Only in this state.")
@click.option("--kind", default="", metavar="KIND", help="Only of this kind, e.g. deliver.")
@click.option("--limit", default=50, show_default=True, type=WholeNumber(1, 1000), help="Maximum number of rows.")
@utc_option
@format_option("text", "json")
@reads_runtime("NEXUS_CONTROL_URL")
def list_(state: str | None, kind: str, limit: int, zone: tzinfo | None, format_: str) -> int:
    """Show jobs that wait, run or failed, the newest first.

    \b
    Example:
      nexus jobs list --state failed --format json
    """
    found = asyncio.run(jobs(state=state or "", kind=kind, limit=limit))
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(jobs_text(found.jobs, zone=zone))
    return Exit.OK


@command.command("stats", epilog=EXITS)
@format_option("text", "json")
@reads_runtime("NEXUS_CONTROL_URL")
def stats(format_: str) -> int:
    """Show what waits, runs and failed by kind, and how long jobs take.

    \b
    Example:
      nexus jobs stats
    """
    found = asyncio.run(job_stats())
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(stats_text(found))
    return Exit.OK


@command.command("retry", epilog=EXITS)
@click.argument("ids", metavar="[ID…]", nargs=-1, type=WholeNumber(1, 2**63 - 1))
@click.option("--all", "all_", is_flag=True, help="All that failed.")
@click.option("--kind", default="", metavar="KIND", help="Only of this kind.")
@format_option("text", "json")
@changes_runtime("NEXUS_CONTROL_URL")
def retry(ids: tuple[int, ...], all_: bool, kind: str, format_: str) -> int:
    """Let failed jobs begin again, with all their tries.

    \b
    Example:
      nexus jobs retry --all --kind deliver
    """
    return _change("retry", ids, all_, kind, format_)


@command.command("discard", epilog=EXITS)
@click.argument("ids", metavar="[ID…]", nargs=-1, type=WholeNumber(1, 2**63 - 1))
@click.option("--all", "all_", is_flag=True, help="All that failed.")
@click.option("--kind", default="", metavar="KIND", help="Only of this kind.")
@format_option("text", "json")
@changes_runtime("NEXUS_CONTROL_URL")
def discard(ids: tuple[int, ...], all_: bool, kind: str, format_: str) -> int:
    """Remove failed jobs; by number also jobs that wait. The audit trail keeps who did it.

    \b
    Example:
      nexus jobs discard 4711
    """
    return _change("discard", ids, all_, kind, format_)


def _change(verb: str, ids: tuple[int, ...], all_: bool, kind: str, format_: str) -> int:
    if ids and all_:
        raise click.UsageError("numbers or --all, not both")
    done = asyncio.run(change_jobs(verb, ids, kind=kind, all_=all_))
    if format_ == "json":
        answer_json({"ids": done})
    else:
        word = {"retry": "begin again", "discard": "were discarded"}[verb]
        answer(f"{len(done)} jobs {word}" + (f": {', '.join(map(str, done[:20]))}" if done else ""))
    if not (missed := [each for each in ids if each not in done]):
        return Exit.OK
    which = "failed" if verb == "retry" else "failed or waits"
    note(f"not among them: {', '.join(map(str, missed[:20]))}; no job of this number {which} (`nexus jobs list`)")
    return Exit.FINDINGS
