"""`nexus alarms`: what must be answered, who answered it, and whether it is too much."""

from __future__ import annotations

import asyncio
import sys
from datetime import tzinfo

import click

from nexus_cli.cli.changing import styler
from nexus_cli.cli.completing import alert_names
from nexus_cli.cli.console import answer, answer_json
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import (
    WholeNumber,
    changes_runtime,
    color_option,
    format_option,
    reads_runtime,
    seconds,
    utc_option,
)
from nexus_cli.cli.views.alarm_figures import figures_text
from nexus_cli.cli.views.alarms import alarm_lines, journal_text, listing_text, why_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project import alarms as project
from nexus_cli.wire.alert import KINDS, Alert
from nexus_cli.wire.control import as_object

CODES = help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
PRIORITY = click.Choice(["critical", "high", "medium", "low"])
name_argument = click.argument("name", metavar="NAME", shell_complete=alert_names)
since_help = "How long ago (8h, 7d), today, 06:00, or ISO 8601."


@click.group("alarms", short_help="Show and answer alarms; key figures.")
def command() -> None:
    """Alarms: alerts with a priority, which a person must answer, and alerts without one."""


@command.command(
    "list",
    epilog="\b\nExamples:\n  nexus alarms list\n  nexus alarms list --priority critical --priority high\n"
    "  nexus alarms list --state shelved --format json\n\n" + CODES,
)
@click.argument("path", metavar="[PATH-GLOB]", default="")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([*project.OPEN, "cleared", *project.HELD]),
    help="Only in this state.",
)
@click.option("--priority", "priorities", multiple=True, type=PRIORITY, help="Only of this priority.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="Only of this group.")
@click.option("--all", "everything", is_flag=True, help="Cleared and held ones, too.")
@utc_option
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def list_(
    path: str,
    states: tuple[str, ...],
    priorities: tuple[str, ...],
    groups: tuple[str, ...],
    everything: bool,
    zone: tzinfo | None,
    format_: str,
) -> int:
    """Show what is active: the most urgent first, the newest first among equals.

    Shelved, suppressed and out-of-service alarms are left out unless --state or --all asks for them.
    """
    found = asyncio.run(
        project.listing(states=states, priorities=priorities, groups=groups, path=path, everything=everything)
    )
    if format_ == "json":
        answer_json({"alerts": found}, default=as_object)
    else:
        answer(listing_text(found, style=styler(sys.stdout), zone=zone))
    return Exit.OK


@command.command(
    "ack", epilog="\b\nExample:\n  nexus alarms ack oven-hot oven-door --reason 'fitter is on the way'\n\n" + CODES
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=alert_names)
@click.option("--reason", default="", help="A comment for the journal and the audit trail.")
@utc_option
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def ack(names: tuple[str, ...], reason: str, zone: tzinfo | None, format_: str) -> int:
    """Acknowledge alarms: you have seen them, and act."""
    for alert in asyncio.run(project.acknowledge(names, reason=reason)):
        _answer(alert, zone, format_)
    return Exit.OK


@command.command(
    "shelve",
    epilog="\b\nExample:\n  nexus alarms shelve oven-hot --for 8h --reason 'probe is being replaced'\n\n" + CODES,
)
@name_argument
@click.option(
    "--for",
    "for_s",
    required=True,
    metavar="TIME",
    callback=seconds("1m", "30d"),
    help="How long, 1m to 30d; it ends by itself.",
)
@click.option("--reason", required=True, help="Why: shown in the list, in the journal and in the audit trail.")
@utc_option
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def shelve(name: str, for_s: int, reason: str, zone: tzinfo | None, format_: str) -> int:
    """Hide alarm NAME for a while. When it ends and the condition holds, the alarm is announced again."""
    _answer(asyncio.run(project.shelve(name, for_s=for_s, reason=reason)), zone, format_)
    return Exit.OK


@command.command("unshelve", epilog="\b\nExample:\n  nexus alarms unshelve oven-hot\n\n" + CODES)
@name_argument
@utc_option
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def unshelve(name: str, zone: tzinfo | None, format_: str) -> int:
    """Show alarm NAME again before its shelf ends."""
    _answer(asyncio.run(project.unshelve(name)), zone, format_)
    return Exit.OK


@command.command(
    "out-of-service",
    epilog="\b\nExample:\n  nexus alarms out-of-service oven-hot --reason 'no probe this month'\n\n" + CODES,
)
@name_argument
@click.option("--reason", required=True, help="Why: shown in the list, in the journal and in the audit trail.")
@utc_option
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def out_of_service(name: str, reason: str, zone: tzinfo | None, format_: str) -> int:
    """Take alarm NAME out of service until `nexus alarms in-service NAME`."""
    _answer(asyncio.run(project.take_out(name, reason=reason)), zone, format_)
    return Exit.OK


@command.command("in-service", epilog="\b\nExample:\n  nexus alarms in-service oven-hot\n\n" + CODES)
@name_argument
@utc_option
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def in_service(name: str, zone: tzinfo | None, format_: str) -> int:
    """Take alarm NAME into service again."""
    _answer(asyncio.run(project.take_in(name)), zone, format_)
    return Exit.OK


@command.command("why", epilog="\b\nExample:\n  nexus alarms why oven-hot\n\n" + CODES)
@name_argument
@utc_option
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def why(name: str, zone: tzinfo | None, format_: str) -> int:
    """Show why alarm NAME is as it is: condition, newest values, running delays, who shelves or suppresses it, its journal."""
    found = asyncio.run(project.why(name))
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(why_text(found, style=styler(sys.stdout), zone=zone))
    return Exit.OK


@command.command(
    "kpi",
    epilog="\b\nExamples:\n  nexus alarms kpi --since 30d\n  nexus alarms kpi --since 7d --operators 3 --format json\n\n"
    + CODES,
)
@click.option("--since", default="30d", show_default=True, help=since_help)
@click.option("--until", default="now", show_default=True, help="End of the span, in the same forms.")
@click.option(
    "--operators", default=1, show_default=True, type=WholeNumber(1, 1000), help="People who share the alarms."
)
@utc_option
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def kpi(since: str, until: str, operators: int, zone: tzinfo | None, format_: str) -> int:
    """Show key figures beside the targets of ISA-18.2: loads, floods, priorities, bad actors, chattering, stale, first out."""
    found = asyncio.run(project.key_figures(since=since, until=until, operators=operators, zone=zone))
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(figures_text(found, style=styler(sys.stdout), zone=zone))
    return Exit.OK


@command.command(
    "journal",
    epilog="\b\nExamples:\n  nexus alarms journal --since 8h\n  nexus alarms journal oven-hot --kind shelved\n\n"
    + CODES,
)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=alert_names)
@click.option("--since", default="24h", show_default=True, help=since_help)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only lines of this kind.")
@click.option("--priority", "priorities", multiple=True, type=PRIORITY, help="Only of this priority.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="Only of this group.")
@click.option(
    "--limit",
    default=100,
    show_default=True,
    type=WholeNumber(1, 5000),
    help="Maximum number of lines, the newest first.",
)
@utc_option
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def journal(
    names: tuple[str, ...],
    since: str,
    kinds: tuple[str, ...],
    priorities: tuple[str, ...],
    groups: tuple[str, ...],
    limit: int,
    zone: tzinfo | None,
    format_: str,
) -> int:
    """Show every change of alarms, newest last, with who and why. Lines are kept for 400 days."""
    found = asyncio.run(
        project.journal(names, since=since, kinds=kinds, priorities=priorities, groups=groups, limit=limit, zone=zone)
    )
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(journal_text(found, since=since, style=styler(sys.stdout), zone=zone))
    return Exit.OK


def _answer(alert: Alert, zone: tzinfo | None, format_: str) -> None:
    if format_ == "json":
        answer_json(alert, default=as_object)
    else:
        answer("\n".join(alarm_lines(alert, style=styler(sys.stdout), zone=zone)))
