"""`nexus fmt`: one style for site files; comments stay."""

from __future__ import annotations

import difflib
import sys

import click

from nexus_cli.cli.console import answer, colour_wanted, note, style
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import color_option
from nexus_cli.cli.progress import doing
from nexus_cli.cli.views.findings import document, text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.fmt import fmt

EPILOG = "\b\nExamples:\n  nexus fmt\n  nexus fmt --check sites\n\n" + help_text(Exit.OK, Exit.FINDINGS)


@click.command("fmt", epilog=EPILOG)
@click.argument("paths", nargs=-1, type=click.Path(), metavar="[PATH]...")
@click.option("--check", is_flag=True, help="Write nothing; fail if a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@color_option
def command(paths: tuple[str, ...], check: bool, diff: bool) -> int:
    """Format site files: indentation, spacing, blank lines. Comments, order, quotes and values are kept.

    PATH is a file, or a folder with all YAML files below it. Default: the site's folder.
    """
    colour = colour_wanted(sys.stdout)
    with doing("formatting …") as show:
        result = fmt(paths, write=not (check or diff), on_file=lambda text: show(f"formatting {text}"))
    changed = [file for file in result.files if file.changed]
    for file in changed:
        if diff:
            name = file.path.as_posix()
            before, after = file.before.splitlines(keepends=True), file.after.splitlines(keepends=True)
            answer("".join(difflib.unified_diff(before, after, name, name)), newline=False)
        else:
            answer(f"{'would change' if check else 'formatted'} {file.path.as_posix()}")
    for file in result.files:
        if file.kept:
            note(f"{file.path.as_posix()} stays as it is: the style would cost it a value or a comment")
    if result.findings:
        problem = document(result.findings, result.sources)
        answer(text(problem, style=lambda words, name: style(words, name, enabled=colour)))
        return Exit.FINDINGS
    if not changed:
        count = len(result.files)
        answer(f"{count} file{'' if count == 1 else 's'}, all in order")
    return Exit.FINDINGS if changed and (check or diff) else Exit.OK
