"""`nexus deployments`: who applied what, when, and how it ended."""

from __future__ import annotations

import sys
from datetime import tzinfo
from typing import Any

import click

from nexus_cli.cli.changing import styler
from nexus_cli.cli.console import answer, answer_json
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import WholeNumber, color_option, format_option, reads_runtime, utc_option
from nexus_cli.cli.views.deployment import deployment_text
from nexus_cli.cli.views.deployments import deployment_head, deployments_text, journal_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.deployments import deployment, deployments
from nexus_cli.settings import load_settings
from nexus_cli.wire.control import as_object

EXITS = help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)


@click.group(
    "deployments",
    invoke_without_command=True,
    short_help="Show who applied what, when, and the outcome.",
    epilog=EXITS,
)
@click.option("--limit", default=20, show_default=True, type=WholeNumber(1, 1000), help="At most so many.")
@click.option("--who", default="", metavar="NAME", help="Only of this principal.")
@click.option(
    "--outcome",
    default=None,
    type=click.Choice(["applied", "partly", "failed", "running", "stopped"]),
    help="Only those that ended so.",
)
@click.option("--since", default="", metavar="MOMENT", help="How long ago (8h, 7d), today, 06:00, or ISO 8601.")
@utc_option
@format_option("text", "json")
@color_option
@click.pass_context
@reads_runtime("NEXUS_CONTROL_URL")
def command(context: click.Context, /, format_: str, zone: tzinfo | None, **wanted: Any) -> int:
    """Show deployments, the newest first: number, time, outcome, who and why, consents, CI run, what waits.

    \b
    Example:
      nexus deployments --since 7d --outcome partly
      nexus deployments show 12
    """
    if context.invoked_subcommand is not None:
        return Exit.OK
    found = deployments(load_settings(), zone=zone, **{**wanted, "outcome": wanted["outcome"] or ""})
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(deployments_text(found.deployments, style=styler(sys.stdout), zone=zone))
    return Exit.OK


@command.command("show", epilog=EXITS)
@click.argument("number", type=WholeNumber(1, 2**31 - 1), metavar="DEPLOYMENT")
@utc_option
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def show(number: int, zone: tzinfo | None, format_: str) -> int:
    """Show one deployment: who, why, its journal, and how each resource ended.

    \b
    Example:
      nexus deployments show 12 --format json
    """
    found = deployment(load_settings(), number)
    if format_ == "json":
        answer_json(found, default=as_object)
        return Exit.OK
    style = styler(sys.stdout)
    parts = [deployment_head(found, style=style, zone=zone), journal_text(found.journal, zone=zone)]
    if found.state == "ended":
        parts.append(deployment_text(found, style=style))
    answer("\n\n".join(part for part in parts if part))
    return Exit.OK
