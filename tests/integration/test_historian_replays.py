"""What comes again is stored once; what only has a number that was used before is stored too. Real broker, real PostgreSQL."""

from __future__ import annotations

import asyncio
import time

import msgspec
import orjson
import pytest
from ulid import ULID

from nexus_cli.database.class_table import table_name
from nexus_cli.database.committed import LIVING_EPOCHS, prune_epochs
from nexus_cli.database.connect import connection
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.command import Report, Response, State
from nexus_cli.wire.command import encode as encode_command
from nexus_cli.wire.frame import Committed, decode_committed
from tests.integration.historian_rig import (
    DEVICE,
    START_US,
    TOPICS,
    SmallOutbox,
    declare,
    device,
    historian,
    outbox_settings,
    query,
)
from tests.postgres import SITE
from tests.servers import TestBroker
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
LATER_US = 600_000_000
VALUES = "SELECT value FROM nexus.sample ORDER BY time"


async def values(settings: Settings) -> list[float]:
    return [row["value"] for row in await query(settings, VALUES)]


def life(broker: TestBroker, *, count: int, later_us: int = 0, plus: float = 0.0, epoch: str = "E1") -> SmallOutbox:
    """An outbox with frames 1 to `count`, a millisecond apart."""
    outbox = SmallOutbox(outbox_settings(broker), epoch=epoch, window=1_000)
    for seq in range(1, count + 1):
        outbox.frame(seq, {"a": seq + plus}, time=START_US + later_us + seq * 1000)
    return outbox


async def deliver(outbox: SmallOutbox) -> None:
    """Send everything; the outbox counts on receipts that come after it was sent, not on what is retained."""
    async with outbox.running():
        await outbox.drained()


async def test_a_log_that_went_back_in_time_loses_nothing(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(a="float64"))
    async with historian(database, broker) as role:
        await deliver(life(broker, count=60))
        again = life(broker, count=60, later_us=LATER_US, plus=0.5)  # the same numbers, read ten minutes later
        again._heard = lambda message: None  # type: ignore[method-assign]
        async with again.running():
            await until(lambda: role.counters.replays_that_differ >= 60, "the frames under used numbers")
        await until(lambda: role.counters.rows >= 120, "their rows")
    assert await values(database) == [*range(1, 61), *(seq + 0.5 for seq in range(1, 61))]
    assert orjson.loads((await query(database, "SELECT ranges FROM nexus.committed"))[0][0]) == [[1, 60]]


async def test_numbers_used_again_within_the_span_of_a_batch_are_told_by_their_exact_time(
    database: Settings, broker: TestBroker
) -> None:
    await declare(database, device(a="float64"))
    async with historian(database, broker) as role:
        await deliver(life(broker, count=60))
        again = life(broker, count=60, later_us=500, plus=0.5)
        again._heard = lambda message: None  # type: ignore[method-assign]
        async with again.running():
            await until(lambda: role.counters.rows >= 120, "the rows between the others")
    assert len(await values(database)) == 120


async def test_true_replays_make_no_row_that_was_taken_away(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(a="float64"))
    async with historian(database, broker):
        await deliver(life(broker, count=2_000))
    await query(database, f"DELETE FROM nexus.{table_name('default', site=SITE)} WHERE value <= 1500")
    async with historian(database, broker) as role:  # another process: it knows what the database knows
        again = life(broker, count=2_000)
        again._heard = lambda message: None  # type: ignore[method-assign]
        async with again.running():
            await until(lambda: role.counters.replayed_frames >= 2_000, "the replays")
        assert role.counters.replays_that_differ == 0
    assert await values(database) == [float(seq) for seq in range(1501, 2001)]


async def test_after_a_restart_of_the_historian_used_numbers_are_still_told(
    database: Settings, broker: TestBroker
) -> None:
    await declare(database, device(a="float64"))
    async with historian(database, broker):
        await deliver(life(broker, count=500))
    async with historian(database, broker) as role:
        again = life(broker, count=500, later_us=LATER_US, plus=0.5)
        again._heard = lambda message: None  # type: ignore[method-assign]
        async with again.running():
            await until(lambda: role.counters.rows >= 500, "the frames under used numbers")
    assert await values(database) == [*range(1, 501), *(seq + 0.5 for seq in range(1, 501))]


async def test_custody_of_before_the_upgrade_is_believed_for_its_time(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(a="float64"))
    await query(
        database,
        "INSERT INTO nexus.committed (site, gateway, epoch, ranges, updated)"
        " VALUES ($1, 'gw-1', 'E1', '[[1, 50]]', to_timestamp($2))",
        *(SITE, START_US / 1e6),
    )
    outbox = SmallOutbox(outbox_settings(broker))
    outbox.frame(7, {"a": 7.0}, time=START_US - 5_000_000)  # a replay
    outbox.frame(8, {"a": 8.0}, time=START_US + LATER_US)  # younger than the last commit of its number
    outbox._heard = lambda message: None  # type: ignore[method-assign]
    async with historian(database, broker) as role, outbox.running():
        await until(lambda: role.counters.rows == 1 and role.counters.replayed_frames >= 1)
    assert await values(database) == [8.0]


async def test_gaps_and_reports_under_used_numbers_are_recorded_and_replays_of_them_are_not(
    database: Settings, broker: TestBroker
) -> None:
    await declare(database, device(a="float64"))

    def outbox_of(later_us: int, command: str) -> SmallOutbox:
        outbox = SmallOutbox(outbox_settings(broker))
        start = START_US + later_us
        outbox.gap(1, device=DEVICE, start=start, end=start + 1_000_000, frames=3, reason="overflow")
        response = Response(id=command, state=State.DONE, path=f"{DEVICE}/a", time=start)
        unread = Response(id="", state=State.REFUSED, path=f"{DEVICE}/a", time=start, code="NX6801")
        for seq, each in ((2, response), (3, unread)):
            report = Report(epoch="E1", seq=seq, gateway="gw-1", principal="desk", received=start, response=each)
            outbox.accept(seq, TOPICS.audit("gw-1"), encode_command(report))
        return outbox

    async def counts() -> tuple[int, ...]:
        found = await query(
            database,
            "SELECT (SELECT count(*) FROM nexus.gap), (SELECT count(*) FROM nexus.command),"
            " (SELECT count(*) FROM nexus.audit)",
        )
        return tuple(found[0])

    async with historian(database, broker):
        await deliver(outbox_of(0, "one"))
        assert await counts() == (1, 1, 2)
    async with historian(database, broker) as role:
        for later_us, command in ((0, "one"), (LATER_US, "two"), (LATER_US, "two"), (0, "one")):
            outbox = outbox_of(later_us, command)
            outbox._heard = lambda message: None  # type: ignore[method-assign]
            seen = role.client.reconnects, outbox.sends
            async with outbox.running():
                await until(lambda: outbox.sends >= 6, "everything was sent twice")  # noqa: B023
            assert seen == (0, 0)
        await until(lambda: not len(role.inbound_queue))
        assert role.counters.replays_that_differ >= 3
    assert await counts() == (2, 2, 4)


async def receipts(broker: TestBroker, gateway: str = "gw-1") -> Committed:
    """What a gateway hears that connects now."""
    client = BrokerClient(settings=outbox_settings(broker), client_id=f"late-{time.monotonic_ns()}")
    async with client.session() as messages, asyncio.timeout(PATIENCE_S):
        await client.subscribe([(TOPICS.committed(gateway), 1)])
        async for message in messages:
            return decode_committed(message.payload)
    raise AssertionError("no receipt")


async def test_a_gateway_that_started_anew_hears_the_receipts_of_its_lives_before(
    database: Settings, broker: TestBroker
) -> None:
    await declare(database, device(a="float64"))
    lives = [str(ULID()) for _ in range(LIVING_EPOCHS + 4)]
    async with historian(database, broker):
        for number, epoch in enumerate(lives):
            outbox = SmallOutbox(outbox_settings(broker), epoch=epoch)
            first = number * 10
            for seq in range(first + 1, first + 6):
                outbox.frame(seq, {"a": float(seq)})
            await deliver(outbox)
    async with historian(database, broker) as role:  # knows it from the database; the broker lost nothing meanwhile
        await until(lambda: not role.announcer._due)
        told = await receipts(broker)
        assert (told.epoch, told.ranges) == (lives[-1], [(111, 115)])
        assert [each.epoch for each in told.earlier] == lives[-LIVING_EPOCHS:-1]
        assert told.earlier[-1].ranges == [(101, 105)]
        # A life that is not named any more: its frames come again, and get their receipt then.
        oldest = SmallOutbox(outbox_settings(broker), epoch=lives[0])
        oldest.frame(3, {"a": 3.0})
        await deliver(oldest)
        assert role.counters.replayed_frames >= 1
        assert len(role.status().outboxes) <= LIVING_EPOCHS
    assert len(await values(database)) == 5 * len(lives)


async def test_epochs_of_a_gateway_that_restarts_each_minute_are_pruned(database: Settings) -> None:
    async with connection(database) as conn:
        await conn.execute(
            "INSERT INTO nexus.committed (site, gateway, epoch, ranges, updated) "
            "SELECT $1, 'gw-1', n::text, '[[1, 60]]', now() - n * interval '1 minute' FROM generate_series(0, 4319) n",
            SITE,
        )
        await conn.execute(
            "INSERT INTO nexus.committed (site, gateway, epoch, ranges, updated) VALUES "
            "($1, 'quiet', 'only', '[[1, 60]]', now() - interval '400 days'), ('acme/other', 'gw-1', 'x', '[]', now())",
            SITE,
        )
        await prune_epochs(conn, site=SITE)
        left = await conn.fetch("SELECT site, gateway, count(*) AS n FROM nexus.committed GROUP BY 1, 2 ORDER BY 1, 2")
    assert [(row["site"], row["gateway"]) for row in left] == [
        ("acme/chicago", "gw-1"),
        ("acme/chicago", "quiet"),
        ("acme/other", "gw-1"),
    ]
    assert 1440 <= left[0]["n"] <= 1441  # three days of them: one day's is kept


async def test_an_epoch_belongs_to_the_gateway_that_used_it_first(database: Settings, broker: TestBroker) -> None:
    other_path = "packaging/line-1/other"
    other_device = msgspec.structs.replace(device(other_path, a="float64"), gateway="gw-2")
    await declare(database, device(a="float64"), other_device)
    epoch = str(ULID())
    owner, other = (SmallOutbox(outbox_settings(broker), gateway=name, epoch=epoch) for name in ("gw-1", "gw-2"))
    owner.frame(1, {"a": 1.0})
    other.frame(1, {"a": 2.0, "b": 2.0}, path=other_path)
    other.gap(2, device="", start=START_US, end=START_US + 5, frames=1, reason="overflow")
    honest = SmallOutbox(outbox_settings(broker), gateway="gw-2", epoch=str(ULID()))
    honest.frame(1, {"a": 3.0}, path=other_path)
    async with historian(database, broker) as role:
        await deliver(owner)
        await deliver(other)  # its numbers are taken: it does not send them for ever
        await deliver(honest)
        assert role.counters.foreign_epochs == 2
    assert sorted(await values(database)) == [1.0, 3.0]
    assert await query(database, "SELECT * FROM nexus.gap") == []
    letters = await query(database, "SELECT reason, sum(count) AS n FROM nexus.dead_letter GROUP BY reason")
    assert [(row["reason"], row["n"]) for row in letters] == [("foreign_epoch", 3)]
