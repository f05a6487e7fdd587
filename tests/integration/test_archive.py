"""The archive on a real PostgreSQL: days become Parquet files, DuckDB reads what the database had, and only then it goes."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pytest

from nexus_cli.archive import days as archiving
from nexus_cli.archive import keeping
from nexus_cli.archive.manifest import folder_of
from nexus_cli.archive.store import Folder, open_store
from nexus_cli.database import archive_days, recording
from nexus_cli.database.archive_rows import rows_of_day
from nexus_cli.database.class_table import DAY_MS, SampleClass
from nexus_cli.database.connect import UPKEEP, Connection, close, open_connection
from nexus_cli.database.copy import FULL_COLUMNS, FullRow, pack_full
from nexus_cli.database.retention import Upkeep, keep_up
from nexus_cli.database.sample_class import ensure_class, find_class
from nexus_cli.database.samples import SampleTables, copy_staged
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.calendar import DAY_US, microseconds
from nexus_cli.model.resources import ArchiveConfig
from nexus_cli.settings import Settings
from tests.postgres import SITE

pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]
NOW = datetime(2026, 3, 20, 12, 0, tzinfo=UTC)
TODAY = NOW.date()
NAMES = "time, series_id, value, value_exact, value_text, value_json::text, quality, status, source_time"


@asynccontextmanager
async def connected(settings: Settings, **more: Any) -> AsyncIterator[Connection]:
    conn = await open_connection(settings, **more)
    try:
        yield conn
    finally:
        await close(conn)


async def series(conn: Connection, name: str = "temperature", *, type_: str = "float64") -> int:
    return int(
        await conn.fetchval(
            "INSERT INTO nexus.series (site, ulid, path, type, unit, retention) VALUES ($1, $2, $3, $4, '°C', 'fast')"
            " RETURNING id",
            *(SITE, f"ULID-{name}", f"packaging/line-1/filler/{name}", type_),
        )
    )


async def declared(conn: Connection, *, keep: int = 10, after: int | None = 2) -> SampleClass:
    return await ensure_class(
        conn,
        "fast",
        site=SITE,
        keep_ms=keep * DAY_MS,
        archive_after_ms=None if after is None else after * DAY_MS,
    )


async def put(conn: Connection, made: SampleClass, *rows: FullRow, now: datetime = NOW) -> int:
    tables = SampleTables(site=SITE)
    await tables.prepare(conn, made.name, {row.time_us // DAY_US for row in rows}, now=now)
    async with conn.transaction():
        count, conflicts = await copy_staged(conn, made, [b"".join(map(pack_full, rows))], FULL_COLUMNS)
    assert conflicts == []
    return count


def a_row(series_id: int, moment: datetime, value: float | None = 1.5, **more: Any) -> FullRow:
    fields: dict[str, Any] = {"exact": None, "text": None, "json": None, "quality": 192, "status": None}
    fields |= {"source_time_us": None} | more
    return FullRow(time_us=microseconds(moment), series_id=series_id, value=value, **fields)


def of_all_types(ids: list[int], day: date, *, extremes: tuple[float, ...] = ()) -> list[FullRow]:
    """Rows that a careless way through text or floats would change."""
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    draw = random.Random(day.toordinal())
    one, big, text, shape = ids
    values = [0.1 + 0.2, -0.0, math.inf, -math.inf, math.nan, 1e-17, 1.0, *extremes, None]
    rows = [
        a_row(one, at + timedelta(seconds=number), value, quality=0 if value is None else 192, status=number * 2**40)
        for number, value in enumerate(values)
    ]
    exact = [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1]
    rows += [a_row(big, at + timedelta(microseconds=n), float(e), exact=e) for n, e in enumerate(exact)]
    texts = ["", " ", "a,b", 'say "hi"', "two\nlines\r\n", "é 温度 🔥", "NULL", "\\N", "NaN", ",,", '"']
    rows += [
        a_row(text, at + timedelta(hours=n), None, text=t, quality=64, source_time_us=microseconds(at) - n)
        for n, t in enumerate(texts)
    ]
    shapes = [{"a": [1, None, 'x,"y"\n']}, [], "", None, 1.5, {"": {"ü": True}}]
    rows += [a_row(shape, at + timedelta(minutes=n), None, json=orjson.dumps(s)) for n, s in enumerate(shapes)]
    rows += [a_row(one, at + timedelta(hours=22, seconds=n), draw.random()) for n in range(3000)]
    rows.append(a_row(one, at + timedelta(days=1) - timedelta(microseconds=1), 7.0))
    return rows


def plain(rows: Any) -> list[tuple[Any, ...]]:
    """Rows that can be compared: NaN and the sign of zero as text."""

    def one(value: Any) -> Any:
        if isinstance(value, float):
            return repr(value)
        if isinstance(value, Decimal):
            return int(value)
        return microseconds(value) if isinstance(value, datetime) else value

    return sorted((tuple(one(value) for value in row) for row in rows), key=repr)


async def of_database(conn: Connection, day: date | None = None) -> list[tuple[Any, ...]]:
    where = "" if day is None else f"WHERE time >= '{day}T00:00Z' AND time < '{day + timedelta(days=1)}T00:00Z'"
    return plain(await conn.fetch(f"SELECT {NAMES} FROM nexus.sample {where}"))


def of_archive(root: Path, files: str = "**/*.parquet") -> list[tuple[Any, ...]]:
    with duckdb.connect() as duck:
        duck.execute("SET TimeZone = 'UTC'")
        return plain(duck.sql(f"SELECT {NAMES.replace('::text', '')} FROM '{root / files}'").fetchall())


async def to_archive(settings: Settings, root: Path | ArchiveConfig, made: SampleClass, day: date) -> archiving.Done:
    config = root if isinstance(root, ArchiveConfig) else ArchiveConfig(to=str(root))
    async with connected(settings) as conn:
        return await archiving.archive_day(conn, config, made=made, day=day)


async def upkeep(settings: Settings, now: datetime = NOW) -> Upkeep:
    async with connected(settings, limits=UPKEEP) as conn:
        done = await keep_up(conn, site=SITE, now=now)
    assert done is not None
    return done


async def the_day(conn: Connection, day: date) -> archive_days.ArchivedDay:
    found = await archive_days.find_day(conn, site=SITE, class_="fast", day=day)
    assert found is not None
    return found


async def four_series(conn: Connection) -> list[int]:
    kinds = {"temperature": "float64", "counter": "uint64", "batch": "string", "recipe": "json"}
    return [await series(conn, name, type_=type_) for name, type_ in kinds.items()]


async def test_duckdb_reads_the_rows_that_the_database_had(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "PIECE_BYTES", 4096)  # several groups of rows, and several files
    monkeypatch.setattr(archiving, "MOST_ROWS", 800)
    day = TODAY - timedelta(days=5)
    async with connected(database) as conn:
        made, ids = await declared(conn), await four_series(conn)
        rows = of_all_types(ids, day, extremes=(5e-324, 1.7976931348623157e308))
        assert await put(conn, made, *rows) == len(rows)
        await put(conn, made, a_row(ids[0], NOW - timedelta(days=4)))
        before = await of_database(conn, day)
        done = await to_archive(database, tmp_path / "archive", made, day)
        assert (done.rows, done.added) == (len(rows), len(rows))
        assert of_archive(tmp_path / "archive") == before
        found = await the_day(conn, day)
        assert (found.state, found.stored, found.rows) == ("verified", len(rows), len(rows))
    folder = tmp_path / "archive" / folder_of(SITE, "fast", day)
    manifest = orjson.loads((folder / "manifest.json").read_bytes())
    assert manifest == found.manifest
    assert {each["path"].rpartition("/")[2] for each in manifest["series"]} == {
        "temperature",
        "counter",
        "batch",
        "recipe",
    }
    assert manifest["series"][0]["unit"] == "°C"
    assert len(manifest["files"]) > 1
    assert sorted(each.name for each in folder.iterdir()) == sorted(
        ["manifest.json", *(each["name"] for each in manifest["files"])]
    )
    with duckdb.connect() as duck:
        asked = f"SELECT DISTINCT class, day::text, path FROM read_parquet('{tmp_path}/archive/**/*.parquet', hive_partitioning = true)"
        assert sorted(duck.sql(asked).fetchall()) == [
            ("fast", str(day), f"packaging/line-1/filler/{name}")
            for name in ("batch", "counter", "recipe", "temperature")
        ]


async def test_nothing_goes_before_it_is_archived_and_a_late_row_is_not_lost(
    database: Settings, tmp_path: Path
) -> None:
    day = TODAY - timedelta(days=5)
    later = NOW + timedelta(days=8)
    async with connected(database) as conn:
        made, number = await declared(conn), await series(conn)
        first = [a_row(number, datetime(day.year, day.month, day.day, 6, n, tzinfo=UTC), float(n)) for n in range(30)]
        await put(conn, made, *first)
        done = await upkeep(database, later)
        assert await of_database(conn, day) != []
        assert any(f"{day} is not in the archive" in each for each in done.postponed)

        await to_archive(database, tmp_path / "a", made, day)
        await put(conn, made, a_row(number, datetime(day.year, day.month, day.day, 9, tzinfo=UTC)))
        done = await upkeep(database, later)
        assert len(await of_database(conn, day)) == 31
        assert any("changed since it was archived" in each for each in done.postponed)
        assert (await the_day(conn, day)).state == "open"

        assert (await to_archive(database, tmp_path / "a", made, day)).rows == 31
        expected = await of_database(conn, day)
        await upkeep(database, later)
        assert await of_database(conn, day) == []
        assert of_archive(tmp_path / "a") == expected
        assert (await the_day(conn, day)).state == "dropped"

        # A gateway that was away sends what the archive has, and a row that it has not.
        late = a_row(number, datetime(day.year, day.month, day.day, 23, tzinfo=UTC), 99.0)
        assert await put(conn, made, *first[:5], late, now=later) == 6
        await upkeep(database, later)
        assert len(await of_database(conn, day)) == 6
        again = await to_archive(database, tmp_path / "a", made, day)
        assert (again.rows, again.added) == (32, 1)
        await upkeep(database, later)
        assert await of_database(conn, day) == []
        added = plain([(late.time_us, number, 99.0, None, None, None, 192, None, None)])
        assert of_archive(tmp_path / "a") == sorted([*expected, *added], key=repr)


async def archived_and_dropped(
    database: Settings, root: Path | ArchiveConfig, conn: Connection, *, day: date
) -> tuple[SampleClass, list[tuple[Any, ...]]]:
    """A day of all types that only the archive still has, and its rows."""
    made, ids = await declared(conn), await four_series(conn)
    await put(conn, made, *of_all_types(ids, day))
    before = await of_database(conn, day)
    await to_archive(database, root, made, day)
    await upkeep(database, NOW + timedelta(days=8))
    assert await of_database(conn, day) == []
    return made, before


async def restore(
    settings: Settings, root: Path, made: SampleClass, day: date, *, now: datetime = NOW
) -> keeping.Restored:
    config = ArchiveConfig(to=str(root))
    async with connected(settings) as conn:
        found = await the_day(conn, day)
        return await keeping.restore_day(conn, config, open_store(config), made, found, now=now, hold=timedelta(days=7))


async def test_a_restore_doubles_nothing_is_held_and_goes_again(database: Settings, tmp_path: Path) -> None:
    day, later = TODAY - timedelta(days=5), NOW + timedelta(days=8)
    async with connected(database) as conn:
        made, before = await archived_and_dropped(database, tmp_path / "a", conn, day=day)
        first = await restore(database, tmp_path / "a", made, day)
        assert (first.rows, first.added, first.skipped) == (len(before), len(before), 0)
        assert await of_database(conn, day) == before
        again = await restore(database, tmp_path / "a", made, day)
        assert (again.rows, again.added) == (len(before), 0)
        assert await of_database(conn, day) == before
        found = await the_day(conn, day)
        assert (found.state, found.complete, found.stored) == ("verified", True, len(before))

        # The hold is by the server's clock: it is far ahead of this test's `later`.
        await archive_days.hold(conn, site=SITE, class_="fast", day=day, until=datetime.now(UTC) + timedelta(days=7))
        done = await upkeep(database, later)
        assert await of_database(conn, day) == before
        assert any("held until" in each for each in done.postponed)
        assert await archive_days.to_archive(conn, made, until=NOW) == []

        await archive_days.hold(conn, site=SITE, class_="fast", day=day, until=datetime.now(UTC) - timedelta(days=1))
        done = await upkeep(database, later)
        assert done.deleted_rows + len(done.dropped) > 0
        assert await of_database(conn, day) == []
        assert of_archive(tmp_path / "a") == before


async def test_a_restore_that_was_interrupted_goes_without_doubling_the_archive(
    database: Settings, tmp_path: Path
) -> None:
    day, later = TODAY - timedelta(days=5), NOW + timedelta(days=8)
    async with connected(database) as conn:
        made, before = await archived_and_dropped(database, tmp_path / "a", conn, day=day)
        await restore(database, tmp_path / "a", made, day)
        restored = made.table if made.hypertable else made.rest
        await conn.execute(f"DELETE FROM nexus.{restored} WHERE series_id = (SELECT max(series_id) FROM nexus.sample)")
        await conn.execute(
            "UPDATE nexus.archive_day SET state = 'dropped', complete = false, stored = 0, digest = '0',"
            " hold_until = NULL"
        )
        assert await archive_days.to_archive(conn, made, until=NOW) == [day]
        done = await to_archive(database, tmp_path / "a", made, day)
        assert (done.rows, done.added) == (len(before), 0)
        await upkeep(database, later)
        assert await of_database(conn, day) == []
        assert of_archive(tmp_path / "a") == before


async def test_a_restore_keeps_a_row_that_the_historian_has_otherwise(database: Settings, tmp_path: Path) -> None:
    day = TODAY - timedelta(days=5)
    at = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
    async with connected(database) as conn:
        made, number = await declared(conn), await series(conn)
        await put(conn, made, a_row(number, at, 1.0), a_row(number, at + timedelta(hours=1), 2.0))
        await to_archive(database, tmp_path / "a", made, day)
        await upkeep(database, NOW + timedelta(days=8))
        await put(conn, made, a_row(number, at, 9.0), a_row(number, at + timedelta(hours=2), 3.0))
        done = await restore(database, tmp_path / "a", made, day)
        assert (done.rows, done.added) == (2, 1)
        assert [row[2] for row in await of_database(conn, day)] == ["9.0", "2.0", "3.0"]
        assert (await the_day(conn, day)).state == "open"  # three rows, and the archive has two
        assert (await to_archive(database, tmp_path / "a", made, day)).rows == 3
        assert of_archive(tmp_path / "a") == await of_database(conn, day)


@pytest.mark.parametrize("damage", ["a byte", "cut", "removed", "manifest", "no manifest"])
async def test_damage_is_found_and_a_day_that_is_still_stored_is_archived_again(
    database: Settings, tmp_path: Path, damage: str
) -> None:
    day, root = TODAY - timedelta(days=5), tmp_path / "a"
    async with connected(database) as conn:
        made, ids = await declared(conn), await four_series(conn)
        await put(conn, made, *of_all_types(ids, day))
        before = await of_database(conn, day)
        await to_archive(database, root, made, day)
        store, found = Folder(root), await the_day(conn, day)
        assert (await keeping.verify_day(conn, store, found, site=SITE)).problems == []
        folder = root / folder_of(SITE, "fast", day)
        file = next(folder.glob("*.parquet"))
        content = bytearray(file.read_bytes())
        if damage == "a byte":
            content[len(content) // 2] ^= 1
            file.write_bytes(content)
        elif damage == "cut":
            file.write_bytes(content[:-100])
        elif damage == "removed":
            file.unlink()
        elif damage == "manifest":
            (folder / "manifest.json").write_text('{"nexus": "1"}')
        else:
            (folder / "manifest.json").unlink()
        checked = await keeping.verify_day(conn, store, found, site=SITE)
        assert len(checked.problems) == 1
        assert checked.again
        await upkeep(database, NOW + timedelta(days=8))
        assert await of_database(conn, day) == before
        await to_archive(database, root, made, day)
        assert (await keeping.verify_day(conn, store, await the_day(conn, day), site=SITE)).problems == []
        await upkeep(database, NOW + timedelta(days=8))
        assert await of_database(conn, day) == []
        assert of_archive(root) == before


async def test_a_damaged_file_is_not_restored(database: Settings, tmp_path: Path) -> None:
    day, root = TODAY - timedelta(days=5), tmp_path / "a"
    async with connected(database) as conn:
        made, _ = await archived_and_dropped(database, root, conn, day=day)
        file = next(root.glob("**/*.parquet"))
        content = bytearray(file.read_bytes())
        content[100] ^= 1
        file.write_bytes(content)
        with pytest.raises(NexusError) as raised:
            await restore(database, root, made, day)
        assert raised.value.code == "NX6483"
        assert await of_database(conn, day) == []


async def test_a_store_that_loses_a_row_or_a_bit_is_believed_nothing(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day, root = TODAY - timedelta(days=5), tmp_path / "a"
    async with connected(database) as conn:
        made, ids = await declared(conn), await four_series(conn)
        await put(conn, made, *of_all_types(ids, day))
        honest = archiving.parquet.Part.write

        def loses_one(self: Any, table: Any) -> None:
            honest(self, table.slice(1))

        def flips(self: Any, table: Any) -> None:
            values = table["quality"].to_pylist()
            values[-1] = 64 if values[-1] != 64 else 192
            at = table.schema.get_field_index("quality")
            honest(self, table.set_column(at, table.schema.field(at), pa.array(values, pa.int16())))

        for wrong in (loses_one, flips):
            monkeypatch.setattr(archiving.parquet.Part, "write", wrong)
            with pytest.raises(NexusError) as raised:
                await to_archive(database, root, made, day)
            assert raised.value.code == "NX6484"
            found = await the_day(conn, day)
            assert (found.state, found.manifest) == ("open", {})
            assert "other rows" in found.error


async def test_the_later_of_two_tries_counts(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day, root = TODAY - timedelta(days=5), tmp_path / "a"
    async with connected(database) as conn:
        made, ids = await declared(conn), await four_series(conn)
        await put(conn, made, *of_all_types(ids, day))
        reached, go_on, real = asyncio.Event(), asyncio.Event(), archive_days.fence
        first = True

        async def slow(*args: Any, **more: Any) -> bool:
            nonlocal first
            if first:
                first = False
                reached.set()
                await go_on.wait()
            return await real(*args, **more)

        monkeypatch.setattr(archive_days, "fence", slow)
        suspended = asyncio.create_task(to_archive(database, root, made, day))
        await reached.wait()
        await to_archive(database, root, made, day)
        go_on.set()
        with pytest.raises(archiving.RefusedError):
            await suspended
        found = await the_day(conn, day)
        assert found.state == "verified"
        assert (await keeping.verify_day(conn, Folder(root), found, site=SITE)).problems == []
        assert of_archive(root) == await of_database(conn, day)


async def test_rows_of_a_week_go_when_all_its_days_are_archived(
    database: Settings, tmp_path: Path, server_kind: str
) -> None:
    root = tmp_path / "a"
    async with connected(database) as conn:
        made, number = await declared(conn, keep=40), await series(conn)
        # A partition begins on a Monday, a chunk of TimescaleDB seven days after another since Thursday, 1970-01-01.
        first = date(2026, 1, 15) if server_kind == "timescale" else date(2026, 1, 19)
        days = [first, first + timedelta(days=2), first + timedelta(days=6)]
        await put(
            conn,
            made,
            *(a_row(number, datetime(d.year, d.month, d.day, 5, tzinfo=UTC)) for d in days),
            now=datetime(2026, 1, 27, tzinfo=UTC),
        )
        expected = await of_database(conn)
        assert await archive_days.to_archive(conn, made, until=NOW) == days
        for day in days:
            done = await upkeep(database)
            assert done.dropped == ()
            assert await of_database(conn) == expected
            await to_archive(database, root, made, day)
        await upkeep(database)
        assert await of_database(conn) == []
        assert of_archive(root) == expected


async def test_without_an_archive_retention_is_as_it_was(database: Settings) -> None:
    async with connected(database) as conn:
        made, number = await declared(conn, after=None), await series(conn)
        await put(conn, made, a_row(number, NOW - timedelta(days=5)), a_row(number, NOW - timedelta(days=300)))
        await upkeep(database, NOW + timedelta(days=20))
        if made.hypertable:  # a policy of the server does it, in its own time
            job = await conn.fetchval(
                "SELECT job_id FROM timescaledb_information.jobs WHERE hypertable_name = $1 AND proc_name = $2",
                *(made.table, "policy_retention"),
            )
            await conn.execute(f"CALL run_job({job:d})")
        assert await of_database(conn) == []
        again = await declared(conn)
        assert again.archive_after_ms == 2 * DAY_MS
        assert (await find_class(conn, "fast", site=SITE)) == again
        assert (await rows_of_day(conn, made, TODAY)).count == 0


async def test_a_site_without_an_archive_waits_for_none(database: Settings) -> None:
    async with connected(database) as conn:
        await declared(conn)
        await recording._classes(conn, SITE, {"archive.store": {"to": "/srv/a"}})
        found = await find_class(conn, "fast", site=SITE)
        assert found is not None
        assert found.archive_after_ms == 2 * DAY_MS
        await recording._classes(conn, SITE, {"archive.store": None, "retention.fast": None})
        found = await find_class(conn, "fast", site=SITE)
        assert found is not None
        assert found.archive_after_ms is None
        kept = {"keep_ms": DAY_MS, "rollups": [], "archive_after_ms": 5, "archive_keep_ms": 6}
        await recording._classes(conn, SITE, {"retention.fast": kept})
        found = await find_class(conn, "fast", site=SITE)
        assert found is not None
        assert (found.keep_ms, found.archive_after_ms, found.archive_keep_ms) == (DAY_MS, 5, 6)


async def test_an_attempt_that_fails_or_is_cancelled_leaves_no_file(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day, root = TODAY - timedelta(days=5), tmp_path / "a"
    async with connected(database) as conn:
        made, ids = await declared(conn), await four_series(conn)
        await put(conn, made, *of_all_types(ids, day))
        monkeypatch.setattr(archiving.parquet.Comparer, "ended", lambda _: False)
        with pytest.raises(NexusError) as raised:
            await to_archive(database, root, made, day)
        assert raised.value.code == "NX6484"
        assert [each for each in root.rglob("*") if each.is_file()] == []
        monkeypatch.undo()

        reached = asyncio.Event()

        async def waits(*args: Any, **more: Any) -> bool:
            reached.set()
            return bool(await asyncio.Event().wait())

        monkeypatch.setattr(archive_days, "fence", waits)
        cancelled = asyncio.create_task(to_archive(database, root, made, day))
        await reached.wait()
        assert [each for each in root.rglob("*") if each.is_file()] != []
        cancelled.cancel()
        await asyncio.wait({cancelled})
        assert cancelled.cancelled()
        assert [each for each in root.rglob("*") if each.is_file()] == []
        monkeypatch.undo()
        await to_archive(database, root, made, day)
        assert of_archive(root) == await of_database(conn, day)


async def test_a_commit_whose_answer_is_lost_keeps_the_files(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day, root, real = TODAY - timedelta(days=5), tmp_path / "a", archive_days.settle
    async with connected(database) as conn:
        made, ids = await declared(conn), await four_series(conn)
        await put(conn, made, *of_all_types(ids, day))
        expected = await of_database(conn, day)

        async def lost(own: Connection, **more: Any) -> None:
            await real(own, **more)
            await own.execute("COMMIT")
            await conn.execute("SELECT pg_terminate_backend($1)", own.get_server_pid())
            await own.execute("SELECT 1")

        monkeypatch.setattr(archive_days, "settle", lost)
        with pytest.raises(Exception, match=r"terminat|closed|connection"):
            await to_archive(database, root, made, day)
        found = await the_day(conn, day)
        assert found.state == "verified"
        assert (await keeping.verify_day(conn, Folder(root), found, site=SITE)).problems == []
        await upkeep(database, NOW + timedelta(days=8))
        assert await of_database(conn, day) == []
        assert of_archive(root) == expected
