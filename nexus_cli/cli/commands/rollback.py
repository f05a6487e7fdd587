"""`nexus rollback`: the way back as a plan, shown first, then applied."""

from __future__ import annotations

import click

from nexus_cli.cli.changing import agreed, check_consents, refuse_open_hazards, show_end, show_plan
from nexus_cli.cli.console import answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import WholeNumber, changes_runtime, color_option, format_option
from nexus_cli.cli.progress import following
from nexus_cli.exit_codes import OUTCOMES, Exit
from nexus_cli.project.apply import ApplyOptions, apply_ready
from nexus_cli.project.approve import read_approvals
from nexus_cli.project.live import not_good_after
from nexus_cli.project.undo import Rollback, rollback_plan, stop_running
from nexus_cli.settings import load_settings

EPILOG = (
    "\b\nExamples:\n  nexus rollback\n  nexus rollback 12\n  nexus rollback --to 11 --yes\n"
    "  nexus rollback --break-lock\n\n"
    + help_text(Exit.OK, Exit.FINDINGS, Exit.BLOCKED, Exit.PARTLY, Exit.CONFLICT, Exit.OUTSIDE)
)
NUMBER = WholeNumber(1, 2**31 - 1)


@click.command("rollback", epilog=EPILOG)
@click.argument("number", required=False, type=NUMBER, metavar="[DEPLOYMENT]")
@click.option("--to", type=WholeNumber(0, 2**31 - 1), metavar="DEPLOYMENT", help="Back to the state after this one.")
@click.option("--break-lock", is_flag=True, help="Stop the deployment that runs first.")
@click.option("--plan", "only_plan", is_flag=True, help="Show the plan and change nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@click.option("--allow", multiple=True, metavar="NAME[=GLOB]", help="Consent to a hazard. Repeatable.")
@click.option("--approval", "approvals", multiple=True, metavar="FILE", help="A signed approval. Repeatable.")
@click.option("--reason", default="", help="Reason, for the journal, the lock and the audit trail.")
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def command(
    number: int | None,
    to: int | None,
    break_lock: bool,
    only_plan: bool,
    yes: bool,
    allow: tuple[str, ...],
    approvals: tuple[str, ...],
    reason: str,
    format_: str,
) -> int:
    """Take deployments back: the state before DEPLOYMENT comes back, so every later one is taken back with it.

    Without a number it is the newest that recorded something, unless that is a rollback itself. The way back is a plan like any other, with its impact
    and its hazards; renames are reversed, and forgotten series continue. The site file is not changed.
    """
    if number is not None and to is not None:
        raise click.UsageError(
            "DEPLOYMENT is the first one that is taken back, --to the last one that is kept: name one."
        )
    check_consents(allow)
    signed = read_approvals(approvals)
    settings = load_settings()
    if break_lock and not only_plan:
        stopped = stop_running(settings, reason=reason or "rollback")
        number = number if to is not None else number or stopped or None
    back = rollback_plan(settings, (to if to is not None else number) or 0, to=to is not None)
    if format_ == "text":
        note(_says(back))
        show_plan(back.ready.consented(allow))
    if only_plan or back.ready.empty:
        if format_ == "json":
            answer_json(back.ready.consented(allow))
        return Exit.OK
    open_ = back.ready.open_hazards(allow)
    if open_:
        refuse_open_hazards(open_)
        return Exit.BLOCKED
    if not yes and not agreed():
        return Exit.FINDINGS
    with following() as show:
        why = reason or _says(back).partition(";")[0]
        found = apply_ready(
            back.ready,
            ApplyOptions(allow=allow, reason=why, undoes=back.undoes, approvals=signed),
            settings=settings,
            on_event=show,
        )
    show_end(found, not_good=not_good_after(found, settings=settings), format_=format_)
    return OUTCOMES.get(found.outcome, Exit.PARTLY)


def _says(back: Rollback) -> str:
    """Which deployments are taken back, and whose state comes back."""
    numbers = [str(each) for each in back.undone]
    which = f"deployment {numbers[0]}" if len(numbers) == 1 else f"deployments {', '.join(numbers)}"
    state = f"the state after deployment {back.base}" if back.base else "the empty state before the first deployment"
    again = "".join(
        f"; deployment {number} is a rollback itself: what it took back, from deployment {first} on, is there again"
        for number, first in back.again
    )
    return f"takes back {which}: {state} comes back{again}"
