"""What only a real TimescaleDB shows: policies with the right ages, late data in compressed chunks, rollups over them."""

from __future__ import annotations

import asyncio
import random
import re
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import numpy as np
import pytest

from nexus_cli.database.class_table import DAY_MS, SampleClass
from nexus_cli.database.connect import Connection, connection
from nexus_cli.database.copy import PLAIN_COLUMNS, pack_plain
from nexus_cli.database.retention import keep_up
from nexus_cli.database.sample_class import ensure_class
from nexus_cli.database.samples import copy_staged
from nexus_cli.history.document import Bucket
from nexus_cli.project.history import history
from nexus_cli.settings import Settings
from tests.integration.historian_rig import DEVICE, SmallOutbox, declare, device, historian, outbox_settings, query
from tests.postgres import SITE
from tests.servers import TestBroker

pytestmark = [pytest.mark.needs_database]
NOW = datetime.now(UTC).replace(second=0, microsecond=0)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LONG_S = 120.0


@pytest.fixture
def server_kind() -> str:
    """These need a TimescaleDB."""
    return "timescale"


async def policies(conn: Connection, made: SampleClass) -> dict[str, timedelta]:
    """Ages by the policy's name."""
    rows = await conn.fetch(
        "SELECT proc_name, coalesce(config->>'drop_after', config->>'compress_after')::interval AS age"
        " FROM timescaledb_information.jobs WHERE hypertable_schema = 'nexus' AND hypertable_name = $1",
        made.table,
    )
    return {row["proc_name"]: row["age"] for row in rows}


async def test_policies_say_what_the_class_says(database: Settings) -> None:
    async with connection(database) as conn:
        made = await ensure_class(conn, "process", site=SITE, keep_ms=40 * DAY_MS, compress_after_ms=7 * DAY_MS)
        both = {"policy_retention": timedelta(days=40), "policy_compression": timedelta(days=7)}
        assert await policies(conn, made) == both
        jobs = "SELECT job_id FROM timescaledb_information.jobs WHERE hypertable_name = $1 ORDER BY 1"
        before = await conn.fetch(jobs, made.table)
        await ensure_class(conn, "process", site=SITE, keep_ms=40 * DAY_MS, compress_after_ms=7 * DAY_MS)
        assert await conn.fetch(jobs, made.table) == before  # the same again keeps the jobs and their schedule
        await ensure_class(conn, "process", site=SITE, keep_ms=400 * DAY_MS, compress_after_ms=3 * DAY_MS)
        changed = {"policy_retention": timedelta(days=400), "policy_compression": timedelta(days=3)}
        assert await policies(conn, made) == changed
        await ensure_class(conn, "process", site=SITE, keep_ms=400 * DAY_MS)
        assert await policies(conn, made) == {"policy_retention": timedelta(days=400)}
        await ensure_class(conn, "process", site=SITE, keep_ms=400 * DAY_MS, compress_after_ms=9 * DAY_MS)
        assert (await policies(conn, made))["policy_compression"] == timedelta(days=9)


async def test_upkeep_puts_policies_right_that_an_earlier_version_left(database: Settings) -> None:
    async with connection(database) as conn:
        made = await ensure_class(conn, "process", site=SITE, keep_ms=40 * DAY_MS, compress_after_ms=7 * DAY_MS)
        await conn.execute("UPDATE nexus.retention_class SET compress_after_ms = NULL, keep_ms = $1", 50 * DAY_MS)
        done = await keep_up(conn, site=SITE, now=NOW)
        assert done is not None
        assert done.postponed == ()
        assert await policies(conn, made) == {"policy_retention": timedelta(days=50)}


async def fill(conn: Connection, made: SampleClass, *, series_id: int, days: int, step_s: float) -> None:
    """A row every `step_s` over the last days, value = its number; what is older than two days is compressed."""
    await conn.execute(
        f'INSERT INTO nexus."{made.table}" (time, series_id, value, quality)'
        " SELECT $1::timestamptz - make_interval(days => $2) + make_interval(secs => n * $3::float8), $4, n, 192"
        " FROM generate_series(0, (86400 * $2 / $3)::int - 1) n",
        *(NOW, days, step_s, series_id),
    )
    await conn.execute(
        "SELECT compress_chunk(c, if_not_compressed => true) FROM show_chunks($1::text::regclass,"
        " older_than => $2::timestamptz) c",
        *(f"nexus.{made.table}", NOW - timedelta(days=2)),
    )


async def one_class(conn: Connection, *, keep_days: int = 400) -> tuple[SampleClass, int]:
    """The class of the rig's tag `a`, ready to be compressed, and the tag's series."""
    made = await ensure_class(
        conn, "default", site=SITE, keep_ms=keep_days * DAY_MS, compress_after_ms=(keep_days - 1) * DAY_MS
    )
    ident: int = await conn.fetchval("SELECT id FROM nexus.series WHERE path = $1", f"{DEVICE}/a")
    return made, ident


async def staged(conn: Connection, made: SampleClass, rows: list[tuple[datetime, int, float]]) -> tuple[int, int]:
    """Store rows the careful way; gives how many were new, and how many conflicts there were."""
    times = np.array([(moment - EPOCH) // MICROSECOND for moment, _, _ in rows], dtype=np.int64)
    series = np.array([ident for _, ident, _ in rows], dtype=np.int32)
    values = np.array([value for _, _, value in rows])
    async with conn.transaction():
        inserted, conflicts = await copy_staged(conn, made, [pack_plain(times, series, values)], PLAIN_COLUMNS)
    return inserted, len(conflicts)


async def test_new_rows_touch_no_compressed_chunk_however_long_the_history(database: Settings) -> None:
    """The plan is what counts, not the time: of all chunks a batch of today reads its own, and decompresses none."""
    await declare(database, device(a="float64"))
    async with connection(database) as conn:
        made, ident = await one_class(conn, keep_days=30)  # a chunk a day
        await fill(conn, made, series_id=ident, days=29, step_s=60.0)
        try:
            await conn.execute("LOAD 'auto_explain'")
        except asyncpg.UndefinedFileError:
            pytest.skip("this TimescaleDB server has no auto_explain")
        await conn.execute("SET auto_explain.log_min_duration = 0")
        await conn.execute("SET auto_explain.log_analyze = true")
        await conn.execute("SET client_min_messages = 'log'")
        plans: list[str] = []
        conn.add_log_listener(lambda _, message: plans.append(str(message)))
        moments = [NOW + timedelta(milliseconds=number) for number in range(50)]
        rows = [(moment, ident, 1.0) for moment in moments]
        assert await staged(conn, made, rows) == (50, 0)
        assert await staged(conn, made, rows) == (0, 0)
        assert await staged(conn, made, [(moments[0], ident, 2.0), (NOW + timedelta(hours=1), ident, 1.0)]) == (1, 1)
        compared = [plan for plan in plans if "IS DISTINCT FROM" in plan]
        assert len(compared) == 2
        assert [len(set(re.findall(r"_hyper_\d+_\d+_chunk", plan))) for plan in compared] == [1, 1]


async def test_late_rows_and_doubles_in_compressed_chunks(database: Settings) -> None:
    await declare(database, device(a="float64"))
    async with connection(database) as conn:
        made, ident = await one_class(conn)
        await fill(conn, made, series_id=ident, days=40, step_s=30.0)
        start = NOW - timedelta(days=40)
        pick = random.Random(5)
        numbers = pick.sample(range(20 * 2880), 2000)
        doubles = [(start + timedelta(seconds=30.0 * number), ident, float(number)) for number in numbers[:800]]
        wrong = [(start + timedelta(seconds=30.0 * number), ident, -1.0) for number in numbers[800:900]]
        late = [(start + timedelta(seconds=30.0 * number + 7), ident, -2.0) for number in numbers[900:]]
        mixed = doubles + wrong + late
        pick.shuffle(mixed)
        assert await staged(conn, made, mixed) == (len(late), len(wrong))
        assert await staged(conn, made, mixed) == (0, len(wrong))
        assert await conn.fetchval("SELECT count(*) FROM nexus.sample") == 40 * 2880 + len(late)
        assert await conn.fetchval("SELECT count(*) FROM nexus.sample WHERE value = -1") == 0


@pytest.mark.needs_broker
async def test_late_frames_under_load_while_chunks_are_compressed(database: Settings, broker: TestBroker) -> None:
    """The gateway that read the device before brings its backlog of days while the one that reads it now goes on, and the
    server compresses what they write into."""
    await declare(database, msgspec.structs.replace(device(a="float64"), gateway="gw-2"))
    await declare(database, device(a="float64"))
    async with connection(database) as conn:
        made, ident = await one_class(conn, keep_days=30)
        await fill(conn, made, series_id=ident, days=12, step_s=60.0)
    now_us = (NOW - EPOCH) // MICROSECOND
    live = SmallOutbox(outbox_settings(broker), window=400)
    back = SmallOutbox(outbox_settings(broker), gateway="gw-2", epoch="B1", window=400)
    days = list(range(1, 12)) * 60
    random.Random(3).shuffle(days)
    for seq, day in enumerate(days, start=1):
        back.frame(seq, {"a": -1.0}, time=now_us - day * DAY_MS * 1000 + seq * 1_000_000 + 500)
    ended = asyncio.Event()

    async def compresses() -> None:
        async with connection(database) as conn:
            while not ended.is_set():
                chunks = await conn.fetch("SELECT c::text AS name FROM show_chunks($1::text::regclass) c", _name(made))
                for chunk in chunks[:-2]:
                    await conn.execute("SELECT compress_chunk($1::text::regclass, true, true)", chunk["name"])
                await asyncio.sleep(0.2)

    async def goes_on() -> None:
        for seq in range(1, 1501):
            live.frame(seq, {"a": float(seq)}, time=now_us + seq * 1000)
            if seq % 20 == 0:
                await asyncio.sleep(0.02)

    async with historian(database, broker) as role, live.running(), back.running(), asyncio.TaskGroup() as group:
        compressing = group.create_task(compresses())
        feeding = group.create_task(goes_on())
        await feeding
        await live.drained(deadline_s=LONG_S)
        await back.drained(deadline_s=LONG_S)
        ended.set()
        await compressing
        assert role.ready() == (True, "")
    found = (await query(database, "SELECT count(*), count(DISTINCT (series_id, time)) FROM nexus.sample"))[0]
    assert (found[0], found[1]) == (12 * 1440 + 1500 + len(days),) * 2
    assert await query(database, "SELECT * FROM nexus.dead_letter") == []


def _name(made: SampleClass) -> str:
    return f"nexus.{made.table}"


async def test_rollups_are_the_same_over_compressed_and_plain_chunks(database: Settings) -> None:
    await declare(database, device(a="float64"))

    async def buckets() -> list[Bucket]:
        shown = await history(f"{DEVICE}/a", since="480h", every="6h", settings=database)
        return [bucket for bucket in shown.buckets if datetime.fromisoformat(bucket.time) < NOW - timedelta(days=1)]

    async with connection(database) as conn:
        made, ident = await one_class(conn)
        await fill(conn, made, series_id=ident, days=19, step_s=600.0)
        compressed = await buckets()
        await conn.execute("SELECT decompress_chunk(c, true) FROM show_chunks($1::text::regclass) c", _name(made))
        plain = await buckets()
    assert compressed == plain
    whole = [sample for sample in plain if sample.count == 36]
    assert len(whole) >= 60
    first = next(sample for sample in whole if sample.value is not None)
    number = (datetime.fromisoformat(first.time) - (NOW - timedelta(days=19))) / timedelta(seconds=600)
    assert first.value == pytest.approx(np.ceil(number) + 17.5, abs=1.0)
