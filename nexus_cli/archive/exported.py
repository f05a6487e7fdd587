"""Stored samples of some series into one Parquet file, with the columns of the archive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import orjson

from nexus_cli.archive import parquet
from nexus_cli.archive.days import PIECE_BYTES
from nexus_cli.archive.store import Folder
from nexus_cli.database.archive_rows import SeriesFacts

Read = Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]]
"""Reads CSV of `archive_rows.CSV_COLUMNS` and gives it away piece by piece."""


async def export_parquet(read: Read, out: Path, series: Mapping[int, SeriesFacts], *, site: str) -> int:
    """Write the file, whole or not at all; gives its number of rows.

    Args:
        read: Where the rows come from, ordered.
        out: The file.
        series: By id. Their types, units and what those were before are in the file's metadata `nexus.series`.
        site: `enterprise/site`.

    Raises:
        OSError: It can't be written.
    """
    about = {
        facts.path: {"type": facts.type, "unit": facts.unit, "segments": orjson.loads(facts.segments)}
        for facts in series.values()
    }
    paths = {each: facts.path for each, facts in series.items()}
    with Folder(out.parent).write(out.name) as sink:
        part = parquet.Part(sink, told={"nexus.site": site, "nexus.series": orjson.dumps(about).decode()})
        pieces: list[bytes] = []

        async def write() -> None:
            data = b"".join(pieces)
            pieces.clear()
            await asyncio.to_thread(lambda: part.write(parquet.table_of(data, paths)))

        async def taken(data: bytes) -> None:
            pieces.append(data)
            if sum(map(len, pieces)) >= PIECE_BYTES:
                await write()

        await read(taken)
        if pieces:
            await write()
        part.close()
    return part.rows
