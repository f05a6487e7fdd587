"""`nexus init`: a new site folder."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from nexus_cli.cli.console import answer
from nexus_cli.cli.exit_help import help_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.init import init

EPILOG = "\b\nExamples:\n  nexus init\n  nexus init sites/chicago\n\n" + help_text(Exit.OK, Exit.FINDINGS)


@click.command("init", epilog=EPILOG)
@click.argument("folder", metavar="[DIR]", required=False, default=".", type=click.Path(file_okay=False))
def command(folder: str) -> int:
    """Write a small commented site.yaml and a test of it to DIR (default: here). An existing file is not changed."""
    target = init(Path(folder))
    there = shlex.quote(target.parent.as_posix())
    lines = [
        *([(f"cd {there}", "")] if target.parent != Path() else []),
        ("nexus validate", "is it right?"),
        ("nexus test", "what becomes of a value?"),
        ("nexus explain packaging/line-1/meter-1/voltage-l1", "from file to row"),
        ("nexus sim", "serves its devices; stays"),
        ("nexus up && nexus apply", "run it"),
    ]
    width = max(len(command) for command, _ in lines)
    answer(f"wrote {target.as_posix()}\n\nNext:")
    for command, why in lines:
        answer(f"  {command:{width}}  {'# ' + why if why else ''}".rstrip())
    return Exit.OK
