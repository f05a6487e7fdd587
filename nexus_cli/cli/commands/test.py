"""`nexus test`: the assertions of a site."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from nexus_cli.cli.console import answer, answer_json, colour_wanted, style
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import color_option, env_option, format_option, site_argument, var_option
from nexus_cli.cli.testing import duration, live_report, percent, record_device
from nexus_cli.cli.views import site_tests as view
from nexus_cli.exit_codes import Exit
from nexus_cli.project.output_file import write_text
from nexus_cli.project.test import run_tests
from nexus_cli.project.testing.document import document

EPILOG = (
    "\b\nExamples:\n  nexus test sites/demo\n  nexus test --only 'filler*' --coverage\n"
    "  nexus test --live\n  nexus test --record bottling/line-1/filler --for 60s\n\n"
    + help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)


@click.command("test", epilog=EPILOG)
@site_argument
@env_option
@var_option
@click.option(
    "--only", multiple=True, metavar="GLOB", help="Run the tests whose `file/test` or name matches; repeatable."
)
@format_option("text", "json", "junit", "github")
@click.option(
    "--junit",
    "junit_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write JUnit XML to FILE.",
    metavar="FILE",
)
@click.option("--coverage", is_flag=True, help="List the tags, alarms and rights that no test touches.")
@click.option(
    "--coverage-min", metavar="SHARE", callback=percent, help="Fail when tests touch a smaller share, such as 80%."
)
@click.option("--live", is_flag=True, help="Run against simulators and a runtime in a temporary folder.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(1, 3600),
    default=30.0,
    metavar="SECONDS",
    help="With --live: longest wait for one moment of a test.",
)
@click.option("--record", "device", metavar="DEVICE", help="Make a test file from a device of the running runtime.")
@click.option("--for", "for_ms", default="60s", metavar="TIME", callback=duration, help="With --record: how long.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="With --record: a new file."
)
@color_option
def command(
    path: str | None,
    env: str | None,
    variables: dict[str, str],
    only: tuple[str, ...],
    format_: str,
    junit_file: Path | None,
    coverage: bool,
    coverage_min: float | None,
    live: bool,
    wait_s: float,
    device: str | None,
    for_ms: int,
    out: Path | None,
) -> int:
    """Run the tests in the folder `tests` beside the site file: what a device holds, and what has to come of it.

    Values pass the real chain in memory, on a clock of their own. No device, broker or database is reached.
    With --live they are held by simulators, and a real runtime in a temporary folder makes samples, alarms and rows of them.
    """
    if device is not None:
        return record_device(path, env=env, variables=variables, device=device, for_ms=for_ms, out=out)
    if live:
        report = live_report(path, only=only, env=env, variables=variables, coverage_min=coverage_min, wait_s=wait_s)
        if report is None:
            return Exit.INTERRUPTED
    else:
        report, _ = run_tests(path, only=only, env=env, variables=variables, coverage_min=coverage_min)
    result = document(report)
    if format_ == "json":
        answer_json(result)
    elif format_ == "junit":
        answer(view.junit(result), newline=False)
    elif format_ == "github":
        answer(view.github(result))
    else:
        colour = colour_wanted(sys.stdout)
        shown = view.text(result, style=lambda words, name: style(words, name, enabled=colour), coverage=coverage)
        answer(shown)
    if junit_file is not None:
        write_text(junit_file, view.junit(result))
    return Exit.OK if report.passed else Exit.FINDINGS
