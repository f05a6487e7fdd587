"""`nexus exports`: files of stored samples that the worker writes."""

from __future__ import annotations

import asyncio
from datetime import tzinfo
from pathlib import Path

import click

from nexus_cli.cli.console import answer, answer_json
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import (
    WholeNumber,
    changes_runtime,
    format_option,
    reads_runtime,
    utc_option,
    web_option,
)
from nexus_cli.cli.views.exports import export_text, exports_text
from nexus_cli.cli.views.sizes import size_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.exports import delete_export, fetch_export, find_export, list_exports
from nexus_cli.wire.control import as_object

EXITS = help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)


@click.group("exports", short_help="Show and fetch files that the worker writes.", epilog=EXITS)
def command() -> None:
    """Exports of `nexus export --later` and of the API: the worker writes them, and they are kept for 7 days.

    \b
    Example:
      nexus export 'packaging/**' --from 365d --later
      nexus exports fetch 01JZ3V5T8Q2M4N6P8R0S2T4V6W --wait --out year.parquet
    """


@command.command("list", epilog=EXITS)
@click.option("--limit", default=50, show_default=True, type=WholeNumber(1, 500), help="Maximum number of rows.")
@web_option
@utc_option
@format_option("text", "json")
@reads_runtime("NEXUS_WEB_URL")
def list_(limit: int, web: str, zone: tzinfo | None, format_: str) -> int:
    """Show exports, the newest first.

    \b
    Example:
      nexus exports list
    """
    found = asyncio.run(list_exports(limit=limit, web=web))
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(exports_text(found.exports, zone=zone))
    return Exit.OK


@command.command("show", epilog=EXITS)
@click.argument("export", metavar="ID")
@web_option
@utc_option
@format_option("text", "json")
@reads_runtime("NEXUS_WEB_URL")
def show(export: str, web: str, zone: tzinfo | None, format_: str) -> int:
    """Show one export: what was asked for, how far it is, and the SHA-256 of its file.

    \b
    Example:
      nexus exports show 01JZ3V5T8Q2M4N6P8R0S2T4V6W
    """
    found = asyncio.run(find_export(export, web=web))
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(export_text(found, zone=zone))
    return Exit.OK


@command.command("fetch", epilog=EXITS)
@click.argument("export", metavar="ID")
@click.option(
    "--out", default=None, metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="The file to write."
)
@click.option("--wait", is_flag=True, help="Wait until it is done.")
@web_option
@format_option("text", "json")
@reads_runtime("NEXUS_WEB_URL")
def fetch(export: str, out: Path | None, wait: bool, web: str, format_: str) -> int:
    """Bring the file of an export here; it appears when it is whole and its SHA-256 is right.

    \b
    Example:
      nexus exports fetch 01JZ3V5T8Q2M4N6P8R0S2T4V6W --out year.parquet
    """
    found, file = asyncio.run(fetch_export(export, out=out, wait=wait, web=web))
    if format_ == "json":
        answer_json({"file": str(file), **as_object(found)})
    else:
        answer(f"{found.rows} samples of {found.tags} tags in {file} ({size_text(found.size)})")
    return Exit.OK


@command.command("delete", epilog=EXITS)
@click.argument("export", metavar="ID")
@web_option
@format_option("text", "json")
@changes_runtime("NEXUS_WEB_URL")
def delete(export: str, web: str, format_: str) -> int:
    """Remove an export and its file; one that waits is not written. The audit trail keeps who did it.

    \b
    Example:
      nexus exports delete 01JZ3V5T8Q2M4N6P8R0S2T4V6W
    """
    asyncio.run(delete_export(export, web=web))
    if format_ == "json":
        answer_json({"id": export})
    else:
        answer(f"export {export} was removed")
    return Exit.OK
