"""`nexus plan`: what apply would change. Writes nothing but `--out`."""

from __future__ import annotations

import os
import shlex

import click

from nexus_cli.cli.changing import check_consents, complain, show_plan
from nexus_cli.cli.commenting import plan_comment
from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import (
    color_option,
    env_option,
    format_option,
    no_cache_option,
    reads_runtime,
    site_argument,
    var_option,
)
from nexus_cli.cli.rolling import target_options
from nexus_cli.cli.views.plan_annotations import plan_annotations
from nexus_cli.exit_codes import Exit
from nexus_cli.plan.targets import Targets
from nexus_cli.project.approve import approve, of_planfile, signer_from, write_approval
from nexus_cli.project.output_file import SUMMARY, append_summary
from nexus_cli.project.plan import plan_site
from nexus_cli.project.ready import save_plan
from nexus_cli.settings import load_settings

EPILOG = (
    "\b\nExamples:\n  nexus plan\n  nexus plan sites/demo --out monday.plan\n  nexus plan --format markdown\n\n"
    + help_text(Exit.OK, Exit.FINDINGS, Exit.CHANGES, Exit.OUTSIDE)
)


@click.command("plan", epilog=EPILOG)
@site_argument
@env_option
@var_option
@click.option("--out", type=click.Path(dir_okay=False), help="Save the plan; `nexus apply FILE` applies exactly that.")
@click.option("--allow", multiple=True, metavar="NAME[=GLOB]", help="Consent to a hazard; shown as allowed.")
@click.option("--sign", "key", type=click.Path(dir_okay=False), help="With --out: also FILE.approval.json, signed.")
@click.option("--reason", default="", help="For policies that ask for one.")
@click.option("--probe", is_flag=True, help="Have the gateways read each new or changed address once.")
@click.option("--steps", is_flag=True, help="Also show what apply does, step by step.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@target_options
@format_option("text", "json", "markdown", "github")
@no_cache_option
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def command(
    path: str | None,
    env: str | None,
    variables: dict[str, str],
    out: str | None,
    allow: tuple[str, ...],
    key: str | None,
    reason: str,
    probe: bool,
    steps: bool,
    detailed_exitcode: bool,
    target: tuple[str, ...],
    exclude: tuple[str, ...],
    format_: str,
    use_cache: bool,
) -> int:
    """Show what apply would change, and the impact on the plant.

    SITE is a site file or its folder. Default: ./site.yaml, or the only sites/*/site.yaml.
    """
    check_consents(allow)
    if key is not None and out is None:
        raise click.UsageError("--sign signs what --out saves: give both")
    signer = signer_from(key) if key is not None else None
    planned = plan_site(
        path,
        settings=load_settings(),
        env=env,
        variables=variables,
        allow=allow,
        targets=Targets(target=target, exclude=exclude),
        use_cache=use_cache,
        reason=reason,
        probe=probe,
    )
    complain(planned.findings, planned.files)
    if planned.value is None:
        return Exit.FINDINGS
    ready = planned.value
    if format_ == "json":
        answer_json(ready.document)
    elif format_ == "text":
        show_plan(ready.document, steps=steps)
    else:
        answer(plan_comment(ready.document) if format_ == "markdown" else plan_annotations(ready.document))
        summary = os.environ.get(SUMMARY) if format_ == "github" else None
        if summary:
            append_summary(summary, plan_comment(ready.document) + "\n")
    if ready.errored:
        return Exit.FINDINGS
    if out is not None:
        save_plan(ready, out)
        note(f"saved in {out}: `nexus apply {shlex.quote(out)}` does exactly this")
        if signer is not None:
            write_approval(f"{out}.approval.json", approve(of_planfile(out), signer, expires="7d"))
            note(f"signed by {signer.name} in {out}.approval.json, valid for 7 days")
    return Exit.CHANGES if detailed_exitcode and not ready.empty else Exit.OK
