"""What a run sees: what the processes use while it lasts, and at its end the record, the live view and the logs."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import aiomqtt
import asyncpg
import orjson
import psutil

from nexus_cli.settings import load_settings
from tests.chaos.conduct import Life
from tests.chaos.devices import READS, WRITES
from tests.chaos.faults import Done
from tests.chaos.opcua import TICKS
from tests.chaos.parts import ChaosRuntime
from tests.chaos.site import ENTERPRISE, NAME
from tests.chaos.verdict import Gap, Handed, Row

SAMPLE_EVERY_S = 5.0
LIVE_S = 4.0
BACKENDS_S = 3.0
"""How long counting sessions may take; a server that is stopped or full has no sample."""


class Database(Protocol):
    """Where the record is."""

    password: str

    @property
    def url(self) -> str:
        """With the user, without the password."""
        ...


STEP_SLACK_US = 1_000_000
GONE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a connection raises that a fault cut, at whatever moment."""


class Usage:
    """Memory, descriptors, threads and tasks of every role, over the life of each process, and who is at the database."""

    def __init__(self, runtime: ChaosRuntime) -> None:
        self._runtime = runtime
        self._lives: dict[tuple[str, int], dict[str, list[tuple[float, float]]]] = defaultdict(
            lambda: defaultdict(list)
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Take samples until stopped."""
        while not stop.is_set():
            await asyncio.to_thread(self._sample)
            with contextlib.suppress(*GONE):
                await self._backends()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SAMPLE_EVERY_S):
                    await stop.wait()

    def _sample(self) -> None:
        now_s = time.monotonic()
        for role in self._runtime.roles:
            for pid in self._runtime.pids(role)[:1]:
                with contextlib.suppress(psutil.Error):
                    process = psutil.Process(pid)
                    life = self._lives[role, pid]
                    life["memory_mb"].append((now_s, process.memory_info().rss / 1e6))
                    life["descriptors"].append((now_s, process.num_fds()))
                    life["threads"].append((now_s, process.num_threads()))
                    writer, tasks = self._runtime.tasks(role)
                    if writer == pid:
                        life["tasks"].append((now_s, tasks))

    async def _backends(self) -> None:
        """Sessions of the run's database, this one aside; a life is the one of the server."""
        database = self._runtime.database
        async with asyncio.timeout(BACKENDS_S), _connected(database) as connection:
            number = await connection.fetchval(
                "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            )
        process = database.process
        life = self._lives["database", 0 if process is None else process.pid]
        life["backends"].append((time.monotonic(), number))

    def lives(self) -> list[Life]:
        """Every process that was seen."""
        return [Life(name=f"{role} ({pid})", samples=dict(samples)) for (role, pid), samples in self._lives.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series of the record.

    Attributes:
        path: `area/line/device/tag`, current.
        active: False once it was removed.
    """

    id: int
    path: str
    active: bool

    @property
    def device(self) -> str:
        """`area/line/device`."""
        return self.path.rpartition("/")[0]

    @property
    def tag(self) -> str:
        """Its name."""
        return self.path.rpartition("/")[2]


@dataclass(kw_only=True)
class Record:
    """What the database holds of a run, the samples aside.

    Attributes:
        commands: State by id.
        dead_letters: How many, by reason.
        outcomes: Of every deployment, in their order.
    """

    series: list[Series]
    gaps: list[Gap]
    commands: dict[str, str]
    dead_letters: Counter[str]
    outcomes: list[str]
    rows: int = 0


_US = "(extract(epoch from {}) * 1000000)::bigint"


async def read_record(database: Database) -> Record:
    """Everything but the samples."""
    async with _connected(database) as connection:
        series = await connection.fetch("select id, path, active from nexus.series order by path")
        gaps = await connection.fetch(
            f"select gateway, device, {_US.format('start')} as start, {_US.format(chr(34) + 'end' + chr(34))} as until,"
            " reason from nexus.gap order by 3"
        )
        commands = await connection.fetch("select id, state from nexus.command")
        letters = await connection.fetch("select reason, sum(count)::int as number from nexus.dead_letter group by 1")
        deployments = await connection.fetch("select outcome from nexus.deployment order by number")
    return Record(
        series=[Series(id=one["id"], path=one["path"], active=one["active"]) for one in series],
        gaps=[
            Gap(
                gateway=one["gateway"],
                device=one["device"],
                start_us=one["start"],
                end_us=one["until"],
                reason=one["reason"],
            )
            for one in gaps
        ],
        commands={one["id"]: one["state"] for one in commands},
        dead_letters=Counter({one["reason"]: one["number"] for one in letters}),
        outcomes=[one["outcome"] for one in deployments],
    )


async def read_rows(database: Database, series: list[int]) -> dict[int, list[Row]]:
    """Rows of some series, by time."""
    found: dict[int, list[Row]] = defaultdict(list)
    async with _connected(database) as connection:
        records = await connection.fetch(
            f"select series_id, {_US.format('time')} as at, value, quality from nexus.sample where series_id = any($1)"
            " order by series_id, time",
            series,
        )
    for one in records:
        number = None if one["value"] is None else int(one["value"])
        found[one["series_id"]].append(Row(time_us=one["at"], number=number, quality=one["quality"]))
    return found


async def newest(database: Database) -> dict[str, tuple[int, int | None]]:
    """Time and value of the newest row by path, of active series."""
    async with _connected(database) as connection:
        records = await connection.fetch(
            f"select s.path, {_US.format('x.time')} as at, x.value from nexus.series s join lateral (select time, value"
            " from nexus.sample where series_id = s.id order by time desc limit 1) x on true where s.active"
        )
    return {one["path"]: (one["at"], None if one["value"] is None else int(one["value"])) for one in records}


@contextlib.asynccontextmanager
async def _connected(database: Database) -> Any:
    connection = await asyncpg.connect(database.url, password=database.password, timeout=30, command_timeout=600)
    try:
        yield connection
    except BaseException:
        connection.terminate()  # a goodbye to a server that is stopped would wait for it
        raise
    await connection.close()


async def read_live(runtime: ChaosRuntime) -> dict[str, int | None]:
    """Retained values by path; None for BAD."""
    settings = load_settings(home=runtime.home, environ=runtime.environment("cli"))
    found: dict[str, int | None] = {}
    prefix = f"{ENTERPRISE}/{NAME}/"
    async with aiomqtt.Client(
        "127.0.0.1", runtime.guarded.port, username="nexus.cli", password=settings.broker_password
    ) as client:
        await client.subscribe(f"{prefix}#", qos=1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LIVE_S):
                async for message in client.messages:
                    if not message.payload:
                        continue
                    value = orjson.loads(message.payload)["value"]
                    found[str(message.topic).removeprefix(prefix)] = None if value is None else int(value)
    return found


Read = tuple[int, int, int, int]
"""One read of a device: time µs, count, first register, how many."""


@dataclass(kw_only=True)
class FieldLogs:
    """What the devices wrote down.

    Attributes:
        reads: By host and unit.
        writes: How often a value was written, by host, unit and value.
        ticks: Of the OPC UA server: time µs, value.
    """

    reads: dict[tuple[int, int], list[Read]] = field(default_factory=lambda: defaultdict(list))
    writes: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    ticks: list[Handed] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> FieldLogs:
        """Read the logs of a folder."""
        logs = cls()
        for at, host, unit, count, start, length in _lines(folder / READS):
            logs.reads[host, unit].append((at, count, start, length))
        for _, host, unit, _, value in _lines(folder / WRITES):
            logs.writes[host, unit, value] += 1
        logs.ticks = [Handed(time_us=at, number=number) for at, number in _lines(folder / TICKS)]
        return logs

    def handed(self, host: int, unit: int, register: int) -> list[Handed]:
        """What one register pair handed out."""
        return [
            Handed(time_us=at, number=count)
            for at, count, start, length in self.reads[host, unit]
            if start <= register < start + length
        ]


def _lines(path: Path) -> list[list[int]]:
    """Numbers of each whole line."""
    text = path.read_text() if path.exists() else ""
    return [[int(part) for part in line.split()] for line in text.splitlines(keepends=True) if line.endswith("\n")]


def process_ends(codes: Mapping[str, int | None]) -> list[str]:
    """Roles that did not end with 0 when they were asked to."""
    return [f"{role}: exit code {code}" for role, code in codes.items() if code != 0]


AGAIN = re.compile(r"(\S+)Z debug +gateway (\S+) asked again device=(\S+)")


def asked_again(folder: Path, done: Sequence[Done]) -> dict[str, list[int]]:
    """When each device was asked again, true time in µs, ascending: from the gateways' logs, whose clocks faults have set."""
    found: dict[str, list[int]] = defaultdict(list)
    for path in sorted(folder.glob("gw-*.log")):
        steps = [one for one in done if one.fault.kind == "clock" and one.fault.target == path.stem]
        for line in path.read_text(errors="replace").splitlines():
            if match := AGAIN.match(line):
                at_us = int(datetime.fromisoformat(f"{match[1]}+00:00").timestamp() * 1e6)
                found[match[3]].append(_true_us(at_us, steps))
    return {device: sorted(times) for device, times in found.items()}


def _true_us(at_us: int, steps: Sequence[Done]) -> int:
    """A time of a log whose clock was set off now and then."""
    for one in steps:
        before_us = at_us - int(float(one.fault.detail["offset_s"]) * 1e6)
        if one.begun_us - STEP_SLACK_US <= before_us <= one.ended_us + STEP_SLACK_US:
            return before_us
    return at_us
