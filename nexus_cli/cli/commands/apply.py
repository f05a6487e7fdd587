"""`nexus apply`: plan, show, confirm, send, follow, show the outcome."""

from __future__ import annotations

import os

import click

from nexus_cli.cli.applying import RESUME, confirm_within_option, run_url_option
from nexus_cli.cli.changing import agreed, check_consents, complain, refuse_open_hazards, show_end, show_plan
from nexus_cli.cli.console import answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import changes_runtime, color_option, env_option, format_option, site_argument, var_option
from nexus_cli.cli.progress import following
from nexus_cli.cli.rolling import show_rollout, show_step, target_options, way_options, window_use
from nexus_cli.cli.views.deployments import confirmation_text
from nexus_cli.exit_codes import OUTCOMES, Exit
from nexus_cli.plan.targets import Targets
from nexus_cli.project import rollouts, undo
from nexus_cli.project.change import apply_ready, is_saved_plan, plan_site, refuse_stale_plan, saved_plan
from nexus_cli.project.ci_run import run_page
from nexus_cli.project.live import not_good_after
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.control import DeploymentProgress
from nexus_cli.wire.control_rollouts import Rollout

EPILOG = (
    "\b\nExamples:\n  nexus apply\n  nexus apply monday.plan --yes\n  nexus apply --allow data-loss=packaging/**\n"
    "  nexus apply --confirm-within 5m\n  nexus apply --resume\n\n"
    + help_text(Exit.OK, Exit.FINDINGS, Exit.BLOCKED, Exit.PARTLY, Exit.CONFLICT, Exit.OUTSIDE)
)


@click.command("apply", epilog=EPILOG)
@site_argument
@env_option
@var_option
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@click.option("--allow", multiple=True, metavar="NAME[=GLOB]", help="Consent to a hazard. Repeatable.")
@click.option("--reason", default="", help="Reason, for the journal, the lock and the audit trail.")
@confirm_within_option
@click.option(
    "--resume", type=click.IntRange(0, 2**31 - 1), is_flag=False, flag_value=0, metavar="[DEPLOYMENT]", help=RESUME
)
@run_url_option
@target_options
@way_options
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def command(
    path: str | None,
    env: str | None,
    variables: dict[str, str],
    yes: bool,
    allow: tuple[str, ...],
    reason: str,
    confirm_within_s: int,
    resume: int | None,
    run_url: str,
    target: tuple[str, ...],
    exclude: tuple[str, ...],
    wait_for_window: bool,
    now: bool,
    all_at_once: bool,
    format_: str,
) -> int:
    """Make the runtime match the site file, or apply a saved plan.

    SITE is a site file, its folder, or a file that `nexus plan --out` wrote. Control runs the deployment:
    stopping this command does not stop it.
    """
    check_consents(allow)
    window = window_use(wait=wait_for_window, now=now, reason=reason)
    settings = load_settings()
    if resume is not None:
        if path is not None or confirm_within_s:
            raise click.UsageError(
                "--resume continues a deployment as it was asked for: leave SITE and --confirm-within out."
            )
        stopped = rollouts.stopped_rollout(settings, resume)
        with following() as show:
            if stopped:
                rolled = rollouts.resume_rollout(settings, stopped, reason=reason, on_event=show, on_rollout=show_step)
                return show_rollout(rolled, format_=format_)
            found = undo.resume(settings, resume, reason=reason, on_event=show)
        return _ended(found, settings=settings, format_=format_)
    if path is not None and is_saved_plan(path):
        if target or exclude:
            raise click.UsageError(
                "A saved plan is applied as it is: make one with `nexus plan --target … --out FILE`."
            )
        ready = saved_plan(path)
        refuse_stale_plan(ready, settings=settings)
    else:
        targets = Targets(target=target, exclude=exclude)
        planned = plan_site(path, settings=settings, env=env, variables=variables, allow=allow, targets=targets)
        complain(planned.findings, planned.files)
        if planned.value is None or planned.value.errored:
            return Exit.FINDINGS
        ready = planned.value
    if format_ == "text":
        show_plan(ready.consented(allow))
    if ready.empty:
        if format_ == "json":
            answer_json({"outcome": "nothing", "counts": {}, "table": []})
        return Exit.OK
    open_ = ready.open_hazards(allow)
    if open_:
        refuse_open_hazards(open_)
        return Exit.BLOCKED
    if not yes and not agreed():
        return Exit.FINDINGS
    way = rollouts.way_of(ready, window=window, at_once=all_at_once)
    if way is not None and way.waves and confirm_within_s:
        raise click.UsageError("--confirm-within does not go with waves: they soak, and their gates decide.")
    page = run_url or run_page(os.environ)
    try:
        with following() as show:
            if way is not None and not confirm_within_s:
                rolled_out = rollouts.apply_in_waves(
                    ready,
                    way,
                    settings=settings,
                    allow=allow,
                    reason=reason,
                    run_url=page,
                    on_event=show,
                    on_rollout=show_step,
                )
                if isinstance(rolled_out, Rollout):
                    return show_rollout(rolled_out, format_=format_)
                return _ended(rolled_out, settings=settings, format_=format_)
            found = apply_ready(
                ready,
                settings=settings,
                allow=allow,
                reason=reason,
                confirm_within_s=confirm_within_s,
                run_url=page,
                on_event=show,
            )
    except KeyboardInterrupt:
        note("the deployment continues in control; `nexus show` shows the outcome")
        raise
    return _ended(found, settings=settings, format_=format_)


def _ended(found: DeploymentProgress, *, settings: Settings, format_: str) -> int:
    """Show the end, and what it waits for."""
    show_end(found, not_good=not_good_after(found, settings=settings), format_=format_)
    if found.confirmation is not None:
        note(f"deployment {found.number} {confirmation_text(found.confirmation)}")
    return OUTCOMES.get(found.outcome, Exit.PARTLY)
