"""`nexus export`: stored samples of many tags into one file."""

from __future__ import annotations

import asyncio
from datetime import tzinfo
from pathlib import Path

import click

from nexus_cli.archive.exported import FORMATS
from nexus_cli.cli.completing import tag_paths
from nexus_cli.cli.console import answer, answer_json
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import reads_runtime, utc_option, web_option
from nexus_cli.cli.views.sizes import size_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.export import export
from nexus_cli.wire.control import as_object


@click.command(
    "export", short_help="Write stored values to a file.", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)
@click.argument("selectors", metavar="[SELECTOR…]", nargs=-1, shell_complete=tag_paths)
@click.option("--from", "since", default="1d", show_default=True, metavar="TIME", help="Start: 7d, today, ISO 8601.")
@click.option("--to", "until", default="now", show_default=True, metavar="TIME", help="End, in the same forms.")
@click.option(
    "--out", default=None, metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="The file to write."
)
@click.option("--later", is_flag=True, help="Let the worker write it; `nexus exports fetch` brings it here.")
@web_option
@click.option("--format", "format_", default=None, type=click.Choice(FORMATS), help="[default: by the file's name]")
@click.option("--json", "as_json", is_flag=True, help="Say what was written as JSON.")
@utc_option
@reads_runtime("NEXUS_DATABASE_URL")
def command(
    selectors: tuple[str, ...],
    since: str,
    until: str,
    out: Path | None,
    later: bool,
    web: str,
    format_: str | None,
    as_json: bool,
    zone: tzinfo | None,
) -> int:
    """Write the stored samples of tags to a Parquet or CSV file: those whose path fits a SELECTOR, by default all.

    A selector is a path or a glob: `packaging/**`, `packaging/*/filler/temperature`. The file appears when it is whole.

    \b
    Examples:
      nexus export 'packaging/**' --from 7d --out week.parquet
      nexus export packaging/line-1/filler/temperature --from 2026-01-01 --to 2026-02-01 --out january.csv
      nexus export 'packaging/**' --from 365d --later       # the worker writes it
    """
    if later == (out is not None):
        raise click.UsageError("Write --out FILE, or --later.")
    if out is None:
        return _later(selectors, since, until, format_, web=web, as_json=as_json, zone=zone)
    done = asyncio.run(export(selectors, since=since, until=until, out=out, format_=format_, zone=zone))
    if as_json:
        answer_json({"file": str(done.file), "series": done.series, "rows": done.rows, "size": done.size})
    else:
        answer(f"{done.rows} samples of {done.series} tags in {done.file} ({size_text(done.size)})")
    return Exit.OK


def _later(
    selectors: tuple[str, ...],
    since: str,
    until: str,
    format_: str | None,
    *,
    web: str,
    as_json: bool,
    zone: tzinfo | None,
) -> int:
    from nexus_cli.project.exports import export_later  # noqa: PLC0415 - HTTP client: only for web

    made = asyncio.run(
        export_later(selectors, since=since, until=until, format_=format_ or FORMATS[0], zone=zone, web=web)
    )
    if as_json:
        answer_json(made, default=as_object)
    else:
        answer(f"export {made.id} waits: {made.tags} tags\n  nexus exports fetch {made.id} --out FILE.{made.format}")
    return Exit.OK
