"""`nexus export`: stored samples of several tags into one file, from the historian's database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from nexus_cli.archive.exported import FORMATS, NotWrittenError, Wanted, write_samples
from nexus_cli.archive.folder import Folder
from nexus_cli.database.archive_rows import series_facts
from nexus_cli.database.connect import NO_LIMITS, close, open_connection, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.history.choice import chosen_series
from nexus_cli.history.query import read_span
from nexus_cli.project.history import site_of
from nexus_cli.settings import Settings, load_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        file: Where.
        series: How many tags it may have samples of.
        rows: How many samples.
        size: In bytes.
    """

    file: Path
    series: int
    rows: int
    size: int


async def export(
    selectors: Sequence[str],
    *,
    since: str,
    until: str,
    out: Path,
    format_: str | None = None,
    zone: tzinfo | None = None,
    settings: Settings | None = None,
) -> Exported:
    """Write the samples of the tags whose path fits one of the globs; a file that is there is replaced when all is written.

    Args:
        selectors: Paths or globs such as `packaging/**`; none is everything.
        since: Start, as in `nexus history`.
        until: End, exclusive.
        out: The file.
        format_: `parquet` or `csv`; None goes by the file's name.
        zone: In which times are read.
        settings: Instead of those of this folder.

    Raises:
        NexusError: NX6200 to NX6203 of the database; NX6210 there are no such series; NX6211 the span can't be used;
            NX6480 pyarrow is missing; NX6486 the file can't be written.
    """
    chosen = settings or load_settings()
    start, end, _ = read_span(since, until, every=None, zone=zone, now=datetime.now(UTC))
    format_ = format_ or out.suffix.removeprefix(".").lower()
    if format_ not in FORMATS:
        raise NexusError(
            f"'{out.name}' says neither Parquet nor CSV.", code="NX6486", hint="--format parquet, or --format csv"
        )
    if not await asyncio.to_thread(out.parent.is_dir):
        raise _not_written(out, "there is no such folder")
    target = await asyncio.to_thread(out.resolve)  # the file itself: a link stays a link
    if await asyncio.to_thread(lambda: target.exists() and not target.is_file()):
        raise _not_written(out, "it is no file: devices, pipes and folders can't be replaced")
    conn = await open_connection(chosen, application="nexus-export", limits=NO_LIMITS)
    try:
        with plain_errors(chosen):
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                site = await site_of(conn, chosen)
                known = await series_facts(conn, site=site)
                picked = chosen_series({each: facts.path for each, facts in known.items()}, selectors)
                wanted = Wanted(site=site, series={each: known[each] for each in picked}, start=start, end=end)
                done = await write_samples(conn, Folder(target.parent), target.name, wanted=wanted, format_=format_)
    except NotWrittenError as error:
        raise _not_written(out, str(error)) from None
    finally:
        await close(conn)
    return Exported(file=out, series=len(picked), rows=done.rows, size=done.size)


def _not_written(out: Path, cause: str) -> NexusError:
    hint = "look at the folder and its free space; no half file is left"
    return NexusError(f"{out} can't be written.", code="NX6486", cause=cause, hint=hint)
