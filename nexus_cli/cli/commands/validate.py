"""`nexus validate`: everything that is wrong with a site, in one run."""

from __future__ import annotations

import os
import sys

import click

from nexus_cli.cli.console import answer, answer_json, colour_wanted, style
from nexus_cli.cli.exit_codes import Exit, help_text
from nexus_cli.cli.options import color_option, env_option, format_option, site_argument, var_option

EPILOG = "\b\nExamples:\n  nexus validate\n  nexus validate sites/demo --env prod --format json\n\n" + help_text(
    Exit.OK, Exit.FINDINGS
)


@click.command("validate", epilog=EPILOG)
@site_argument
@env_option
@var_option
@format_option("text", "json", "sarif", "github")
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@color_option
def command(path: str | None, env: str | None, variables: dict[str, str], format_: str, strict: bool) -> int:
    """Check a site file and everything it includes. Writes nothing.

    SITE is a site file or its folder; by default ./site.yaml, or the only sites/*/site.yaml.
    """
    from nexus_cli.cli.views.findings import document, text
    from nexus_cli.project.text import facts, read

    reading = read(path, env=env, variables=variables)
    result = document(reading.findings, reading.files, site=facts(reading), strict=strict)
    if format_ == "text":
        colour = colour_wanted(sys.stdout)
        answer(text(result, style=lambda words, name: style(words, name, enabled=colour)))
    elif format_ == "github":
        _github(result)
    else:
        if format_ == "sarif":
            from nexus_cli.cli.views.sarif import sarif

            result_json = sarif(result)
        else:
            result_json = result
        answer_json(result_json)
    return Exit.OK if result["valid"] else Exit.FINDINGS


def _github(result: dict[str, object]) -> None:
    from nexus_cli.cli.views.github import annotations, summary

    lines = annotations(result)
    if lines:
        answer(lines)
    target = os.environ.get("GITHUB_STEP_SUMMARY")
    if target:
        with open(target, "a", encoding="utf-8") as file:  # noqa: PTH123 - GitHub asks to append
            file.write(summary(result))
