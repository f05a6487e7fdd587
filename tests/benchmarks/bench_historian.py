"""The historian's path from frames to committed rows, beside bare binary COPY into the same table on the same server."""

from __future__ import annotations

import asyncio
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from nexus_cli.database import migrate
from nexus_cli.database.class_table import DAY_MS, table_name
from nexus_cli.database.connect import connection, open_connection
from nexus_cli.database.copy import PLAIN_COLUMNS, copy_rows, pack_plain
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.sample_class import ensure_class
from nexus_cli.database.samples import SampleTables
from nexus_cli.database.series import sync_series
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.historian.batch import Batch, Packer
from nexus_cli.runtime.historian.historian import Historian
from nexus_cli.runtime.historian.mapping import SeriesMap
from nexus_cli.settings import Settings
from nexus_cli.wire.client import Message
from nexus_cli.wire.frame import Frame, decode_frame, encode
from nexus_cli.wire.topic import Topics
from tests.benchmarks.figures import Figure
from tests.postgres import TIMESCALE_URL, EmbeddedPostgres, TimescaleServer, new_database, settings_for

DEVICES, TAGS, FRAMES = 50, 100, 10_000
POINTS = FRAMES * TAGS
BARE_BATCHES = (5_000, 20_000)
RUNS = 3
TOPICS = Topics("acme", "chicago")
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
    """Devices with numbers only."""
    tags = {f"value-{number}": TagConfig(type="float32", published_type="float32") for number in range(TAGS)}
    paths = [f"area/line/device-{number}" for number in range(DEVICES)]
    return {path: DeviceConfig(path=path, protocol="modbus", gateway="gw-1", tags=tags) for path in paths}


def messages(devices: list[str], *, epoch: str, start_us: int) -> list[Message]:
    """Encoded frames of 100 points, a millisecond apart."""
    numbers = np.random.default_rng(1).normal(20.0, 5.0, size=(64, TAGS)).astype(np.float32).astype(float).tolist()
    names = [f"value-{number}" for number in range(TAGS)]
    made = []
    for seq in range(1, FRAMES + 1):
        device = devices[seq % len(devices)]
        samples = dict(zip(names, numbers[seq % 64], strict=True))
        payload = encode(Frame(epoch=epoch, seq=seq, time=start_us + seq * 1000, samples=samples))
        made.append(Message(TOPICS.data("gw-1", device), payload, 1, False))
    return made


async def bare_copy(settings: Settings, *, rows: int, start_us: int) -> float:
    """Rows a second of COPY from ready buffers, one transaction each, into the class table."""
    series = np.tile(np.arange(1, TAGS + 1, dtype=np.int32), POINTS // TAGS)
    times = np.repeat(start_us + np.arange(POINTS // TAGS, dtype=np.int64) * 1000, TAGS)
    values = np.random.default_rng(2).normal(20.0, 5.0, size=POINTS)
    spans = [slice(at, at + rows) for at in range(0, POINTS, rows)]
    buffers = [pack_plain(times[span], series[span], values[span]) for span in spans]
    conn = await open_connection(settings)
    try:
        begun = time.perf_counter()
        for buffer in buffers:
            async with conn.transaction():
                await copy_rows(
                    conn, table_name("default", site=settings.site), [buffer], columns=PLAIN_COLUMNS, schema=SCHEMA
                )
        return POINTS / (time.perf_counter() - begun)
    finally:
        await conn.close()


async def historian_path(settings: Settings, arrived: list[Message]) -> float:
    """Points a second from raw messages through decode, lookup, packing, COPY and custody to the commit."""
    role, stop = Historian(dataclasses.replace(settings, broker_url="mqtt://127.0.0.1:1")), asyncio.Event()
    inbound_queue, batcher, writer, counters = role.inbound_queue, role.batcher, role.writer, role.counters
    read, write = role.read_link, role.write_link
    ready: asyncio.Queue[Batch | None] = asyncio.Queue(2)
    await read.use(role.series.load, stop=stop)
    await read.use(role.assignments.load, stop=stop)
    for message in arrived:
        inbound_queue.put(message)
    stop_reading = asyncio.Event()
    stop_reading.set()  # ends when the intake is empty

    async def writing() -> None:
        while (batch := await ready.get()) is not None:
            work = batch
            await write.use(lambda conn: writer.store(conn, work), stop=stop)  # noqa: B023

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        group.create_task(batcher.run(ready, stop_reading), name="batcher")
        group.create_task(writing(), name="writer")
    took = time.perf_counter() - begun
    await read.close()
    await write.close()
    if counters.rows != len(arrived) * TAGS or [len(ranges) for _, ranges in role.announcer.known()] != [1]:
        raise RuntimeError(f"{counters.rows} rows of {len(arrived) * TAGS}, {counters.dead_letters} dead letters")
    return counters.rows / took


def steps(arrived: list[Message], series: SeriesMap) -> tuple[float, float]:
    """Points a second of decoding with lookup, and of packing, each alone."""
    from nexus_cli.database.committed import OutboxKey
    from nexus_cli.runtime.historian.batch import PendingFrame

    key = OutboxKey("gw-1", "bench")
    begun = time.perf_counter()
    frames = []
    for message in arrived:
        frame = decode_frame(message.payload)
        split = TOPICS.split_data(message.topic)
        frames.append(PendingFrame(key, message.topic, frame, series.plan(split[1] if split else "", frame.samples)))
    decoded = time.perf_counter()
    for at in range(0, len(frames), 50):
        Packer().pack(frames[at : at + 50])
    packed = time.perf_counter()
    return POINTS / (decoded - begun), POINTS / (packed - decoded)


async def _clear(settings: Settings) -> None:
    async with connection(settings) as conn:
        await conn.execute(f"TRUNCATE nexus.{table_name('default', site=settings.site)}, nexus.committed")
        await conn.execute("CHECKPOINT")


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
    start_us = time.time_ns() // 1000 // 3_600_000_000 * 3_600_000_000
    series = SeriesMap(site=settings.site)
    async with connection(settings) as conn:
        begun = time.perf_counter()
        await sync_series(conn, site=settings.site, devices=devices)
        minted = len(devices) * TAGS / (time.perf_counter() - begun)
        await SampleTables(site=settings.site).prepare(
            conn, "default", [start_us // 86_400_000_000], now=await conn.fetchval("SELECT now()")
        )
        await series.load(conn)
    arrived = messages(list(devices), epoch="bench", start_us=start_us)
    bare: dict[int, list[float]] = {rows: [] for rows in BARE_BATCHES}
    ours: list[float] = []
    for _ in range(RUNS):  # in turns, so that a noisy neighbour meets both
        for rows in BARE_BATCHES:
            await _clear(settings)
            bare[rows].append(await bare_copy(settings, rows=rows, start_us=start_us))
        await _clear(settings)
        ours.append(await historian_path(settings, arrived))
    stored = await _storage(settings, "plain PostgreSQL, with its index")
    decode, pack = steps(arrived, series)
    small, large = (statistics.median(bare[rows]) for rows in BARE_BATCHES)
    path = statistics.median(ours)
    fast = "historian: 1 M points, frames of 100, to committed rows"
    return [
        Figure(
            name=f"{fast} (against 5,000-row COPY)",
            value=path,
            unit="points/s",
            limit=small,
            limit_name="bare COPY",
            ratio_at_least=0.8,
            at_least=500_000,
        ),
        Figure(
            name=f"{fast} (against 20,000-row COPY)",
            value=path,
            unit="points/s",
            limit=large,
            limit_name="bare COPY",
            ratio_at_least=0.8,
        ),
        Figure(name="  of it: decode and look up, alone", value=decode, unit="points/s"),
        Figure(name="  of it: pack, alone", value=pack, unit="points/s"),
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
    await historian_path(settings, messages(list(devices), epoch="bench", start_us=start_us))
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
            settings = dataclasses.replace(settings_for(server.url, Path(folder)), site="acme/chicago")
            figures = asyncio.run(_measure(settings))
        finally:
            server.close()
        return figures + _timescale(Path(folder))


if __name__ == "__main__":
    for figure in run():
        print(figure.line())
