"""What is done with days that are in the archive: look whether they are whole, put them back, remove them at the end of `keep`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

from nexus_cli.archive import parquet
from nexus_cli.archive.days import STORE_ERRORS
from nexus_cli.archive.manifest import MANIFEST, Manifest, damaged, folder_of, manifest_of
from nexus_cli.archive.store import Store, away, sha256_of
from nexus_cli.database import archive_days
from nexus_cli.database.archive_days import VERIFIED, ArchivedDay
from nexus_cli.database.archive_rows import rows_of_day, series_facts
from nexus_cli.database.class_table import SampleClass
from nexus_cli.database.connect import Connection
from nexus_cli.database.copy import FULL_COLUMNS, FullRow, pack_full
from nexus_cli.database.rollup_tables import mark_changed
from nexus_cli.database.samples import SampleTables, copy_staged
from nexus_cli.model.calendar import DAY_US, HOUR_US
from nexus_cli.model.resources import ArchiveConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A day that was looked at.

    Attributes:
        retention: The class.
        day: UTC.
        rows: Of its manifest.
        problems: What is damaged; none when it is whole.
        again: Whether it is archived again: the historian still has it.
    """

    retention: str
    day: date
    rows: int
    problems: list[str] = field(default_factory=list)
    again: bool = False


async def verify_day(conn: Connection, store: Store, day: ArchivedDay, *, site: str) -> Checked:
    """Hold the files of a day against its manifest; a damaged day that the historian still has becomes open again.

    Raises OSError or pa.ArrowException when the store is away.
    """
    folder = folder_of(site, day.class_, day.day)
    manifest = manifest_of(day.manifest, where=f"day {day.day}")
    problems = await asyncio.to_thread(lambda: list(_problems(store, folder, manifest)))
    again = bool(problems) and day.state == VERIFIED
    if again:
        await archive_days.reopen(conn, site=site, class_=day.class_, days=[day.day], why=problems[0])
    return Checked(retention=day.class_, day=day.day, rows=manifest.rows, problems=problems, again=again)


def _problems(store: Store, folder: str, manifest: Manifest) -> Iterator[str]:
    try:
        with store.read(f"{folder}/{MANIFEST}") as file:
            there = manifest_of(bytes(file.read()), where=f"{folder}/{MANIFEST}")
        if there != manifest:
            yield f"{MANIFEST} is not the one that was written"
    except FileNotFoundError:
        yield f"{MANIFEST} is missing"
    except Exception as error:  # noqa: BLE001 - damage has any shape; it is reported
        yield f"{MANIFEST}: {getattr(error, 'cause', None) or error}"
    for file in manifest.files:
        name = f"{folder}/{file.name}"
        try:
            digest, size = sha256_of(store, name)
        except FileNotFoundError:
            yield f"{file.name} is missing"
            continue
        if (digest, size) != (file.sha256, file.size):
            yield f"{file.name} was changed: it has {size} bytes with another SHA-256 than the manifest says"
            continue
        try:
            rows = parquet.row_count(store, name)
        except (OSError, pa.ArrowException) as error:
            yield f"{file.name} can't be read: {error}"
            continue
        if rows != file.rows:
            yield f"{file.name} has {rows} rows, the manifest says {file.rows}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A day that is back in the historian.

    Attributes:
        retention: The class.
        day: UTC.
        rows: In the archive.
        added: That the historian did not have.
        skipped: Of series that this historian does not know.
        unknown: No such class is declared: nothing of the day was put back.
    """

    retention: str
    day: date
    rows: int
    added: int
    skipped: int = 0
    unknown: bool = False


async def restore_day(
    conn: Connection,
    config: ArchiveConfig,
    store: Store,
    made: SampleClass,
    day: ArchivedDay,
    *,
    now: datetime,
    hold: timedelta,
) -> Restored:
    """Put the rows of a day back; those that are there stay as they are, so that a repetition changes nothing.

    Nothing of the day is dropped before `hold` is over.

    Raises:
        NexusError: NX6481 the store can't be used, NX6483 a file is damaged; what was put back by then stays, and is held.
    """
    manifest = manifest_of(day.manifest, where=f"day {day.day}")
    folder = folder_of(made.site, made.name, day.day)
    await archive_days.hold(conn, site=made.site, class_=made.name, day=day.day, until=now + hold)
    known = {facts.ulid: each for each, facts in (await series_facts(conn, site=made.site)).items()}
    ids = {each.id: known.get(each.ulid) for each in manifest.series}
    tables, added, skipped = SampleTables(site=made.site), 0, 0
    try:
        for file in manifest.files:
            name = f"{folder}/{file.name}"
            if await asyncio.to_thread(sha256_of, store, name) != (file.sha256, file.size):
                raise damaged(f"{made.name} {day.day} {file.name}", "its SHA-256 is not the manifest's")
            reader = parquet.tables_in(store, name)
            while (table := await asyncio.to_thread(next, reader, None)) is not None:
                rows, strange = await asyncio.to_thread(_rows, table, ids)
                skipped += strange
                added += await _put(conn, tables, made, rows, now=now)
    except FileNotFoundError as error:
        raise damaged(f"{made.name} {day.day}", f"{error}") from None
    except STORE_ERRORS as error:
        raise away(config, str(error)) from error
    async with conn.transaction(isolation="repeatable_read"):
        await archive_days.restored(
            conn,
            site=made.site,
            class_=made.name,
            day=day.day,
            stored=await rows_of_day(conn, made, day.day),
            rows=manifest.rows,
            skipped=skipped,
        )
    return Restored(retention=made.name, day=day.day, rows=manifest.rows, added=added, skipped=skipped)


def _rows(table: Any, ids: Mapping[int, int | None]) -> tuple[list[FullRow], int]:
    columns = {name: table[name] for name in table.schema.names if name != "path"}
    for name in ("time", "source_time"):
        columns[name] = columns[name].cast(pa.int64())
    found, skipped = [], 0
    for row in zip(*(column.to_pylist() for column in columns.values()), strict=True):
        one = dict(zip(columns, row, strict=True))
        series = ids.get(one["series_id"])
        if series is None:
            skipped += 1
            continue
        found.append(
            FullRow(
                time_us=one["time"],
                series_id=series,
                value=one["value"],
                exact=None if one["value_exact"] is None else int(one["value_exact"]),
                text=one["value_text"],
                json=None if one["value_json"] is None else one["value_json"].encode(),
                quality=one["quality"],
                status=one["status"],
                source_time_us=one["source_time"],
            )
        )
    return found, skipped


async def _put(conn: Connection, tables: SampleTables, made: SampleClass, rows: list[FullRow], *, now: datetime) -> int:
    if not rows:
        return 0
    packed = await asyncio.to_thread(lambda: b"".join(map(pack_full, rows)))
    await tables.prepare(conn, made.name, {row.time_us // DAY_US for row in rows}, now=now)
    async with conn.transaction():
        added, _ = await copy_staged(conn, made, [packed], FULL_COLUMNS)
        if added:
            await mark_changed(conn, made.table, {row.time_us // HOUR_US for row in rows})
    return added


def remove_day(store: Store, day: ArchivedDay, *, site: str) -> None:
    """Remove a day from the store, its manifest first: a file without one does not belong to the archive. Raises what the store raises."""
    folder = folder_of(site, day.class_, day.day)
    store.remove(f"{folder}/{MANIFEST}")
    for name in store.names(folder):
        store.remove(f"{folder}/{name}")
    store.remove_folder(folder)
