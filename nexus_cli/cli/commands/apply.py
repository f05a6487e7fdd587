"""`nexus apply`: plan, show, confirm, send, follow, show the outcome."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from nexus_cli.cli.applying import RESUME, confirm_within_option, run_url_option
from nexus_cli.cli.changing import (
    agreed,
    check_consents,
    complain,
    refuse_open_hazards,
    refuse_policies,
    show_end,
    show_plan,
)
from nexus_cli.cli.console import answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import (
    WholeNumber,
    changes_runtime,
    color_option,
    effect_digest,
    env_option,
    format_option,
    site_argument,
    var_option,
)
from nexus_cli.cli.progress import following
from nexus_cli.cli.rolling import show_rollout, show_step, target_options, way_options, window_use
from nexus_cli.cli.views.deployments import confirmation_text
from nexus_cli.exit_codes import OUTCOMES, Exit
from nexus_cli.plan.targets import Targets
from nexus_cli.project import rollouts, undo
from nexus_cli.project.apply import ApplyOptions, apply_ready, refuse_other_effect, refuse_stale_plan
from nexus_cli.project.approve import read_approvals
from nexus_cli.project.ci_run import run_page
from nexus_cli.project.live import not_good_after
from nexus_cli.project.plan import plan_site
from nexus_cli.project.ready import Ready, is_saved_plan, saved_plan
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.control import DeploymentProgress
from nexus_cli.wire.control_rollouts import Rollout
from nexus_cli.wire.rollout import RolloutRequest

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
@click.option(
    "--effect",
    default="",
    metavar="DIGEST",
    callback=effect_digest,
    help="Apply only a plan with this effect (`nexus plan`).",
)
@click.option("--approval", "approvals", multiple=True, metavar="FILE", help="A signed approval. Repeatable.")
@confirm_within_option
@click.option(
    "--resume", type=WholeNumber(0, 2**31 - 1), is_flag=False, flag_value=0, metavar="[DEPLOYMENT]", help=RESUME
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
    effect: str,
    approvals: tuple[str, ...],
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
    options = ApplyOptions(
        allow=allow,
        reason=reason,
        effect=effect,
        approvals=read_approvals(approvals),
        confirm_within_s=confirm_within_s,
        run_url=run_url or run_page(os.environ),
    )
    window = window_use(wait=wait_for_window, now=now, reason=reason)
    settings = load_settings()
    if resume is not None:
        if path is not None or confirm_within_s:
            raise click.UsageError(
                "--resume continues a deployment as it was asked for: leave SITE and --confirm-within out."
            )
        return _resume(resume, settings=settings, reason=reason, format_=format_)
    if path is not None and is_saved_plan(path):
        if target or exclude:
            raise click.UsageError(
                "A saved plan is applied as it is: make one with `nexus plan --target … --out FILE`."
            )
        ready = saved_plan(path)
        refuse_stale_plan(ready, path, settings=settings)
        complain(ready.useless_consents(allow))
    else:
        targets = Targets(target=target, exclude=exclude)
        planned = plan_site(
            path, settings=settings, env=env, variables=variables, allow=allow, targets=targets, reason=reason
        )
        complain(planned.findings, planned.files)
        if planned.value is None or planned.value.errored:
            return Exit.FINDINGS
        ready = planned.value
    if format_ == "text":
        show_plan(ready.consented(allow))
    if ready.empty:
        if format_ == "json":
            answer_json({"outcome": "nothing", "counts": {}, "table": []})
        if effect:
            note("nothing was applied: the effect of --effect is there already, or the files no longer ask for it")
        return Exit.OK
    refuse_other_effect(ready, effect)
    if _is_blocked(ready, allow):
        return Exit.BLOCKED
    if not yes and not agreed():
        return Exit.FINDINGS
    way = rollouts.way_of(ready, window=window, at_once=all_at_once)
    return _send(ready, way, options, settings=settings, format_=format_)


def _is_blocked(ready: Ready, allow: Sequence[str]) -> bool:
    """Say which policies or hazards block; False when nothing does."""
    if policies := ready.blocking_policies():
        refuse_policies(policies)
        return True
    open_ = ready.open_hazards(allow)
    if open_:
        refuse_open_hazards(open_, given=ready.used_consents(allow))
    return bool(open_)


def _resume(number: int, *, settings: Settings, reason: str, format_: str) -> int:
    """Continue a deployment, or the rollout that it is a wave of."""
    stopped = rollouts.stopped_rollout(settings, number)
    with following() as show:
        if stopped:
            rolled = rollouts.resume_rollout(settings, stopped, reason=reason, on_event=show, on_rollout=show_step)
            return show_rollout(rolled, format_=format_)
        found = undo.resume(settings, number, reason=reason, on_event=show)
    return _ended(found, settings=settings, format_=format_)


def _send(ready: Ready, way: RolloutRequest | None, options: ApplyOptions, *, settings: Settings, format_: str) -> int:
    """Send it, follow it, show its end."""
    if way is not None and way.waves and options.confirm_within_s:
        raise click.UsageError("--confirm-within does not go with waves: they soak, and their gates decide.")
    found: DeploymentProgress | Rollout
    try:
        with following() as show:
            if way is None:
                found = apply_ready(ready, options, settings=settings, on_event=show)
            else:
                found = rollouts.apply_in_waves(
                    ready, way, options, settings=settings, on_event=show, on_rollout=show_step
                )
    except KeyboardInterrupt:
        note("the deployment continues in control; `nexus show` shows the outcome")
        raise
    if isinstance(found, Rollout):
        return show_rollout(found, format_=format_)
    return _ended(found, settings=settings, format_=format_)


def _ended(found: DeploymentProgress, *, settings: Settings, format_: str) -> int:
    """Show the end, and what it waits for."""
    show_end(found, not_good=not_good_after(found, settings=settings), format_=format_)
    if found.confirmation is not None:
        note(f"deployment {found.number} {confirmation_text(found.confirmation)}")
    return OUTCOMES.get(found.outcome, Exit.PARTLY)
