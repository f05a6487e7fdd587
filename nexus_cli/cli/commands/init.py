"""`nexus init`: a new site folder."""

from __future__ import annotations

from pathlib import Path

import click

from nexus_cli.cli.console import answer
from nexus_cli.cli.exit_codes import Exit, help_text

EPILOG = "\b\nExamples:\n  nexus init\n  nexus init sites/chicago\n\n" + help_text(Exit.OK, Exit.FINDINGS)


@click.command("init", epilog=EPILOG)
@click.argument("folder", metavar="[DIR]", required=False, default=".", type=click.Path(file_okay=False))
def command(folder: str) -> int:
    """Write a small commented site.yaml to DIR (default: here). An existing one is left alone."""
    from nexus_cli.project.init import init

    target = init(Path(folder)).as_posix()
    lines = [
        (f"nexus validate {target}", "is it right?"),
        (f"nexus explain packaging/line-1/meter-1/voltage-l1 --site {target}", "from file to row"),
        (f"nexus sim {target}", "its devices, without hardware; in another terminal"),
        (f"nexus up {target} && nexus apply {target}", "run it"),
    ]
    answer(f"wrote {target}\n\nNext:\n" + "\n".join(f"  {command}   # {why}" for command, why in lines))
    return Exit.OK
