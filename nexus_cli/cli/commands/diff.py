"""`nexus diff`: two states of a site compared."""

from __future__ import annotations

import click

from nexus_cli.cli.changing import complain, show_plan
from nexus_cli.cli.console import answer_json
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import color_option, env_option, format_option, reads_runtime
from nexus_cli.exit_codes import Exit
from nexus_cli.project.compare import compare
from nexus_cli.settings import load_settings

EPILOG = (
    "\b\nExamples:\n  nexus diff 11 12\n  nexus diff recorded sites/demo\n  nexus diff git:main:sites/demo sites/demo\n"
    "  nexus diff git:v1.2 sites/demo\n\n" + help_text(Exit.OK, Exit.FINDINGS, Exit.CHANGES, Exit.OUTSIDE)
)


@click.command("diff", epilog=EPILOG)
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@env_option
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def command(before: str, after: str, env: str | None, detailed_exitcode: bool, format_: str) -> int:
    """Show what turns state A into state B, as a plan shows it. Writes nothing.

    A and B are the number of a deployment (the state after it), `recorded`, a site file or its folder, or a revision of
    git as git:REVISION, git:REVISION:PATH or REVISION:PATH; PATH is from the top of the repository.
    """
    found = compare(before, after, settings=load_settings(), env=env)
    for side in (found.before, found.after):
        complain(side.findings)
    if found.document is None:
        return Exit.FINDINGS
    if format_ == "json":
        sides = {"from": {"name": before, "deployment": found.before.deployment}}
        sides["to"] = {"name": after, "deployment": found.after.deployment}
        answer_json({**sides, "plan": found.document})
    else:
        show_plan(found.document, between=(found.before.shown, found.after.shown))
    return Exit.CHANGES if detailed_exitcode and found.document["resource_changes"] else Exit.OK
