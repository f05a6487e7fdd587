"""`nexus audit`: user, action, time and outcome."""

from __future__ import annotations

import asyncio
import sys
from datetime import tzinfo
from typing import Any

import click

from nexus_cli.cli.changing import styler
from nexus_cli.cli.commands.audit_verify import command as verify
from nexus_cli.cli.completing import tag_paths
from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import WholeNumber, color_option, format_option, reads_runtime, utc_option
from nexus_cli.cli.views.audit import trail_text
from nexus_cli.cli.views.audit_csv import trail_csv
from nexus_cli.exit_codes import Exit
from nexus_cli.project.audit import MOST, audit
from nexus_cli.wire.control import as_object
from nexus_cli.wire.control_audit import AUDIT_KINDS

EPILOG = (
    "\b\nExamples:\n  nexus audit 'packaging/**' --since 8h\n"
    "  nexus audit packaging/line-1/filler/setpoint --kind command --format json\n"
    "  nexus audit --who packaging-desk --since 7d --limit 500\n\n" + help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)


class _TrailOrVerify(click.Group):
    """`nexus audit [PATH-GLOB]`, and its one subcommand `verify`. An area of that name is `verify/**`."""

    allow_interspersed_args = True

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the one that is asked for."""
        if args[:1] == ["verify"]:
            return verify.make_context(f"{info_name} verify", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As a command: what is left over is a mistake."""
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """As a command."""
        return click.Command.invoke(self, ctx)


@click.command(
    "audit",
    cls=_TrailOrVerify,
    commands={"verify": verify},
    no_args_is_help=False,
    invoke_without_command=True,
    subcommand_metavar="| verify [OPTIONS]",
    short_help="Show who did what, and the outcome.",
    epilog=EPILOG,
)
@click.argument("path", metavar="[PATH-GLOB]", default="", shell_complete=tag_paths)
@click.option("--since", default="24h", show_default=True, help="How long ago (8h, 7d), today, 06:00, or ISO 8601.")
@click.option("--until", default="", metavar="MOMENT", help="Not newer; written as --since.")
@click.option("--who", default="", metavar="NAME", help="Only entries of this principal.")
@click.option("--what", default="", metavar="ACTION", help="Only this action, such as apply, confirm or break-lock.")
@click.option(
    "--kind",
    default=None,
    type=click.Choice(AUDIT_KINDS),
    help="Only entries of this kind.",
)
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=WholeNumber(1, MOST),
    help="Maximum number of rows, the newest first.",
)
@utc_option
@format_option("text", "json", "csv")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def command(
    path: str,
    since: str,
    until: str,
    who: str,
    what: str,
    kind: str | None,
    limit: int,
    zone: tzinfo | None,
    format_: str,
) -> int:
    """Show the audit trail, newest last: commands with old → new → read back, sequences, deployments.

    PATH-GLOB is a path (with everything below it), a glob (* is one level, ** the rest), or a sequence's name.
    `nexus audit verify` checks that no row was changed or removed.
    Times are read and shown on the local clock, with its offset; --format json has microseconds since 1970 UTC.
    """
    found = asyncio.run(
        audit(path, since=since, until=until, who=who, what=what, kind=kind or "", limit=limit, zone=zone)
    )
    if format_ == "json":
        answer_json(found, default=as_object)
    elif format_ == "csv":
        answer(trail_csv(found))
        if found.truncated:
            note("older ones are left out: raise --limit or narrow --since")
    else:
        answer(trail_text(found, since=since, style=styler(sys.stdout), zone=zone))
    return Exit.OK
