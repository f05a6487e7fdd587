"""`nexus schema`: the JSON Schemas of the site language and of every message."""

from __future__ import annotations

from pathlib import Path

import click

from nexus_cli.cli.console import answer
from nexus_cli.cli.exit_help import help_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.schema import code_pages, schema_files, stale, write

EPILOG = "\b\nExamples:\n  nexus schema --out schemas\n  nexus schema --check\n\n" + help_text(Exit.OK, Exit.FINDINGS)


@click.command("schema", epilog=EPILOG)
@click.option(
    "--out", type=click.Path(file_okay=False), default="schemas", show_default=True, help="Folder to write to."
)
@click.option("--docs", type=click.Path(file_okay=False), help="Also write the pages of all findings to this folder.")
@click.option("--check", is_flag=True, help="Write nothing; fail if a file is out of date.")
def command(out: str, docs: str | None, check: bool) -> int:
    """Write the JSON Schemas of the site file and of every message on the wire."""
    folders = {Path(out): schema_files(), **({Path(docs): code_pages()} if docs else {})}
    code = Exit.OK
    for folder, files in folders.items():
        names = stale(folder, files) if check else write(folder, files)
        for name in names:
            word = "wrote" if not check else "stale" if (folder / name).exists() else "missing"
            answer(f"{word} {(folder / name).as_posix()}")
        if check and names:
            code = Exit.FINDINGS
        elif not names:
            answer(f"{folder.as_posix()}: {len(files)} files up to date")
    return code
