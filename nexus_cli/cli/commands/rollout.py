"""`nexus rollout`: where a rollout is; stop it, continue it, take it back."""

from __future__ import annotations

import click

from nexus_cli.cli.changing import agreed
from nexus_cli.cli.console import answer, answer_json
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import WholeNumber, changes_runtime, format_option, reads_runtime
from nexus_cli.cli.progress import following
from nexus_cli.cli.rolling import show_rollout, show_step
from nexus_cli.cli.views.rollout import rollout_text, rollouts_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project import rollouts
from nexus_cli.settings import load_settings
from nexus_cli.wire.control import as_object

EPILOG = "\b\nExamples:\n  nexus rollout show\n  nexus rollout stop --reason 'line 2 is running'\n\n" + help_text(
    Exit.OK, Exit.FINDINGS, Exit.PARTLY, Exit.CONFLICT, Exit.OUTSIDE
)
number_argument = click.argument("number", type=WholeNumber(0, 2**31 - 1), default=0, metavar="[ROLLOUT]")
reason_option = click.option("--reason", default="", help="Reason, for the audit trail.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")


@click.group("rollout", epilog=EPILOG)
def command() -> None:
    """Where a deployment in waves is; stop it, continue it, take it back. Without a number it is the newest."""


@command.command("list", epilog=EPILOG)
@format_option("text", "json")
@reads_runtime("NEXUS_CONTROL_URL")
def listing(format_: str) -> int:
    """The newest rollouts first."""
    found = rollouts.newest(load_settings())
    if format_ == "json":
        answer_json({"rollouts": [as_object(each) for each in found]}, default=as_object)
    else:
        answer(rollouts_text(found))
    return Exit.OK


@command.command("show", epilog=EPILOG)
@number_argument
@format_option("text", "json")
@reads_runtime("NEXUS_CONTROL_URL")
def show(number: int, format_: str) -> int:
    """One rollout: its waves, and what their gates said."""
    found = rollouts.one(load_settings(), number)
    if format_ == "json":
        answer_json(as_object(found), default=as_object)
    else:
        answer(rollout_text(found))
    return Exit.OK


@command.command("stop", epilog=EPILOG)
@number_argument
@reason_option
@format_option("text", "json")
@changes_runtime("NEXUS_CONTROL_URL")
def stop(number: int, reason: str, format_: str) -> int:
    """Begin no later wave; `nexus apply --resume` continues."""
    show_rollout(rollouts.stop(load_settings(), number, reason=reason), format_=format_)
    return Exit.OK


@command.command("rollback", epilog=EPILOG)
@number_argument
@reason_option
@yes_option
@format_option("text", "json")
@changes_runtime("NEXUS_CONTROL_URL")
def rollback(number: int, reason: str, yes: bool, format_: str) -> int:
    """Put back what its waves changed."""
    settings = load_settings()
    if format_ == "text":
        answer(rollout_text(rollouts.one(settings, number)))
    if not yes and not agreed("Take this back?"):
        return Exit.FINDINGS
    with following() as show_line:
        found = rollouts.take_back(settings, number, reason=reason, on_event=show_line, on_rollout=show_step)
    code = show_rollout(found, format_=format_)
    return Exit.OK if found.state == "rolled-back" else code
