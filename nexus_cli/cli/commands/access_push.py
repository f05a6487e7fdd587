"""`nexus access push`: the site's accounts and rules into a running EMQX."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from nexus_cli.cli.changing import agreed, complain, styler
from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import changes_runtime, color_option, env_option, format_option, site_argument, var_option
from nexus_cli.exit_codes import Exit
from nexus_cli.project.text import load
from nexus_cli.settings import load_settings

if TYPE_CHECKING:
    from nexus_cli.project.access_push import Push

EPILOG = (
    "\b\nExamples:\n  nexus access push sites/demo --broker emqx --dry-run\n"
    "  nexus access push sites/demo --broker emqx --yes --format json\n\n"
    + help_text(Exit.OK, Exit.FINDINGS, Exit.PARTLY, Exit.OUTSIDE)
)


@click.command("push", short_help="Push accounts and rules into a running EMQX.", epilog=EPILOG)
@site_argument
@click.option("--broker", type=click.Choice(["emqx"]), required=True, help="Kind of the broker.")
@click.option("--dry-run", is_flag=True, help="Show the difference only; write nothing.")
@click.option(
    "--rate",
    default=50.0,
    show_default=True,
    type=click.FloatRange(0.1, 10_000),
    help="Most requests per second.",
)
@click.option("--settings", is_flag=True, help="Also change settings that concern every tenant of the cluster.")
@click.option("--remove", is_flag=True, help="Remove all accounts and rules of the site.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@env_option
@var_option
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_EMQX_URL")
def command(
    path: str | None,
    broker: str,
    dry_run: bool,
    rate: float,
    settings: bool,
    remove: bool,
    yes: bool,
    env: str | None,
    variables: dict[str, str],
    format_: str,
) -> int:
    """Make the accounts and rules of SITE in EMQX's built-in database match the site file.

    Only accounts that end with @ENTERPRISE.SITE are looked at. The address and the API key come from NEXUS_EMQX_URL,
    NEXUS_EMQX_KEY and NEXUS_EMQX_SECRET_FILE. A push that was cut is completed by running it again.
    """
    # Clients of the API and of the broker: no other command below `access` needs them.
    from nexus_cli.cli.views.access_push import document, done_text, plan_text  # noqa: PLC0415 - see above
    from nexus_cli.project import access_push_site as project  # noqa: PLC0415 - see above
    from nexus_cli.project.access_push import refuse_blocked  # noqa: PLC0415 - see above

    loaded = load(path, env=env, variables=variables)
    complain([item for item in loaded.findings if item.severity == "error"], loaded.files)
    if loaded.value is None:
        return Exit.FINDINGS
    style, site = styler(sys.stdout), loaded.value.snapshot

    def consents(push: Push) -> bool:
        shown = plan_text(document(push, None), style=styler(sys.stderr) if format_ == "json" else style)
        (note if format_ == "json" else answer)(shown)
        if dry_run:
            return False
        refuse_blocked(push)
        return not push.nothing and (yes or agreed("Push this?"))

    push, done = asyncio.run(
        project.push_site(
            site,
            load_settings(),
            consents=consents,
            options=project.Options(rate_per_s=rate, settings=settings, remove=remove),
            progress=lambda number, of, text: note(f"{number:>6,}/{of:,}  {text}"),
        )
    )
    result = document(push, done)
    if format_ == "json":
        answer_json(result)
    elif done is not None:
        answer(done_text(result, style=style))
    refused = done is None and not dry_run and not push.nothing
    return Exit.FINDINGS if refused or (dry_run and any(one.blocks for one in push.doubts)) else Exit.OK
