"""`nexus apply`: plan, show, ask, send, follow, say how it ended."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from nexus_cli.cli.console import answer, answer_bytes, note
from nexus_cli.cli.exit_codes import Exit, help_text
from nexus_cli.cli.options import color_option, env_option, format_option, site_argument, var_option

if TYPE_CHECKING:
    from nexus_cli.project.change import Ready
    from nexus_cli.settings import Settings

EPILOG = (
    "\b\nExamples:\n  nexus apply\n  nexus apply monday.plan --yes\n  nexus apply --allow data-loss=packaging/**\n\n"
    + help_text(Exit.OK, Exit.FINDINGS, Exit.BLOCKED, Exit.PARTLY, Exit.CONFLICT, Exit.OUTSIDE)
)
OUTCOMES = {"applied": Exit.OK, "nothing": Exit.OK, "partly": Exit.PARTLY, "failed": Exit.FINDINGS}


@click.command("apply", epilog=EPILOG)
@site_argument
@env_option
@var_option
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--allow", multiple=True, metavar="NAME[=GLOB]", help="Consent to a hazard. Repeatable.")
@click.option("--reason", default="", help="Why, for the journal, the lock and the audit trail.")
@format_option("text", "json")
@color_option
def command(
    path: str | None,
    env: str | None,
    variables: dict[str, str],
    yes: bool,
    allow: tuple[str, ...],
    reason: str,
    format_: str,
) -> int:
    """Make the runtime match the site file, or apply a saved plan.

    SITE is a site file, its folder, or a file that `nexus plan --out` wrote. Control does the work: ending this
    command does not end the deployment.
    """
    from nexus_cli.cli.changing import check_consents, complain, show_plan
    from nexus_cli.project.change import is_saved_plan, plan_site, refuse_moved, saved_plan
    from nexus_cli.settings import load_settings

    check_consents(allow)
    settings = load_settings()
    if path is not None and is_saved_plan(path):
        ready = saved_plan(path)
        refuse_moved(ready, settings=settings)
    else:
        planned = plan_site(path, settings=settings, env=env, variables=variables, allow=allow)
        complain(planned.findings)
        if planned.value is None or planned.value.errored:
            return Exit.FINDINGS
        ready = planned.value
    if format_ == "text":
        show_plan(ready.document)
    if ready.empty:
        return _nothing(format_)
    open_ = ready.open_hazards(allow)
    if open_:
        note(f"error[NX4002]: blocked: {open_[0]['message']}" + (f", and {len(open_) - 1} more" if open_[1:] else ""))
        return Exit.BLOCKED
    if not yes and not _agreed():
        return Exit.FINDINGS
    return _carry_out(ready, settings, allow=allow, reason=reason, format_=format_)


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is here to ask: say --yes")
    return click.confirm("Apply this?", err=True, default=False)


def _nothing(format_: str) -> int:
    if format_ == "json":
        answer_bytes(b'{"outcome":"nothing","counts":{},"table":[]}\n')
    return Exit.OK


def _carry_out(ready: Ready, settings: Settings, *, allow: tuple[str, ...], reason: str, format_: str) -> int:
    from nexus_cli.cli.changing import styler
    from nexus_cli.cli.progress import following
    from nexus_cli.project.change import apply_ready

    try:
        with following() as tell:
            found: dict[str, Any] = apply_ready(ready, settings=settings, allow=allow, reason=reason, on_event=tell)
    except KeyboardInterrupt:
        note("the deployment goes on in control; `nexus show` tells how it ends")
        raise
    if format_ == "json":
        import orjson

        answer_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    else:
        from nexus_cli.cli.views.deployment import deployment_text

        answer("\n" + deployment_text(found, style=styler(sys.stdout)))
    return OUTCOMES.get(str(found["outcome"]), Exit.PARTLY)
