"""External messages from the historian's queue to committed rows: single JSON values on many topics."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence

import orjson

from nexus_cli.database.class_table import table_name
from nexus_cli.database.connect import connection
from nexus_cli.database.series import sync_series
from nexus_cli.model.config import DeviceConfig, TagConfig, to_json
from nexus_cli.runtime.historian.historian import Historian
from nexus_cli.settings import Settings
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics
from tests.benchmarks.figures import Figure

MESSAGES, DEVICES, TAGS = 80_000, 20, 100
RUNS = 3
TOPICS = Topics("acme", "chicago")


async def declare_others(settings: Settings) -> None:
    """Record external devices, as an apply does."""
    tags = {f"value-{number}": TagConfig(type="float64", published_type="float64") for number in range(TAGS)}
    devices = [DeviceConfig(path=_path(number), protocol="external", tags=tags) for number in range(DEVICES)]
    async with connection(settings) as conn:
        deployment = await conn.fetchval(
            "INSERT INTO nexus.deployment (site, number, who, outcome, base_digest, desired_digest, plan) "
            "VALUES ($1, 1, 'bench', 'applied', '', '', '{}') RETURNING id",
            settings.site,
        )
        for each in devices:
            await conn.execute(
                "INSERT INTO nexus.resource (site, address, digest, attributes, deployment_id) VALUES ($1, $2, '', $3, $4)",
                *(settings.site, f"device.{each.path}", orjson.dumps(to_json(each)).decode(), deployment),
            )
        await sync_series(conn, site=settings.site, devices={each.path: each for each in devices})


def _path(number: int) -> str:
    return f"area/line/other-{number}"


def others_messages(*, start_ms: int) -> list[Message]:
    """One value a message, the topics in turn, each topic's values 100 ms apart."""
    topics = [TOPICS.tag(f"{_path(device)}/value-{tag}") for device in range(DEVICES) for tag in range(TAGS)]
    return [
        Message(
            topics[number % len(topics)],
            b'{"value": %.3f, "timestamp": %d}' % (number * 0.37 % 100, start_ms + number // len(topics) * 100),
            1,
            False,
        )
        for number in range(MESSAGES)
    ]


async def store(role: Historian, arrived: Sequence[Message]) -> tuple[float, float]:
    """Store messages over all lanes; gives seconds, and seconds of this process's CPU."""
    for message in arrived:
        role.inbound_queue.put(message)
    stopped, never = asyncio.Event(), asyncio.Event()
    stopped.set()  # ends when the intake is empty
    begun, begun_cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for lane in role.lanes:
            group.create_task(lane.run(never))
        group.create_task(role.batcher.run([lane.batches for lane in role.lanes], stopped))
    return time.perf_counter() - begun, time.process_time() - begun_cpu


async def loaded(settings: Settings) -> Historian:
    """A historian that knows its series and takes external messages, without a broker."""
    role, stop = Historian(settings), asyncio.Event()
    await role.read_link.use(role.series.load, stop=stop)
    await role.read_link.use(role.assignments.load, stop=stop)
    await role.read_link.use(role.external_topics.load, stop=stop)
    role.batcher.shared = True
    return role


async def close(role: Historian) -> None:
    """Close the connections."""
    for link in (role.read_link, *(lane.link for lane in role.lanes)):
        await link.close()


async def measure_others(settings: Settings) -> list[Figure]:
    """Messages a second and CPU a message: all new, and all stored already by an earlier process."""
    await declare_others(settings)
    arrived = others_messages(start_ms=time.time_ns() // 1_000_000 - 600_000)
    speeds: dict[bool, list[float]] = {False: [], True: []}
    costs: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(RUNS):
        async with connection(settings) as conn:
            await conn.execute(f"TRUNCATE nexus.{table_name('default', site=settings.site)}")
        for again in (False, True):
            role = await loaded(settings)
            took_s, cpu_s = await store(role, arrived)
            await close(role)
            if role.counters.rows != (0 if again else MESSAGES) or role.counters.dead_letters:
                raise RuntimeError(f"{role.counters.rows} rows of {MESSAGES}, {role.counters.dead_letters} letters")
            speeds[again].append(MESSAGES / took_s)
            costs[again].append(cpu_s / MESSAGES * 1e6)
    names = {
        False: f"historian: {MESSAGES:,} external messages on {DEVICES * TAGS:,} topics",
        True: "  all of them once more, by another process",
    }
    return [
        Figure(
            name=name,
            value=statistics.median(costs[again]),
            unit="µs CPU/message",
            at_most=None if again else 25.0,
            note=f"{statistics.median(speeds[again]):,.0f} messages/s to committed rows, without the broker",
        )
        for again, name in names.items()
    ]
