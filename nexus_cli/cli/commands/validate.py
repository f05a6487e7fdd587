"""`nexus validate`: everything that is wrong with a site, or with several, in one run."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

import click

from nexus_cli.cli.console import answer, answer_json, colour_wanted, note, style
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import (
    WholeNumber,
    color_option,
    env_option,
    format_option,
    no_cache_option,
    var_option,
)
from nexus_cli.cli.views import github
from nexus_cli.cli.views.findings import document, text
from nexus_cli.cli.views.junit import junit
from nexus_cli.cli.views.sarif import sarif
from nexus_cli.diagnostics import Diagnostic
from nexus_cli.exit_codes import Exit
from nexus_cli.project.output_file import SUMMARY, append_summary
from nexus_cli.project.text import Reading, facts_of_all, read_all, sites_of

EPILOG = (
    "\b\nExamples:\n  nexus validate\n  nexus validate sites/demo --env prod --format json\n"
    "  nexus validate sites/* --format junit > report.xml\n  nexus validate --with-history --since 30d\n\n"
    + help_text(Exit.OK, Exit.FINDINGS)
)


@click.command("validate", epilog=EPILOG)
@click.argument("paths", nargs=-1, type=click.Path(), metavar="[SITE]...")
@env_option
@var_option
@format_option("text", "json", "sarif", "github", "junit")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("--containing", is_flag=True, help="Paths are files inside sites: check the sites that they belong to.")
@click.option(
    "--with-history",
    is_flag=True,
    help="Also try the declared alerts on the stored history: which would chatter, stay active for days, or flood an operator.",
)
@click.option("--since", default="30d", show_default=True, help="With --with-history: how far back.")
@click.option(
    "--operators",
    default=1,
    show_default=True,
    type=WholeNumber(1, 1000),
    help="With --with-history: people who share the alarms.",
)
@no_cache_option
@color_option
def command(
    paths: tuple[str, ...],
    env: str | None,
    variables: dict[str, str],
    format_: str,
    strict: bool,
    containing: bool,
    with_history: bool,
    since: str,
    operators: int,
    use_cache: bool,
) -> int:
    """Check site files and everything they include. Writes nothing.

    SITE is a site file, its folder, or a folder of sites. Default: ./site.yaml, or the only sites/*/site.yaml.
    """
    chosen = sites_of(paths) if containing else paths
    if containing and paths and not chosen:
        answer("No site holds these files.")
        return Exit.OK
    readings = read_all(chosen, env=env, variables=variables, use_cache=use_cache)
    findings = [item for reading in readings for item in reading.findings]
    if with_history:
        findings += _tried(readings, since=since, operators=operators)
    files = [file for reading in readings for file in reading.files]
    result = document(findings, files, site=facts_of_all(readings), strict=strict)
    if format_ == "text":
        colour = colour_wanted(sys.stdout)
        answer(text(result, style=lambda words, name: style(words, name, enabled=colour)))
    elif format_ == "github":
        _github(result)
    elif format_ == "junit":
        answer(junit(result, strict=strict), newline=False)
    else:
        if format_ == "sarif":
            result_json = sarif(result)
        else:
            result_json = result
        answer_json(result_json)
    return Exit.OK if result["valid"] else Exit.FINDINGS


def _tried(readings: Sequence[Reading], *, since: str, operators: int) -> list[Diagnostic]:
    """Findings of the stored history, of every site without errors."""
    from nexus_cli.project.with_history import validate_history  # noqa: PLC0415 - only then the database

    return asyncio.run(validate_history(readings, since=since, operators=operators, progress=note))


def _github(result: dict[str, object]) -> None:
    lines = github.annotations(result)
    if lines:
        answer(lines)
    target = os.environ.get(SUMMARY)
    if target:
        append_summary(target, github.summary(result))
