"""`nexus export`: stored samples of several tags into one file, from the historian's database."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from nexus_cli.access.globs import matches_glob
from nexus_cli.database.archive_rows import SeriesFacts, series_facts
from nexus_cli.database.connect import NO_LIMITS, Connection, close, open_connection, plain_errors
from nexus_cli.database.exporting import HEAD, copy_exact, copy_readable
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.history.query import read_span
from nexus_cli.project.history import site_of
from nexus_cli.settings import Settings, load_settings

AT_ONCE = 200
"""Series whose samples the server sorts together."""
FORMATS = ("parquet", "csv")


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
    write = _parquet if format_ == "parquet" else _csv
    conn = await open_connection(chosen, application="nexus-export", limits=NO_LIMITS)
    try:
        with plain_errors(chosen):
            async with conn.transaction(isolation="repeatable_read", readonly=True):
                site = await site_of(conn, chosen)
                series = _chosen(await series_facts(conn, site=site), selectors)
                rows = await write(_Question(conn, series, start, end), target, site=site)
    except OSError as error:
        raise _not_written(out, str(error)) from None
    finally:
        await close(conn)
    size = (await asyncio.to_thread(target.stat)).st_size
    return Exported(file=out, series=len(series), rows=rows, size=size)


def _not_written(out: Path, cause: str) -> NexusError:
    hint = "look at the folder and its free space; no half file is left"
    return NexusError(f"{out} can't be written.", code="NX6486", cause=cause, hint=hint)


def _chosen(known: Mapping[int, SeriesFacts], selectors: Sequence[str]) -> dict[int, SeriesFacts]:
    found: dict[int, SeriesFacts] = {}
    for glob in selectors or ("**",):
        fits = {each: facts for each, facts in known.items() if facts.path == glob or matches_glob(glob, facts.path)}
        if not fits:
            paths = [facts.path for facts in known.values()]
            hint = did_you_mean(glob, paths) or "a path, or a glob such as packaging/**"
            raise NexusError(f"No stored tag fits '{glob}'.", code="NX6210", hint=hint)
        found |= fits
    return dict(sorted(found.items(), key=lambda item: item[1].path))


@dataclass(frozen=True, slots=True)
class _Question:
    conn: Connection
    series: Mapping[int, SeriesFacts]
    start: datetime
    end: datetime

    async def read(self, copy: Callable[..., Awaitable[None]], taken: Callable[[bytes], Awaitable[None]]) -> None:
        """Some series at a time. An error of `taken` is raised when their rows have ended: see `archive.days`."""
        ids, problem = list(self.series), None

        async def careful(data: bytes) -> None:
            nonlocal problem
            if problem is None:
                try:
                    await taken(data)
                except Exception as error:  # noqa: BLE001 - raised below
                    problem = error

        for at in range(0, len(ids), AT_ONCE):
            await copy(self.conn, ids[at : at + AT_ONCE], self.start, self.end, taken=careful)
            if problem is not None:
                raise problem


async def _csv(question: _Question, out: Path, *, site: str) -> int:
    rows = 0
    beside = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("wb") as file:
            file.write(HEAD.encode())

            async def taken(data: bytes) -> None:
                nonlocal rows
                file.write(data)
                rows += _records(data)

            await question.read(copy_readable, taken)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(out)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return rows


def _records(data: bytes) -> int:
    """Records of CSV that begins and ends with whole ones: line ends outside of quotes."""
    return sum(part.count(b"\n") for part in data.split(b'"')[::2])


async def _parquet(question: _Question, out: Path, *, site: str) -> int:
    exported: Any
    try:
        from nexus_cli.archive import exported  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NexusError(
            "pyarrow is not installed, which Parquet needs.",
            code="NX6480",
            cause=str(error),
            hint="pip install 'nexus-cli[archive]', or export a .csv",
        ) from None

    async def read(taken: Callable[[bytes], Awaitable[None]]) -> None:
        await question.read(copy_exact, taken)

    rows: int = await exported.export_parquet(read, out, question.series, site=site)
    return rows
