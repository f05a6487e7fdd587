"""One day of a class into the archive: written, read back, compared with the database, and only then said to be there.

The database is read twice in one snapshot: once to write, once to compare row by row with what the store gives back. The manifest
comes after that, in a transaction that locks the day's row: of two tries the later one counts, and the earlier one's result is refused.

See docs/decisions/0095.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import msgspec
import orjson
import pyarrow as pa
import pyarrow.compute as pc

import nexus_cli
from nexus_cli.archive import parquet
from nexus_cli.archive.folder import Sink, Store, in_thread
from nexus_cli.archive.manifest import (
    MANIFEST,
    ArchivedFile,
    ArchivedSeries,
    Manifest,
    folder_of,
    joined,
    manifest_of,
    part_name,
)
from nexus_cli.archive.store import away, open_store, sha256_of
from nexus_cli.database import archive_days
from nexus_cli.database.archive_days import ArchivedDay
from nexus_cli.database.archive_rows import Rows, SeriesFacts, copy_day, rows_of_day, series_facts
from nexus_cli.database.class_table import SampleClass
from nexus_cli.database.connect import Connection
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.resources import ArchiveConfig

PIECE_BYTES = 16 << 20
"""CSV that becomes one group of rows; some 200,000 to 400,000 rows. Memory for a day is a small multiple of it."""
MOST_ROWS = 20_000_000
"""Rows of one file."""
STORE_ERRORS = (OSError, pa.ArrowException)


class RefusedError(Exception):
    """A later try has the day: this one's result does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A day that is in the archive."""

    rows: int
    added: int
    size: int


async def archive_day(conn: Connection, config: ArchiveConfig, *, made: SampleClass, day: date) -> Done:
    """Put a day into the archive: whole, or its late rows.

    Args:
        conn: For this alone: not in a transaction, without limits on statements.
        config: Where to.
        made: The class.
        day: UTC, over.

    Raises:
        NexusError: NX6481 the store can't be used, NX6483 its files are damaged, NX6484 it gave back something else.
        RefusedError: A later try has the day.
    """
    key: dict[str, Any] = {"site": made.site, "class_": made.name, "day": day}
    token = secrets.token_hex(4)
    before = await archive_days.find_day(conn, **key)
    await archive_days.begin(conn, **key, token=token)
    try:
        store = await in_thread(lambda: open_store(config))
        if await archive_days.any_archived(conn, site=made.site):
            await in_thread(lambda: store.require(made.site))
        return await _Attempt(conn, store, made, day, token=token, before=before).run()
    except STORE_ERRORS as error:
        if conn.is_closed():
            raise  # it was the database that went away
        problem = away(config, str(error) or type(error).__name__)
        await _failed(conn, key, token, problem)
        raise problem from error
    except NexusError as error:
        await _failed(conn, key, token, error)
        raise


async def _failed(conn: Connection, key: Mapping[str, Any], token: str, error: NexusError) -> None:
    if not conn.is_closed():
        why = f"{error.message} {error.cause or ''}".strip()
        await archive_days.failed(conn, **key, token=token, why=why)


class _Attempt:
    """One try of one day."""

    def __init__(
        self, conn: Connection, store: Store, made: SampleClass, day: date, *, token: str, before: ArchivedDay | None
    ) -> None:
        self._conn, self._store, self._made, self._day, self._token = conn, store, made, day, token
        self._folder = folder_of(made.site, made.name, day)
        self._before = before
        self._old: Manifest | None = None
        self._found: list[str] = []
        self._writing: _Writing | None = None
        self._settled = False

    async def run(self) -> Done:
        made, day = self._made, self._day
        # What earlier attempts left, and what this one replaces. A later one's files are not among them.
        self._found = await in_thread(lambda: self._store.names(self._folder))
        try:
            return await self._write(made, day)
        except BaseException:
            await in_thread(self._discard)
            raise

    async def _write(self, made: SampleClass, day: date) -> Done:
        writing: _Writing
        async with self._conn.transaction(isolation="repeatable_read", readonly=True):
            stored = await rows_of_day(self._conn, made, day)
            if stored.count:
                self._old = self._kept(stored)
                paths, series = await _series_of(self._conn, made.site)
                self._writing = writing = _Writing(self._store, self._folder, self._token, paths, old=self._old)
                await writing.run(self._conn, made, day, told={"nexus.day": f"{made.site} {made.name} {day}"})
                await self._compare(writing, stored)
        if not stored.count:
            return await self._empty()
        return await self._settle(stored, writing, series)

    def _kept(self, stored: Rows) -> Manifest | None:
        """What stays in the archive, of which the database no longer has all rows; what it has comes beside it."""
        before = self._before
        if before is None or not before.manifest:
            return None
        if before.complete and stored.count >= before.stored:
            return None
        return manifest_of(before.manifest, where=f"day {self._day}")

    async def _empty(self) -> Done:
        """No rows any more: what the archive has stays as it is."""
        key: dict[str, Any] = {"site": self._made.site, "class_": self._made.name}
        if self._before is not None and self._before.manifest:
            await archive_days.mark_dropped(self._conn, **key, days=[self._day])
        else:
            await archive_days.forget(self._conn, **key, day=self._day)
        return Done(rows=0, added=0, size=0)

    async def _compare(self, writing: _Writing, stored: Rows) -> None:
        """Read back what was written: its digest, and row by row beside the database."""
        for file in writing.files:
            found = await in_thread(partial(sha256_of, self._store, f"{self._folder}/{file.name}"))
            if found != (file.sha256, file.size):
                raise _differs(self._day, f"{file.name} has another digest than what was written")
        comparing = _Comparing(self._store, self._folder, writing)
        await comparing.run(self._conn, self._made, self._day)
        if writing.seen != stored.count or comparing.seen != stored.count:
            raise _differs(self._day, f"{stored.count} rows are stored, {writing.seen} were written")

    async def _settle(self, stored: Rows, writing: _Writing, series: Mapping[int, SeriesFacts]) -> Done:
        made, old = self._made, self._old
        files = [*(old.files if old else ()), *writing.files]
        manifest = Manifest(
            nexus=nexus_cli.__version__,
            site=made.site,
            retention=made.name,
            day=self._day.isoformat(),
            rows=sum(file.rows for file in files),
            files=files,
            series=joined(old.series if old else (), [_archived(series, each) for each in sorted(writing.series)]),
        )
        key: dict[str, Any] = {"site": made.site, "class_": made.name, "day": self._day}
        async with self._conn.transaction():
            if not await archive_days.fence(self._conn, **key, token=self._token):
                raise RefusedError(f"another worker archives {made.name} {self._day}")
            self._settled = True  # from here on the files may count, also when the answer to the commit is lost
            await in_thread(lambda: self._write_manifest(manifest))
            await archive_days.settle(
                self._conn, **key, stored=stored, rows=manifest.rows, manifest=msgspec.json.encode(manifest)
            )
        await in_thread(lambda: self._tidy({MANIFEST, *(file.name for file in files)}))
        return Done(
            rows=manifest.rows,
            added=sum(file.rows for file in writing.files),
            size=sum(file.size for file in writing.files),
        )

    def _write_manifest(self, manifest: Manifest) -> None:
        with self._store.write(f"{self._folder}/{MANIFEST}") as sink:
            sink.write(manifest.to_json())

    def _tidy(self, belongs: set[str]) -> None:
        for name in self._found:
            if name not in belongs:
                self._store.remove(f"{self._folder}/{name}")

    def _discard(self) -> None:
        """Remove what an attempt wrote that failed; what can't be removed now is, with the next one."""
        if self._writing is None or self._settled:
            return
        with suppress(*STORE_ERRORS):
            for file in self._writing.files:
                self._store.remove(f"{self._folder}/{file.name}")


def _differs(day: date, cause: str) -> NexusError:
    return NexusError(
        f"The archive gave back other rows of {day} than it was given.",
        code="NX6484",
        cause=cause,
        hint="nothing is dropped; look at the disk or the store",
        retriable=True,
    )


def _archived(series: Mapping[int, SeriesFacts], id_: int) -> ArchivedSeries:
    facts = series.get(id_)
    if facts is None:
        return ArchivedSeries(id=id_, ulid="", path=f"series-{id_}", type="")
    return ArchivedSeries(
        id=id_,
        ulid=facts.ulid,
        path=facts.path,
        type=facts.type,
        unit=facts.unit,
        former_paths=list(facts.former_paths),
        segments=orjson.loads(facts.segments),
    )


async def _series_of(conn: Connection, site: str) -> tuple[dict[int, str], dict[int, SeriesFacts]]:
    found = await series_facts(conn, site=site)
    return {each: facts.path for each, facts in found.items()}, found


class _Reading:
    """Takes a day's CSV from the database, a piece at a time; the work is done in a thread."""

    def __init__(self, store: Store, folder: str, paths: Mapping[int, str], *, old: Manifest | None) -> None:
        self._store, self._folder, self.paths, self.old = store, folder, paths, old
        self._pieces: list[bytes] = []
        self._size = self.seen = 0
        self._problem: Exception | None = None

    async def _copy(self, conn: Connection, made: SampleClass, day: date) -> None:
        await copy_day(conn, made, day, taken=self._taken)
        if self._pieces and self._problem is None:
            await self._piece()
        if self._problem is not None:
            raise self._problem

    async def _taken(self, data: bytes) -> None:
        """An error is kept until the rows have ended: raised here it would leave the connection in the middle of them."""
        if self._problem is not None:
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= PIECE_BYTES:
            try:
                await self._piece()
            except (NexusError, *STORE_ERRORS) as error:
                self._problem = error

    async def _piece(self) -> None:
        data = b"".join(self._pieces)
        self._pieces, self._size = [], 0
        await in_thread(lambda: self._table(data))

    def _table(self, data: bytes) -> None:
        table = parquet.table_of(data, self.paths)
        self.seen += table.num_rows
        if self.old is not None:
            table = parquet.without(table, self._known(table))
        if table.num_rows:
            self._new(table)

    def _known(self, table: Any) -> Iterator[Any]:
        """Rows of the archive's files of the series of a table."""
        ids = table["series_id"].unique()
        for file in self.old.files if self.old is not None else ():
            yield from parquet.tables_in(
                self._store, f"{self._folder}/{file.name}", filters=pc.field("series_id").isin(ids)
            )

    def _new(self, table: Any) -> None:
        raise NotImplementedError


class _Writing(_Reading):
    """Writes the rows.

    Attributes:
        files: Those that were written.
        series: The ids that they have.
        seen: Rows of the database.
    """

    def __init__(
        self, store: Store, folder: str, token: str, paths: Mapping[int, str], *, old: Manifest | None
    ) -> None:
        super().__init__(store, folder, paths, old=old)
        self._token, self._number = token, len(old.files) if old else 0
        self.files: list[ArchivedFile] = []
        self.series: set[int] = set()
        self._part: parquet.Part | None = None
        self._open = ExitStack()
        self._told: Mapping[str, str] = {}

    async def run(self, conn: Connection, made: SampleClass, day: date, *, told: Mapping[str, str]) -> None:
        """Write all rows of the day."""
        self._told = told
        with self._open:
            await self._copy(conn, made, day)
            await in_thread(self._close)

    def _new(self, table: Any) -> None:
        if self._part is not None and self._part.rows >= MOST_ROWS:
            self._close()
        if self._part is None:
            name = part_name(self._number + 1, self._token)
            sink: Sink = self._open.enter_context(self._store.write(f"{self._folder}/{name}"))
            self._part = parquet.Part(sink, told=self._told)
        self._part.write(table)
        self.series.update(table["series_id"].unique().to_pylist())

    def _close(self) -> None:
        if self._part is None:
            return
        self._part.close()
        self._open.pop_all().close()
        self._number += 1
        self.files.append(self._part.file(part_name(self._number, self._token)))
        self._part = None


class _Comparing(_Reading):
    """Compares the rows with the files that were written."""

    def __init__(self, store: Store, folder: str, writing: _Writing) -> None:
        super().__init__(store, folder, writing.paths, old=writing.old)
        self._files = parquet.Comparer(self._stored(writing.files))

    async def run(self, conn: Connection, made: SampleClass, day: date) -> None:
        """Compare all rows of the day. Raises NexusError NX6484."""
        self._day = day
        await self._copy(conn, made, day)
        if not await in_thread(self._files.ended):
            raise _differs(day, "it has rows that the database has not")

    def _stored(self, files: list[ArchivedFile]) -> Iterator[Any]:
        for file in files:
            yield from parquet.tables_in(self._store, f"{self._folder}/{file.name}")

    def _new(self, table: Any) -> None:
        if not self._files.same(table):
            raise _differs(self._day, "rows differ")
