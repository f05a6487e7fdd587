"""The historian's path from frames to committed rows, beside bare binary COPY into the same table on the same server."""

from __future__ import annotations

import asyncio
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from nexus_cli.database import migrate
from nexus_cli.database.class_table import DAY_MS, table_name
from nexus_cli.database.committed import OutboxKey, RangeSet
from nexus_cli.database.connect import connection, open_connection
from nexus_cli.database.copy import PLAIN_COLUMNS, copy_rows, pack_plain
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.sample_class import ensure_class
from nexus_cli.database.samples import SampleTables
from nexus_cli.database.series import sync_series
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.historian.batch import Batch
from nexus_cli.runtime.historian.packing import Packer
from nexus_cli.settings import Settings
from nexus_cli.wire.frame import Frame, encode
from nexus_cli.wire.frame_batch import FrameColumns, Shape, decode_batch, encode_batch
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics
from tests.benchmarks.external_messages import close, loaded, measure_others, store
from tests.benchmarks.figures import Figure
from tests.postgres import TIMESCALE_URL, EmbeddedPostgres, TimescaleServer, new_database, settings_for

GATEWAYS = 4
DEVICES, TAGS = 48, 100
"""Of all gateways; each device has as many tags as the largest frames."""
POINTS = 1_000_000
FRAME_TAGS = (20, 100)
MESSAGE_BYTES = 48 * 1024
BARE_ROWS = 20_000
STEADY_ROWS, STEADY_FRAMES, STEADY_S = 20_000, 25, 10
"""A plant of 1,000 devices with 20 tags a second, its group commits in messages of 25 frames."""
RUNS = 3
TOPICS = Topics("acme", "chicago")
Make = Callable[[int, int], list[Message]]
SIZE = f"""
SELECT sum(pg_total_relation_size(c.oid)) AS whole, sum(pg_indexes_size(c.oid)) AS indexes FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = '{SCHEMA}' AND c.relkind = 'r' AND c.relname LIKE 'sample%'
"""
"""Of the samples' tables and partitions, with indexes."""
_HYPERTABLES = f"FROM timescaledb_information.hypertables WHERE hypertable_schema = '{SCHEMA}'"
SIZE_COMPRESSED = f"SELECT sum(hypertable_size(format('%I.%I', hypertable_schema, hypertable_name)::regclass)) AS whole, NULL AS indexes {_HYPERTABLES}"
COMPRESS = f"""
SELECT compress_chunk(chunk, true) FROM (SELECT format('%I.%I', hypertable_schema, hypertable_name)::regclass AS made
{_HYPERTABLES}) AS tables, show_chunks(made) AS chunk
"""


def plant() -> dict[str, DeviceConfig]:
    """Devices with numbers only, spread over the gateways."""
    tags = {f"value-{number}": TagConfig(type="float32", published_type="float32") for number in range(TAGS)}
    return {
        _path(number): DeviceConfig(path=_path(number), protocol="modbus", gateway=f"gw-{number % GATEWAYS}", tags=tags)
        for number in range(DEVICES)
    }


def _path(number: int) -> str:
    return f"area/line/device-{number}"


def _numbers(tags: int) -> list[list[float]]:
    made = np.random.default_rng(1).normal(20.0, 5.0, size=(64, tags)).astype(np.float32).astype(float)
    return [row.tolist() for row in made]


def json_frames(tags: int, start_us: int) -> list[Message]:
    """A million points as JSON frames, a millisecond apart."""
    numbers, names = _numbers(tags), [f"value-{number}" for number in range(tags)]
    made = []
    for at in range(POINTS // tags):
        frame = Frame(
            epoch="bench",
            seq=1 + at // GATEWAYS,
            time=start_us + at * 1000,
            samples=dict(zip(names, numbers[at % 64], strict=True)),
        )
        made.append(Message(TOPICS.data(f"gw-{at % GATEWAYS}", _path(at % DEVICES)), encode(frame), 1, False))
    return made


def frame_batches(tags: int, start_us: int, *, size: int = 0) -> list[Message]:
    """The same as frame batches; messages of the gateways take turns."""
    rows = [np.array(row, dtype="<f8").tobytes() for row in _numbers(tags)]
    shapes = [Shape(_path(number), [f"value-{tag}" for tag in range(tags)]) for number in range(DEVICES)]
    size = size or max(1, MESSAGE_BYTES // (8 * tags + 12))
    by_gateway: list[list[Message]] = []
    for gateway in range(GATEWAYS):
        frames = [
            FrameColumns(shapes[at % DEVICES], start_us + at * 1000, b"", rows[at % 64])
            for at in range(gateway, POINTS // tags, GATEWAYS)
        ]
        topic = TOPICS.batches(f"gw-{gateway}")
        by_gateway.append(
            [
                Message(topic, encode_batch(frames[at : at + size], epoch="bench", seq=1 + at), 1, False)
                for at in range(0, len(frames), size)
            ]
        )
    return [message for turn in zip(*by_gateway, strict=True) for message in turn]


async def bare_copy(settings: Settings, *, start_us: int) -> float:
    """Rows a second of COPY from ready buffers, one transaction each, into the class table."""
    series = np.tile(np.arange(1, TAGS + 1, dtype=np.int32), POINTS // TAGS)
    times = np.repeat(start_us + np.arange(POINTS // TAGS, dtype=np.int64) * 1000, TAGS)
    values = np.random.default_rng(2).normal(20.0, 5.0, size=POINTS)
    spans = [slice(at, at + BARE_ROWS) for at in range(0, POINTS, BARE_ROWS)]
    buffers = [pack_plain(times[span], series[span], values[span]) for span in spans]
    table = table_name("default", site=settings.site)
    conn = await open_connection(settings)
    try:
        begun = time.perf_counter()
        for buffer in buffers:
            async with conn.transaction():
                await copy_rows(conn, table, [buffer], columns=PLAIN_COLUMNS, schema=SCHEMA)
        return POINTS / (time.perf_counter() - begun)
    finally:
        await conn.close()


async def historian_path(
    settings: Settings, arrived: Sequence[Message], *, rows: int, writers: int
) -> tuple[float, float]:
    """Rows a second, and µs of this process's CPU for one, from raw messages through decode, lookup, packing, COPY and
    custody to the commit."""
    role = await loaded(dataclasses.replace(settings, historian_writers=writers))
    took_s, cpu_s = await store(role, arrived)
    await close(role)
    if role.counters.rows != rows or role.counters.dead_letters:
        raise RuntimeError(f"{role.counters.rows} rows of {rows}, {role.counters.dead_letters} dead letters")
    return rows / took_s, cpu_s / rows * 1e6


async def delays(settings: Settings, arrived: Sequence[Message]) -> list[float]:
    """Milliseconds from a message's arrival to its committed rows, at `STEADY_ROWS` rows a second."""
    role, never, stop = await loaded(settings), asyncio.Event(), asyncio.Event()
    put_s: dict[tuple[str, int], float] = {}
    found: list[float] = []

    def note(key: OutboxKey, _ranges: RangeSet, seqs: Iterable[int]) -> None:
        now_s = time.perf_counter()
        found.extend((now_s - put_s[key.gateway, seq]) * 1e3 for seq in seqs if (key.gateway, seq) in put_s)

    for lane in role.lanes:
        lane.writer._on_committed = note
    async with asyncio.TaskGroup() as group:
        for lane in role.lanes:
            group.create_task(lane.run(never))
        group.create_task(role.batcher.run([lane.batches for lane in role.lanes], stop))
        begun_s, rows = time.perf_counter(), 0
        for message in arrived:
            batch = decode_batch(message.payload)
            rows += len(batch.values) // 8
            await asyncio.sleep(max(0.0, begun_s + rows / STEADY_ROWS - time.perf_counter()))
            put_s[message.topic.rpartition("/")[2], batch.last_seq] = time.perf_counter()
            role.inbound_queue.put(message)
        stop.set()
    await close(role)
    return found


async def steps(settings: Settings, arrived: Sequence[Message]) -> tuple[float, float]:
    """Points a second of decoding with lookup, and of packing, each alone, by CPU time."""
    role = await loaded(dataclasses.replace(settings, historian_writers=1))
    decoding = packing = 0.0
    batch = Batch()
    for message in arrived:
        begun = time.process_time()
        role.batcher._reader.take(batch, message, final=True)
        decoded = time.process_time()
        decoding += decoded - begun
        if batch.points >= BARE_ROWS:
            Packer().pack(batch.frames)
            packing += time.process_time() - decoded
            batch = Batch()
    await close(role)
    return POINTS / decoding, POINTS / packing


async def _clear(settings: Settings) -> None:
    async with connection(settings) as conn:
        await conn.execute(f"TRUNCATE nexus.{table_name('default', site=settings.site)}, nexus.committed")
        await conn.execute("CHECKPOINT")


async def _paths(settings: Settings, start_us: int) -> list[Figure]:
    """The whole path in every form, in turns with bare COPY, so that a noisy neighbour meets both."""
    ways: list[tuple[str, Make, int, int]] = [
        ("JSON frames of 100 tags", json_frames, 100, 2),
        *((f"frame batches, {tags} tags", frame_batches, tags, 2) for tags in FRAME_TAGS),
        ("frame batches, 20 tags, 1 connection", frame_batches, 20, 1),
    ]
    ratios: dict[str, list[float]] = {name: [] for name, *_ in ways}
    speeds: dict[str, list[float]] = {name: [] for name, *_ in ways}
    costs: dict[str, list[float]] = {name: [] for name, *_ in ways}
    bare: list[float] = []
    for _ in range(RUNS):
        for name, make, tags, writers in ways:
            arrived = make(tags, start_us)
            await _clear(settings)
            limit = await bare_copy(settings, start_us=start_us)
            await _clear(settings)
            speed, cost = await historian_path(settings, arrived, rows=POINTS, writers=writers)
            costs[name].append(cost)
            bare.append(limit)
            speeds[name].append(speed)
            ratios[name].append(speed / limit)
    return [
        Figure(
            name=f"historian: 1 M points to committed rows, {name}",
            value=statistics.median(speeds[name]),
            unit="points/s",
            limit=statistics.median(bare),
            limit_name="bare COPY",
            ratio_at_least=0.9 if make is frame_batches else 0.8,
            note=f"in turns {statistics.median(ratios[name]):.2f} x; {statistics.median(costs[name]):.2f} µs CPU/point",
        )
        for name, make, *_ in ways
    ]


async def _parts(settings: Settings, start_us: int) -> list[Figure]:
    made = []
    for name, make, tags in (
        ("JSON frames of 100 tags", json_frames, 100),
        *((f"frame batches, {tags} tags", frame_batches, tags) for tags in FRAME_TAGS),
    ):
        decode, pack = await steps(settings, make(tags, start_us))
        both = 1 / (1 / decode + 1 / pack)
        goal = 2_000_000 if make is frame_batches else None
        made.append(
            Figure(
                name=f"  of it: decode, look up and pack, {name}",
                value=both,
                unit="points/s",
                at_least=goal,
                note=f"decode and look up {decode:,.0f}, pack {pack:,.0f}",
            )
        )
    return made


async def _delay(settings: Settings, start_us: int) -> Figure:
    arrived = frame_batches(20, start_us, size=STEADY_FRAMES)[: STEADY_S * STEADY_ROWS // (20 * STEADY_FRAMES)]
    await _clear(settings)
    found = await delays(settings, arrived)
    percentiles = statistics.quantiles(found, n=100)
    return Figure(
        name=f"historian: a message's arrival to its committed rows, p99, {STEADY_ROWS:,} rows/s",
        value=percentiles[98],
        unit="ms",
        at_most=250.0,
        note=f"p50 {percentiles[49]:.0f}, worst {max(found):.0f}",
    )


async def _storage(settings: Settings, where: str, *, compress: bool = False) -> Figure:
    """Bytes on disk of what the historian stored last, with indexes, by sample."""
    async with connection(settings) as conn:
        if compress:
            await conn.execute(COMPRESS)
        await conn.execute("CHECKPOINT")
        size = await conn.fetchrow(SIZE_COMPRESSED if compress else SIZE)
        rows = int(await conn.fetchval(f"SELECT count(*) FROM {SCHEMA}.sample"))
    note = f"{rows:,} samples" + (f"; {int(size['indexes']) / rows:.1f} B of it indexes" if size["indexes"] else "")
    return Figure(name=f"bytes a stored sample, {where}", value=int(size["whole"]) / rows, unit="B", note=note)


async def _measure(settings: Settings) -> list[Figure]:
    await migrate.upgrade(settings)
    devices = plant()
    start_us = time.time_ns() // 1000 // 3_600_000_000 * 3_600_000_000 - 3_600_000_000
    async with connection(settings) as conn:
        begun = time.perf_counter()
        await sync_series(conn, site=settings.site, devices=devices)
        minted = len(devices) * TAGS / (time.perf_counter() - begun)
        await SampleTables(site=settings.site).prepare(
            conn, "default", [start_us // 86_400_000_000], now=await conn.fetchval("SELECT now()")
        )
    paths = await _paths(settings, start_us)
    stored = await _storage(settings, "plain PostgreSQL, with its index")
    return [
        *paths,
        *await _parts(settings, start_us),
        await _delay(settings, start_us),
        *await measure_others(settings),
        Figure(name="series minted", value=minted, unit="series/s", at_least=20_500),
        stored,
    ]


async def _compressed(settings: Settings) -> Figure:
    """The same samples in a TimescaleDB, every chunk compressed."""
    await migrate.upgrade(settings)
    devices = plant()
    async with connection(settings) as conn:
        await ensure_class(conn, site=settings.site, name="default", keep_ms=365 * DAY_MS, compress_after_ms=DAY_MS)
        await sync_series(conn, site=settings.site, devices=devices)
    start_us = time.time_ns() // 1000 // 3_600_000_000 * 3_600_000_000
    await historian_path(settings, frame_batches(20, start_us), rows=POINTS, writers=2)
    return await _storage(settings, "TimescaleDB, compressed", compress=True)


def _timescale(home: Path) -> list[Figure]:
    server = TimescaleServer()
    if not server.url:
        print(f"   SKIPPED, bytes a sample in TimescaleDB: {TIMESCALE_URL} names none", flush=True)
        return []
    with new_database(server, home) as settings:
        return [asyncio.run(_compressed(settings))]


def run() -> list[Figure]:
    """Measure on a PostgreSQL of our own, and the storage on a TimescaleDB where one is named."""
    server = EmbeddedPostgres()
    with tempfile.TemporaryDirectory() as folder:
        try:
            server.start()
            settings = dataclasses.replace(
                settings_for(server.url, Path(folder)), site="acme/chicago", broker_url="mqtt://127.0.0.1:1"
            )
            figures = asyncio.run(_measure(settings))
        finally:
            server.close()
        return figures + _timescale(Path(folder))


if __name__ == "__main__":
    for figure in run():
        print(figure.line())
