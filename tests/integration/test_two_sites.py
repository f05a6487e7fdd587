"""Two sites in one database, with equal names for everything: whatever one does, the other's rows, tables and policies
stay as they are, byte for byte."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from nexus_cli.database import alert_states, commands, deployments, gaps, lease, sequences
from nexus_cli.database.class_table import DAY_MS
from nexus_cli.database.committed import OutboxKey, load_custody, prune_epochs, replace_custody
from nexus_cli.database.connect import Connection, Pool, connection, open_pool
from nexus_cli.database.copy import PLAIN_COLUMNS, pack_plain
from nexus_cli.database.loss import add_dead_letter, add_gap
from nexus_cli.database.recording import record
from nexus_cli.database.retention import keep_up
from nexus_cli.database.sample_class import ensure_class, load_classes
from nexus_cli.database.samples import SampleTables, copy_staged
from nexus_cli.database.series import sync_series
from nexus_cli.database.timescale import has_timescale
from nexus_cli.database.turn import take_turn
from nexus_cli.model.config import DeviceConfig, TagConfig, to_json
from nexus_cli.project.history import history
from nexus_cli.settings import Settings
from nexus_cli.wire.alert import Alert, AlertEvent
from nexus_cli.wire.control_sequences import RunEnd
from nexus_cli.wire.frame import GapReason

pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]
HERE, THERE = "acme/chicago", "acme/dallas"
PATH = "packaging/line-1/filler"
NOW = datetime.now(UTC).replace(microsecond=0)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AGES = (0, 1, 3, 20, 100)
CLASSES = ("process", "fast.2", "fast-2")
KEYED = (
    *(
        "alert",
        "alert_change",
        "assignment",
        "audit",
        "command",
        "committed",
        "dead_letter",
        "deployment",
        "gap",
        "lease",
        "resource",
    ),
    *("retention_class", "sequence_run", "sequence_step", "series", "turn"),
)


def device(*, names: tuple[str, ...] = ("a", "b"), retention: str = "process", kind: str = "float64") -> DeviceConfig:
    tags = {name: TagConfig(type=kind, published_type=kind, retention=retention) for name in names}
    return DeviceConfig(path=PATH, protocol="modbus", gateway="gw-1", tags=tags)


async def found(conn: Connection, site: str) -> dict[str, Any]:
    """Everything that the database holds of a site."""
    seen: dict[str, Any] = {}
    for table in KEYED:
        rows = await conn.fetch(f"SELECT t::text AS row FROM nexus.{table} t WHERE site = $1 ORDER BY 1", site)
        seen[table] = [row["row"] for row in rows]
    seen["journal"] = [
        row["row"]
        for row in await conn.fetch(
            "SELECT j::text AS row FROM nexus.journal j JOIN nexus.deployment d ON d.id = deployment_id"
            " WHERE d.site = $1 ORDER BY 1",
            site,
        )
    ]
    policies = await has_timescale(conn)
    for name, made in (await load_classes(conn, site=site)).items():
        for table in [made.table] if made.hypertable else [made.table, made.rest]:
            rows = await conn.fetch(f'SELECT t::text AS row FROM nexus."{table}" t ORDER BY 1')
            seen[f"samples of {name}, {table}"] = [row["row"] for row in rows]
        rows = await conn.fetch(
            "SELECT inhrelid::regclass::text AS part FROM pg_inherits WHERE inhparent = $1::text::regclass ORDER BY 1",
            f'nexus."{made.table}"',
        )
        seen[f"parts of {name}"] = [row["part"] for row in rows]
        if policies:
            rows = await conn.fetch(
                "SELECT job_id, proc_name, schedule_interval, config::text, next_start FROM timescaledb_information.jobs"
                " WHERE hypertable_schema = 'nexus' AND hypertable_name = $1 ORDER BY job_id",
                made.table,
            )
            seen[f"policies of {name}"] = [(row["job_id"], row["proc_name"], row["config"]) for row in rows]
    seen["in the view"] = await conn.fetchval(
        "SELECT count(*) FROM nexus.sample JOIN nexus.series s ON s.id = series_id WHERE s.site = $1", site
    )
    return seen


class Site:
    """What the roles of a site do to the database, one thing at a time."""

    def __init__(self, conn: Connection, pool: Pool, site: str, pick: random.Random) -> None:
        self.conn, self.pool, self.site, self.pick = conn, pool, site, pick
        self.number = 0

    def steps(self) -> list[Callable[[], Awaitable[Any]]]:
        return [self.classes, self.recorded, self.series, self.samples, self.upkeep, self.custody, self.lost, self.acts]

    async def classes(self) -> None:
        """A class is declared, or declared anew."""
        await ensure_class(
            self.conn,
            self.pick.choice(CLASSES),
            site=self.site,
            keep_ms=self.pick.choice((2, 30, 60, 900)) * DAY_MS,
            compress_after_ms=self.pick.choice((None, DAY_MS)),
        )

    async def recorded(self) -> None:
        """A deployment, as control carries it out."""
        self.number += 1
        token = f"token {self.number}"
        assert await lease.acquire(self.conn, self.site, owner="me", reason="", token=token, ttl_s=3600.0)
        ident, _ = await deployments.begin_deployment(
            self.conn, self.site, who="me", reason="", base="", desired="", plan={}
        )
        keep_ms = self.pick.choice((3, 40, 500)) * DAY_MS
        await record(
            self.pool,
            self.site,
            deployment_id=ident,
            token=token,
            changed={
                f"device.{PATH}": to_json(device()),
                "retention.process": {"keep_ms": keep_ms, "compress_after_ms": None, "rollups": []},
                "alert.hot": None,
            },
            digests={f"device.{PATH}": "d", "retention.process": "r"},
            moved=[],
        )
        await deployments.end_deployment(self.conn, ident, outcome="applied", summary={})
        await lease.release(self.conn, self.site, token=token)

    async def series(self) -> None:
        """Tags come, go, change their type, their class and their name."""
        what = self.pick.randrange(3)
        if what == 0:
            await sync_series(self.conn, site=self.site, devices={PATH: device(retention=self.pick.choice(CLASSES))})
        elif what == 1:
            await sync_series(self.conn, site=self.site, devices={PATH: device(names=("a",), kind="int32")})
        else:
            swapped = [(f"{PATH}/a", f"{PATH}/b"), (f"{PATH}/b", f"{PATH}/a")]
            await sync_series(self.conn, site=self.site, devices={PATH: device()}, moved=swapped)

    async def samples(self) -> None:
        """Rows of all ages arrive, some of them again."""
        tables = SampleTables(site=self.site)
        ids = [row["id"] for row in await self.conn.fetch("SELECT id FROM nexus.series WHERE site = $1", self.site)]
        for name in await load_classes(self.conn, site=self.site):
            made = await tables.table(self.conn, name)
            moments = [NOW - timedelta(days=age, seconds=self.pick.randrange(5)) for age in AGES]
            await tables.prepare(self.conn, name, [(moment - EPOCH).days for moment in moments], now=NOW)
            times = np.array([(moment - EPOCH) // timedelta(microseconds=1) for moment in moments], dtype=np.int64)
            for ident in ids:
                rows = pack_plain(times, np.full(len(AGES), ident, dtype=np.int32), np.ones(len(AGES)))
                async with self.conn.transaction():
                    await copy_staged(self.conn, made, [rows], PLAIN_COLUMNS)

    async def upkeep(self) -> None:
        """The hourly round; years later, too."""
        later = NOW + timedelta(days=self.pick.choice((0, 1, 50, 2000)))
        assert await keep_up(self.conn, site=self.site, now=later) is not None
        await prune_epochs(self.conn, site=self.site, older_than_days=0)

    async def custody(self) -> None:
        """Frames of the gateway are stored, and an old outbox is forgotten."""
        keys = [OutboxKey("gw-1", "E1"), OutboxKey("gw-1", "E2")]
        stored = await load_custody(self.conn, site=self.site, keys=keys)
        self.number += 1
        key = keys[self.number % 2]
        new = stored[key].copy()
        new.ranges.add_range(1, self.number)
        new.times.add([(self.number, self.number * 1_000_000)])
        assert await replace_custody(self.conn, site=self.site, expected={key: stored[key]}, new={key: new})
        await take_turn(self.conn, site=self.site, work="others", owner=str(self.number), ttl_s=self.number % 2)

    async def lost(self) -> None:
        """What was not stored, on record."""
        await add_dead_letter(
            self.conn, site=self.site, topic="t", reason="r", detail="d", payload="p", count=self.pick.randrange(9) + 1
        )
        await add_gap(self.conn, site=self.site, gateway="gw-1", start_us=1, end_us=3, reason="overflow")
        await gaps.open_gaps(self.conn, self.site, "gw-1", [PATH], start_us=5, reason=GapReason.GATEWAY_LOST)
        opened = await gaps.load_open(self.conn, self.site)
        await gaps.close_at(self.conn, opened, end_us=9)
        await gaps.drop(self.conn, opened)

    async def acts(self) -> None:
        """Alerts, commands, sequences, the lease broken."""
        self.number += 1
        alert = Alert(
            name="hot",
            state="active",
            since=self.number,
            value=1,
            severity="high",
            tag=f"{PATH}/a",
            description="",
            acknowledged_by="",
        )
        event = AlertEvent(kind="active", at=self.number, state="active")
        await alert_states.write(self.conn, self.site, alert, pending=None, event=event)
        if self.number % 3 == 0:
            await alert_states.delete(self.conn, self.site, ["hot"])
        await commands.add_command(
            self.conn,
            self.site,
            command_id="c1",
            path=f"{PATH}/a",
            principal="me",
            value=1,
            state="done",
            detail={},
            at_us=self.number,
        )
        await sequences.begin_run(self.conn, self.site, run="r1", name="s", who="me", reason="", definition={})
        await sequences.write_step(self.conn, self.site, "r1", step=1, branch="steps", text="t", state="done")
        await sequences.end_run(self.conn, self.site, "r1", state="done", detail=RunEnd())
        await sequences.end_interrupted(self.conn, self.site, detail=RunEnd())
        assert await lease.acquire(self.conn, self.site, owner="me", reason="", token="t", ttl_s=60.0)
        await lease.beat(self.conn, self.site, token="t", ttl_s=60.0)
        await lease.break_(self.conn, self.site)


@pytest.mark.parametrize("seed", range(3))
async def test_what_one_site_does_leaves_the_other_as_it_is(database: Settings, seed: int) -> None:
    pick = random.Random(seed)
    pool = await open_pool(database)
    try:
        async with connection(database) as conn:
            if await has_timescale(conn):  # each site's own policies would drop its old rows meanwhile
                await conn.execute("SELECT _timescaledb_functions.stop_background_workers()")
            here, there = (Site(conn, pool, site, pick) for site in (HERE, THERE))
            for one in (here, there):
                await one.classes()
                await one.recorded()
                for step in one.steps():
                    await step()
            for busy, still in ((there, here), (here, there)):
                await still.samples()
                before = await found(conn, still.site)
                assert before["in the view"] > 0
                for _ in range(25):
                    step = pick.choice(busy.steps())
                    await step()
                    assert await found(conn, still.site) == before, f"{step.__name__} of {busy.site}"
    finally:
        await pool.close()


async def test_a_shorter_keep_of_one_site_drops_nothing_of_the_other(database: Settings) -> None:
    """The case that lost a site's history: both call their class `process`, one keeps 400 days, the other 30."""
    pool = await open_pool(database)
    try:
        async with connection(database) as conn:
            for site, keep_days in ((HERE, 400), (THERE, 30)):
                await ensure_class(conn, "process", site=site, keep_ms=keep_days * DAY_MS)
                await sync_series(conn, site=site, devices={PATH: device()})
                await Site(conn, pool, site, random.Random(1)).samples()
            for site in (HERE, THERE):
                assert await keep_up(conn, site=site, now=NOW) is not None
            if await has_timescale(conn):
                classes = await load_classes(conn, site=THERE)
                await conn.execute(
                    "SELECT drop_chunks($1::text::regclass, older_than => now() - interval '30 days')",
                    f"nexus.{classes['process'].table}",
                )
                ages = await conn.fetch(
                    "SELECT config->>'drop_after' AS age FROM timescaledb_information.jobs"
                    " WHERE proc_name = 'policy_retention' AND hypertable_schema = 'nexus' ORDER BY hypertable_name"
                )
                assert [row["age"] for row in ages] == ["400 days", "30 days"]
    finally:
        await pool.close()
    for site, oldest_days in ((HERE, 100), (THERE, 20)):
        shown = await history(f"{PATH}/a", since="9000h", settings=replace(database, site=site))
        times = [datetime.fromisoformat(sample.time) for sample in shown.samples]
        assert (NOW - times[0]).days == oldest_days, site
