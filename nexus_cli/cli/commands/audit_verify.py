"""`nexus audit verify`: the audit trail is what was written, or what is damaged."""

from __future__ import annotations

import asyncio
import sys

import click

from nexus_cli.cli.changing import styler
from nexus_cli.cli.console import answer, answer_json
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import color_option, format_option, reads_runtime
from nexus_cli.cli.views.audit_verify import verified_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.audit_verify import verify
from nexus_cli.wire.control import as_object

EPILOG = (
    "\b\nExamples:\n  nexus audit verify\n  nexus audit verify --anchor /mnt/safe/audit-anchors.log --format json\n\n"
    + help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)


@click.command("verify", short_help="Find rows of the audit trail that were changed or removed.", epilog=EPILOG)
@click.option(
    "--anchor",
    default="",
    metavar="FILE|NUMBER:DIGEST",
    help="What was kept elsewhere; without it control's own audit-anchors.log.",
)
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def command(anchor: str, format_: str) -> int:
    """Check the digest chain of the audit trail from its first row to its last.

    Names each row that was changed, removed, reordered or inserted. Rows that were removed from the end, or a chain that
    was computed again, are found by anchors: keep control's audit-anchors.log where the database's administrator is not.
    """
    found = asyncio.run(verify(anchor))
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(verified_text(found, style=styler(sys.stdout)))
    return Exit.FINDINGS if found.count else Exit.OK
