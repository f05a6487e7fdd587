"""`nexus comment`: the one comment of a pull or merge request."""

from __future__ import annotations

from typing import TextIO

import click

from nexus_cli.cli.console import note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.comment import comment

EPILOG = (
    "\b\nExamples:\n  nexus plan --format markdown > plan.md\n  nexus comment plan.md\n"
    "  nexus drift --format markdown | nexus comment --key drift\n\n" + help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)
SAID = {
    "written": "the comment was written",
    "updated": "the comment is up to date",
    "summary": "the comment was refused; its text is in the job's summary",
}


@click.command("comment", epilog=EPILOG)
@click.argument("file", type=click.File(encoding="utf-8"), default="-")
@click.option("--key", default="", metavar="WORD", help="Which comment it is; default: its first line says so.")
@click.option("--or-summary", is_flag=True, help="Where commenting is refused, write into the job's summary.")
def command(file: TextIO, key: str, or_summary: bool) -> int:
    """Write FILE as the one comment of the pull or merge request of this CI job, or update it.

    GitHub: needs GITHUB_TOKEN with `pull-requests: write`. GitLab: GITLAB_TOKEN with the scope `api`.
    """
    note(SAID[comment(file.read(), key=key, or_summary=or_summary)])
    return Exit.OK
