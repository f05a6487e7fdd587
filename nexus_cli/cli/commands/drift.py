"""`nexus drift`: what differs between the files, the record, the gateways and the devices."""

from __future__ import annotations

import sys

import click

from nexus_cli.cli.changing import complain, styler
from nexus_cli.cli.commenting import drift_comment
from nexus_cli.cli.console import answer, answer_json
from nexus_cli.cli.drifting import Wanted, adopt, refuse_unused, revert, wanted_ignored
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import color_option, env_option, format_option, reads_runtime, site_argument, var_option
from nexus_cli.cli.views.drift import drift_annotations, drift_text
from nexus_cli.drift.report import exit_of
from nexus_cli.exit_codes import Exit
from nexus_cli.project.drift import drift_site
from nexus_cli.settings import load_settings
from nexus_cli.wire.control import as_object
from nexus_cli.wire.control_drift import SEVERITIES

EPILOG = (
    "\b\nExamples:\n  nexus drift\n  nexus drift sites/demo --no-device --format json\n"
    "  nexus drift --ignore 'packaging/**:description-changed' --severity medium\n  nexus drift --adopt\n\n"
    + help_text(
        Exit.OK,
        Exit.FINDINGS,
        Exit.CHANGES,
        Exit.CONFLICT,
        Exit.OUTSIDE,
        changes="drift that counts (--ignore, --severity)",
    )
)


@click.command("drift", epilog=EPILOG)
@site_argument
@env_option
@var_option
@click.option("--no-device", is_flag=True, help="Ask no device: compare files, record and gateways alone.")
@click.option("--ignore", multiple=True, metavar="GLOB[:KIND]", help="What is no finding. Repeatable.")
@click.option("--severity", type=click.Choice(SEVERITIES), default="low", help="The least severity that counts.")
@click.option("--adopt", "adopts", is_flag=True, help="Write what the devices have into the site's files.")
@click.option("--revert", "reverts", is_flag=True, help="Put back what can be put back; devices are not written to.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@format_option("text", "json", "github", "markdown")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def command(
    path: str | None,
    env: str | None,
    variables: dict[str, str],
    no_device: bool,
    ignore: tuple[str, ...],
    severity: str,
    adopts: bool,
    reverts: bool,
    yes: bool,
    format_: str,
) -> int:
    """Compare files, record, gateways and devices. Without --adopt and --revert it writes nothing.

    SITE is a site file or its folder. Default: ./site.yaml, or the only sites/*/site.yaml.
    """
    refuse_unused(click.get_current_context(), adopts=adopts, reverts=reverts)
    settings, wanted = load_settings(), Wanted(path=path, env=env, variables=variables, yes=yes)
    if reverts:
        return revert(settings, wanted, format_=format_)
    left_out = wanted_ignored(ignore)
    found = drift_site(
        path,
        settings=settings,
        env=env,
        variables=variables,
        ignore=left_out,
        least=severity,
        devices=not no_device,
    )
    complain(found.findings, found.files)
    if found.value is None:
        return Exit.FINDINGS
    report = found.value
    if adopts:
        return adopt(report, wanted, settings)
    if format_ == "json":
        answer_json(report, default=as_object)
    elif format_ == "text":
        answer(drift_text(report, style=styler(sys.stdout)))
    else:
        answer(drift_comment(report) if format_ == "markdown" else drift_annotations(report))
    return exit_of(report)
