"""`nexus show`: the recorded state, one resource of it, a saved plan, or the plan of a deployment."""

from __future__ import annotations

import sys
from datetime import tzinfo

import click

from nexus_cli.cli.changing import show_plan, styler
from nexus_cli.cli.commenting import plan_comment
from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import WholeNumber, color_option, format_option, reads_runtime, utc_option
from nexus_cli.cli.views.deployment import state_text
from nexus_cli.cli.views.plan_annotations import plan_annotations
from nexus_cli.exit_codes import Exit
from nexus_cli.plan.document import PlanDocument
from nexus_cli.project.ready import is_saved_plan, saved_plan
from nexus_cli.project.show import deployment_plan, recorded_resource, recorded_state
from nexus_cli.settings import load_settings
from nexus_cli.wire.control import as_object

EPILOG = (
    "\b\nExamples:\n  nexus show\n  nexus show packaging/line-1/filler\n  nexus show alert.overheating\n"
    "  nexus show monday.plan\n  nexus show 12\n\n" + help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)


@click.command("show", epilog=EPILOG)
@click.argument("address", required=False, metavar="[ADDRESS|PLANFILE|DEPLOYMENT]")
@click.option("--deployment", type=WholeNumber(1), metavar="NUMBER", help="The plan of a deployment that was made.")
@click.option("--steps", is_flag=True, help="Of a plan: also show what apply does, step by step.")
@utc_option
@format_option("text", "json", "markdown", "github")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def command(address: str | None, deployment: int | None, steps: bool, zone: tzinfo | None, format_: str) -> int:
    """Show the state that control recorded, one resource of it, a saved plan, or the plan of a deployment.

    ADDRESS is `device.AREA/LINE/DEVICE`, `role.NAME`, …; a device or tag may be named by its path alone.
    """
    found: object
    if address is not None and deployment is None and address.isdecimal():
        deployment, address = int(address), None  # no resource has such a name
    if deployment is not None:
        if address is not None:
            raise click.UsageError("--deployment shows the plan of a deployment: leave ADDRESS out.")
        document, left_out = deployment_plan(load_settings(), deployment)
        _show(document, format_, steps=steps)
        if left_out:
            note(left_out)
        return Exit.OK
    if address is not None and is_saved_plan(address):
        _show(saved_plan(address).document, format_, steps=steps)
        return Exit.OK
    if format_ not in ("text", "json"):
        raise click.UsageError(f"--format {format_} is for a saved plan, or the plan of a deployment.")
    if address is not None:
        found = recorded_resource(load_settings(), address)
    else:
        state = recorded_state(load_settings())
        if format_ == "text":
            answer(state_text(state, style=styler(sys.stdout), zone=zone))
            return Exit.OK
        found = state
    answer_json(found, default=as_object)
    return Exit.OK


def _show(plan: PlanDocument, format_: str, *, steps: bool) -> None:
    """A plan in one of the forms of `nexus plan`."""
    if format_ == "json":
        answer_json(plan)
    elif format_ == "text":
        show_plan(plan, steps=steps)
    else:
        answer(plan_comment(plan) if format_ == "markdown" else plan_annotations(plan))
