"""`nexus find`: search what a site declares."""

from __future__ import annotations

import sys

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
from nexus_cli.cli.views.find import found_document, found_text
from nexus_cli.cli.views.findings import document, text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.find import find

MOST = 10_000
EPILOG = (
    "\b\nExamples:\n  nexus find filler temperature\n  nexus find holding:101 --site sites/demo\n"
    "  nexus find line-1 degC --format json | jq -r '.found[].path'\n\n" + help_text(Exit.OK, Exit.FINDINGS)
)


@click.command("find", short_help="Search areas, lines, devices and tags by words.", epilog=EPILOG)
@click.argument("words", metavar="TEXT...", nargs=-1, required=True)
@click.option("--site", type=click.Path(), help="The site file or its folder.")
@click.option("--limit", type=WholeNumber(1, MOST), default=50, show_default=True, help="Most finds.")
@click.option("--no-values", "with_values", flag_value=False, default=True, help="Do not ask web for newest values.")
@env_option
@var_option
@no_cache_option
@format_option("text", "json")
@color_option
def command(
    words: tuple[str, ...],
    site: str | None,
    limit: int,
    with_values: bool,
    env: str | None,
    variables: dict[str, str],
    use_cache: bool,
    format_: str,
) -> int:
    """Search path, description, owner, unit, PLC address, labels and more in the site's files; all words must be found.

    Also the names of codes, the class of data where one is declared, what is made of what, and who reads it. The best finds
    come first: what is called so, then what begins so, then what has the words in its path. Where a web of the same site runs,
    each tag has its newest value. Exits with 1 when nothing is found.
    """
    outcome = find(
        " ".join(words),
        site=site,
        env=env,
        variables=variables,
        limit=limit,
        with_values=with_values,
        use_cache=use_cache,
    )
    colour = colour_wanted(sys.stdout)
    if outcome.value is None:
        problem = document(outcome.findings, outcome.files)
        if format_ == "json":
            answer_json(problem)
        else:
            answer(text(problem, style=lambda words_, name: style(words_, name, enabled=colour)))
        return Exit.FINDINGS
    found = outcome.value
    if found.problem:
        note(f"without values: {found.problem}")
    if format_ == "json":
        answer_json(found_document(found))
    else:
        answer(found_text(found, style=lambda words_, name: style(words_, name, enabled=colour)))
    return Exit.OK if found.hits else Exit.FINDINGS
