"""`nexus validate`: everything that is wrong with a site, or with several, in one run."""

from __future__ import annotations

import os
import sys

import click

from nexus_cli.cli.console import answer, answer_json, colour_wanted, style
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import color_option, env_option, format_option, no_cache_option, var_option
from nexus_cli.cli.views import github
from nexus_cli.cli.views.findings import document, text
from nexus_cli.cli.views.junit import junit
from nexus_cli.cli.views.sarif import sarif
from nexus_cli.exit_codes import Exit
from nexus_cli.project.text import facts_of_all, read_all, sites_of

EPILOG = (
    "\b\nExamples:\n  nexus validate\n  nexus validate sites/demo --env prod --format json\n"
    "  nexus validate sites/* --format junit > report.xml\n\n" + help_text(Exit.OK, Exit.FINDINGS)
)


@click.command("validate", epilog=EPILOG)
@click.argument("paths", nargs=-1, type=click.Path(), metavar="[SITE]...")
@env_option
@var_option
@format_option("text", "json", "sarif", "github", "junit")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("--containing", is_flag=True, help="Paths are files inside sites: check the sites that they belong to.")
@no_cache_option
@color_option
def command(
    paths: tuple[str, ...],
    env: str | None,
    variables: dict[str, str],
    format_: str,
    strict: bool,
    containing: bool,
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


def _github(result: dict[str, object]) -> None:
    lines = github.annotations(result)
    if lines:
        answer(lines)
    target = os.environ.get("GITHUB_STEP_SUMMARY")
    if target:
        with open(target, "a", encoding="utf-8") as file:  # noqa: PTH123 - GitHub asks to append
            file.write(github.summary(result))
