"""Stored samples of some series into one file: Parquet with the columns of the archive, or CSV for people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import orjson

from nexus_cli.archive.folder import Sink, Store, in_thread
from nexus_cli.database.archive_rows import SeriesFacts
from nexus_cli.database.connect import Connection
from nexus_cli.database.exporting import HEAD, copy_exact, copy_readable
from nexus_cli.diagnostics.errors import NexusError

T = TypeVar("T")
FORMATS = ("parquet", "csv")
AT_ONCE = 200
"""Series whose samples the server sorts together."""
PIECE_BYTES = 16 << 20
"""CSV of the database that is written at once; memory is a small multiple of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which samples.

    Attributes:
        site: `enterprise/site`.
        series: By id, in the order of the file.
        start, end: UTC; the end is exclusive.
    """

    site: str
    series: Mapping[int, SeriesFacts]
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A whole file: how many samples, its size in bytes, and its SHA-256 in hexadecimal."""

    rows: int
    size: int
    sha256: str


class NotWrittenError(Exception):
    """The file can't be written; the text says why. It is no OSError, which the database's door takes for a lost connection."""


async def write_samples(conn: Connection, store: Store, name: str, *, wanted: Wanted, format_: str) -> Written:
    """Write the file, whole or not at all; one of this name is replaced.

    Args:
        conn: Its transaction should see one moment.
        store: Where to.
        name: Of the file.
        wanted: Which samples.
        format_: One of `FORMATS`.

    Raises:
        NexusError: NX6480 Parquet needs pyarrow, which is missing.
        NotWrittenError: It can't be written.
    """
    write = _parquet if format_ == "parquet" else _csv
    writing = store.write(name)
    sink: Sink = await _on_file(writing.__enter__)
    try:
        rows = await write(conn, wanted, sink)
    except BaseException as error:
        cut = error
        await in_thread(lambda: writing.__exit__(type(cut), cut, cut.__traceback__))
        raise
    await _on_file(lambda: writing.__exit__(None, None, None))
    return Written(rows=rows, size=sink.size, sha256=sink.sha256)


async def _on_file(work: Callable[[], T]) -> T:
    try:
        return await in_thread(work)
    except OSError as error:
        raise NotWrittenError(error.strerror or str(error)) from None


async def _read(
    conn: Connection,
    wanted: Wanted,
    copy: Callable[..., Awaitable[None]],
    write: Callable[[bytes], Any],
) -> None:
    """Give whole rows to `write`, in a thread, some MB at a time. An error of it is raised when their rows have ended: see
    `archive.days`."""
    ids, problem = list(wanted.series), None
    pieces: list[bytes] = []

    async def flush() -> None:
        data = b"".join(pieces)
        pieces.clear()
        await _on_file(lambda: write(data))

    async def taken(data: bytes) -> None:
        nonlocal problem
        if problem is not None:
            return
        pieces.append(data)
        if sum(map(len, pieces)) >= PIECE_BYTES:
            try:
                await flush()
            except Exception as error:  # noqa: BLE001 - raised below
                problem = error

    for at in range(0, len(ids), AT_ONCE):
        await copy(conn, ids[at : at + AT_ONCE], wanted.start, wanted.end, taken=taken)
        if problem is not None:
            raise problem
    if pieces:
        await flush()


async def _csv(conn: Connection, wanted: Wanted, sink: Sink) -> int:
    rows = 0

    def write(data: bytes) -> None:
        nonlocal rows
        sink.write(data)
        rows += _records(data)

    await _on_file(lambda: sink.write(HEAD.encode()))
    await _read(conn, wanted, copy_readable, write)
    return rows


def _records(data: bytes) -> int:
    """Records of CSV that begins and ends with whole ones: line ends outside of quotes."""
    return sum(part.count(b"\n") for part in data.split(b'"')[::2])


async def _parquet(conn: Connection, wanted: Wanted, sink: Sink) -> int:
    parquet: Any
    try:
        from nexus_cli.archive import parquet  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NexusError(
            "pyarrow is not installed, which Parquet needs.",
            code="NX6480",
            cause=str(error),
            hint="pip install 'nexus-cli[archive]', or export a .csv",
        ) from None
    about = {
        facts.path: {"type": facts.type, "unit": facts.unit, "segments": orjson.loads(facts.segments)}
        for facts in wanted.series.values()
    }
    paths = {each: facts.path for each, facts in wanted.series.items()}
    part = parquet.Part(sink, told={"nexus.site": wanted.site, "nexus.series": orjson.dumps(about).decode()})
    await _read(conn, wanted, copy_exact, lambda data: part.write(parquet.table_of(data, paths)))
    await _on_file(part.close)
    rows: int = part.rows
    return rows
