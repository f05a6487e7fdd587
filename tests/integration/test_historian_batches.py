"""Frame batches against a real broker and a real PostgreSQL: each frame is stored once, refused or recognised alone."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import orjson
import pytest

from nexus_cli.database.connect import connection
from nexus_cli.database.series import sync_series
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.historian import writer
from nexus_cli.settings import Settings
from nexus_cli.wire.frame import Frame
from nexus_cli.wire.frame_batch import FrameColumns, Shape, encode_batch
from nexus_cli.wire.frame_compression import MAGIC
from nexus_cli.wire.message import Message
from tests.integration.historian_rig import (
    DEVICE,
    START_US,
    TOPICS,
    SmallOutbox,
    declare,
    device,
    historian,
    lane,
    outbox_settings,
    query,
)
from tests.postgres import SITE
from tests.servers import TestBroker
from tests.waiting import until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
KINDS = {"number": "float64", "flag": "bool", "big": "int64", "text": "string[20]", "list": "float32[3]"}
TWIN = "packaging/line-1/twin"
VALUES = "SELECT value FROM nexus.sample ORDER BY time"
ROWS = """SELECT split_part(s.path, '/', 4) AS tag, x.time, x.value, x.value_exact, x.value_text, x.value_json::text,
    x.quality, x.status, x.source_time
  FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id WHERE s.path LIKE $1 || '/%' ORDER BY 1, 2"""


def frames(count: int, *, first: int = 1, epoch: str = "E1", path: str = DEVICE) -> list[tuple[str, Frame]]:
    """Frames of one tag, whose value is their number."""
    return [
        (path, Frame(epoch=epoch, seq=seq, time=START_US + seq * 1000, samples={"a": float(seq)}))
        for seq in range(first, first + count)
    ]


def mixed(count: int) -> list[Frame]:
    """Frames with any of the tags, some marked, some with the device's own times."""
    pick = random.Random(3)
    found = []
    for seq in range(1, count + 1):
        everything: dict[str, Any] = {
            "number": pick.gauss(0, 1e9),
            "flag": pick.random() < 0.5,
            "big": pick.choice([seq, -seq, 2**63 - 1, -(2**63), 10_000 * seq]),
            "text": f"text {seq}",
            "list": [1.0, seq / 2, -1.0],
        }
        tags = pick.sample(sorted(everything), pick.randint(1, len(everything)))
        marked = pick.random() < 0.2
        found.append(
            Frame(
                epoch="E1",
                seq=seq,
                time=START_US + seq * 1000,
                samples={tag: None if marked and tag == tags[0] else everything[tag] for tag in tags},
                quality={tags[0]: ("BAD", "link_lost", seq)} if marked else {},
                source_time=dict.fromkeys(tags, START_US + seq) if pick.random() < 0.3 else {},
            )
        )
    return found


@pytest.mark.parametrize("small", [False, True])
async def test_the_rows_are_those_of_json_frames(database: Settings, broker: TestBroker, small: bool) -> None:
    await declare(database, device(**KINDS), device(TWIN, **KINDS))
    some = mixed(600)
    outbox = SmallOutbox(outbox_settings(broker), epoch="E1")
    twin = SmallOutbox(outbox_settings(broker), epoch="E2")
    for frame in some:
        twin.accept(frame.seq, TOPICS.data("gw-1", TWIN), orjson.dumps(_as_json(frame, epoch="E2")))
    for at in range(0, len(some), 100):
        outbox.batch(at + 1, [(DEVICE, frame) for frame in some[at : at + 100]], small=small)
    assert all(payload.startswith(MAGIC) is small for _, payload in outbox.waiting.values())
    async with historian(database, broker) as role, outbox.running(), twin.running():
        await outbox.drained()
        await twin.drained()
        assert role.counters.dead_letters == 0
    ours = [tuple(row) for row in await query(database, ROWS, DEVICE)]
    theirs = [tuple(row) for row in await query(database, ROWS, TWIN)]
    assert len(ours) == sum(len(frame.samples) for frame in some)
    assert ours == theirs
    ranges = await query(database, "SELECT epoch, ranges FROM nexus.committed ORDER BY epoch")
    assert [(row["epoch"], orjson.loads(row["ranges"])) for row in ranges] == [("E1", [[1, 600]]), ("E2", [[1, 600]])]


def _as_json(frame: Frame, *, epoch: str) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "seq": frame.seq,
        "time": frame.time,
        "samples": frame.samples,
        "quality": frame.quality,
        "source_time": frame.source_time,
    }


async def test_a_message_of_which_some_frames_are_known_stores_the_others(
    database: Settings, broker: TestBroker
) -> None:
    await declare(database, device(a="float64"))
    outbox = SmallOutbox(outbox_settings(broker))
    outbox.batch(1, frames(10))
    async with historian(database, broker) as role:
        async with outbox.running():
            await outbox.drained()
        again = SmallOutbox(outbox_settings(broker))
        again.batch(5, frames(16, first=5))
        async with again.running():
            await again.drained()
        assert role.counters.replayed_frames >= 6
    assert [row["value"] for row in await query(database, VALUES)] == [float(seq) for seq in range(1, 21)]


async def test_a_refused_frame_costs_itself_alone(database: Settings, broker: TestBroker) -> None:
    strange = "packaging/line-1/of-another"
    await declare(database, device(a="float64"))
    async with connection(database) as conn:
        other = DeviceConfig(
            path=strange,
            protocol="modbus",
            gateway="gw-2",
            tags={"a": TagConfig(type="float64", published_type="float64")},
        )
        await sync_series(conn, site=SITE, devices={strange: other})
    outbox = SmallOutbox(outbox_settings(broker))
    some = frames(6)
    some[1] = (strange, some[1][1])
    some[2] = (DEVICE, Frame(epoch="E1", seq=3, time=1, samples={"a": 3.0}))
    some[3] = (DEVICE, Frame(epoch="E1", seq=4, time=START_US + 4_000, samples={"a": "text"}))
    some[4] = (DEVICE, Frame(epoch="E1", seq=5, time=START_US + 5_000, samples={"a": 5.0, "unheard": 1.0}))
    outbox.batch(1, some)
    async with historian(database, broker), outbox.running():
        await outbox.drained()
    assert [row["value"] for row in await query(database, VALUES)] == [1.0, 5.0, 6.0]
    letters = await query(database, "SELECT topic, reason, count, payload FROM nexus.dead_letter ORDER BY reason")
    home = TOPICS.data("gw-1", DEVICE)
    assert [(row["topic"], row["reason"], row["count"]) for row in letters] == [
        (TOPICS.data("gw-1", strange), "not_assigned", 1),
        (home, "time_out_of_range", 1),
        (f"{home}/a", "type_mismatch", 1),
        (home, "unknown_series", 1),
    ]
    assert '"seq":4' in letters[2]["payload"] and '"value":"text"' in letters[2]["payload"]
    assert orjson.loads((await query(database, "SELECT ranges FROM nexus.committed"))[0][0]) == [[1, 6]]


async def test_a_message_that_can_not_be_read_gets_its_receipt(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(a="float64"))
    outbox = SmallOutbox(outbox_settings(broker))
    good = FrameColumns(Shape(DEVICE, ["a"]), START_US, b"", b"\0" * 8)
    broken = encode_batch([good._replace(values=b"\0" * 16), good], epoch="E1", seq=1)
    outbox.accept(2, TOPICS.batches("gw-1"), broken)
    outbox.batch(3, frames(1, first=3))
    async with historian(database, broker), outbox.running():
        await outbox.drained()
    assert [row["value"] for row in await query(database, VALUES)] == [3.0]
    letters = await query(database, "SELECT reason, count FROM nexus.dead_letter")
    assert [tuple(row) for row in letters] == [("not_a_frame", 2)]


async def test_two_historians_that_get_the_same_frames_store_each_once(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(a="float64"))
    async with historian(database, broker, name="one") as one, historian(database, broker, name="two") as two:
        for epoch in ("E1", "E2", "E3"):
            for role in (one, two):
                for first in range(1, 400, 50):
                    copies = SmallOutbox(outbox_settings(broker), epoch=epoch)
                    copies.batch(first, _at(epoch, frames(50, first=first, epoch=epoch)))
                    (message,) = copies.waiting.values()
                    role.inbound_queue.put(Message(*message, 1, False))
        counters = (one.counters, two.counters)
        await until(lambda: sum(each.rows + each.replayed_frames for each in counters) == 2 * 3 * 400, "every copy")
        assert _stored(one, "gw-1") == _stored(two, "gw-1") == 3
    assert sum(each.rows for each in counters) == len(await query(database, VALUES)) == 3 * 400
    assert one.counters.dead_letters + two.counters.dead_letters == 0


def _at(epoch: str, some: list[tuple[str, Frame]]) -> list[tuple[str, Frame]]:
    """The same frames, at times of their epoch."""
    shift_us = int(epoch[1:]) * 10_000_000
    return [
        (path, Frame(epoch=epoch, seq=one.seq, time=one.time + shift_us, samples=one.samples)) for path, one in some
    ]


def _stored(role: Any, gateway: str) -> int:
    """How many outboxes of a gateway have all of 400 numbers."""
    known = [ranges.ranges for key, ranges in role.announcer.known() if key.gateway == gateway]
    return sum(ranges == [(1, 400)] for ranges in known)


async def test_a_connection_lost_between_copy_and_commit_loses_and_doubles_nothing(
    database: Settings, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await declare(database, device(a="float64"))
    replace, failures = writer.replace_custody, [2]

    async def cut(conn: Any, **arguments: Any) -> bool:
        if failures[0]:
            failures[0] -= 1
            assert await conn.fetchval("SELECT count(*) FROM nexus.sample") > 0  # the rows were copied
            conn.terminate()
        return await replace(conn, **arguments)

    monkeypatch.setattr(writer, "replace_custody", cut)
    outbox = SmallOutbox(outbox_settings(broker))
    outbox.batch(1, frames(100))
    async with historian(database, broker) as role, outbox.running():
        await outbox.drained()
        assert lane(role).link.losses == 2
    assert len(await query(database, VALUES)) == 100


async def test_a_historian_that_ends_between_commit_and_receipt_is_followed_by_one_that_knows(
    database: Settings, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await declare(database, device(a="float64"))
    outbox = SmallOutbox(outbox_settings(broker))
    outbox.batch(1, frames(100))
    async with outbox.running():
        async with historian(database, broker) as role:
            silent = asyncio.Event()
            monkeypatch.setattr(role.announcer, "_publish_due", silent.wait)
            await until(lambda: role.counters.rows == 100, "the rows without a receipt")
            assert outbox.waiting
            silent.set()
        async with historian(database, broker, name="next"):
            await outbox.drained()
    assert len(await query(database, VALUES)) == 100


async def test_two_gateways_use_two_connections(database: Settings, broker: TestBroker) -> None:
    async with historian(database, broker) as role:
        names = [f"gw-{at}" for at in range(10)]
        lanes = {lane(role, name).number: name for name in names}
        assert set(lanes) == {0, 1}
        async with connection(database) as conn:
            await sync_series(
                conn,
                site=SITE,
                devices={
                    f"a/l/{name}": DeviceConfig(
                        path=f"a/l/{name}",
                        protocol="modbus",
                        gateway=name,
                        tags={"a": TagConfig(type="float64", published_type="float64")},
                    )
                    for name in lanes.values()
                },
            )
        async with connection(database) as held, held.transaction():
            outboxes = {}
            for number, name in lanes.items():
                outboxes[number] = SmallOutbox(outbox_settings(broker), gateway=name)
                outboxes[number].batch(1, frames(10, path=f"a/l/{name}"))
            async with outboxes[0].running():
                await outboxes[0].drained()
            await held.execute("SELECT FROM nexus.committed WHERE gateway = $1 FOR UPDATE", lanes[0])
            outboxes[0].batch(11, frames(10, first=11, path=f"a/l/{lanes[0]}"))
            async with outboxes[0].running(), outboxes[1].running():
                await outboxes[1].drained()  # while the custody of the other gateway is locked
                assert outboxes[0].waiting
                await held.execute("SELECT 1")
    assert len(await query(database, VALUES)) >= 20
