"""Options of `nexus plan` and `nexus apply`: a part of the plan, maintenance windows, waves; and how a rollout is followed."""

from __future__ import annotations

import click

from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.options import F
from nexus_cli.cli.views.rollout import rollout_text
from nexus_cli.exit_codes import Exit
from nexus_cli.wire.control import as_object
from nexus_cli.wire.control_rollouts import Rollout, in_words
from nexus_cli.wire.rollout import WindowUse

ROLLOUT_EXITS: dict[str, Exit] = {"applied": Exit.OK, "rolled-back": Exit.FINDINGS}
"""Of a rollout that ended; any other state is `PARTLY`."""


def target_options(function: F) -> F:
    """`--target GLOB` and `--exclude GLOB`, repeatable; arrive as `target` and `exclude`."""
    for name, words in (
        ("--exclude", "Leave this out; the rest must not need it. Repeatable."),
        ("--target", "Only this part: an area, line, device, tag, or an address such as role.operator. Repeatable."),
    ):
        function = click.option(name, multiple=True, metavar="GLOB", help=words)(function)
    return function


def way_options(function: F) -> F:
    """`--wait-for-window`, `--now` and `--all-at-once`; arrive as `wait_for_window`, `now` and `all_at_once`."""
    for name, words in (
        ("--all-at-once", "Leave the waves of the site out."),
        ("--now", "Go ahead outside a maintenance window; needs --reason."),
        ("--wait-for-window", "Have control wait until the maintenance window opens."),
    ):
        function = click.option(name, is_flag=True, help=words)(function)
    return function


def window_use(*, wait: bool, now: bool, reason: str) -> WindowUse:
    """What is done outside a window. Raises UsageError when both are asked for, or a reason is missing."""
    if wait and now:
        raise click.UsageError("--wait-for-window and --now exclude each other.")
    if now and not reason.strip():
        raise click.UsageError("--now goes ahead outside a maintenance window: say why with --reason TEXT.")
    return "wait" if wait else "ignore" if now else "refuse"


def show_step(found: Rollout) -> None:
    """Where a rollout is, on stderr."""
    note(f"  {in_words(found)}")


def show_rollout(found: Rollout, *, format_: str) -> int:
    """A rollout on stdout; gives its exit code."""
    if format_ == "json":
        answer_json(as_object(found), default=as_object)
    else:
        answer(rollout_text(found))
    if found.state == "stopped":
        note(
            "  = hint: `nexus apply --resume` has its wave soak and be measured again, "
            "`nexus rollout rollback` puts back what its waves changed"
        )
    return ROLLOUT_EXITS.get(found.state, Exit.PARTLY)
