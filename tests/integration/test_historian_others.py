"""Messages of others: declared topics are stored as they come, globs within their bound, the rest counted or explained."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from nexus_cli.database.connect import connection
from nexus_cli.database.series import sync_series
from nexus_cli.model.config import DeviceConfig, TagConfig, to_json
from nexus_cli.runtime.historian import writer
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.integration.historian_rig import TOPICS, historian, outbox_settings, query
from tests.postgres import SITE
from tests.servers import TestBroker, mosquitto_program, new_broker
from tests.waiting import until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker, pytest.mark.every_database]
SCALE, PRESS = "packaging/line-1/scale-7", "packaging/line-1/press-3"
NOW_MS = time.time_ns() // 1_000_000
EARLIER = datetime.fromtimestamp(NOW_MS / 1000 - 3600, timezone(timedelta(hours=1))).isoformat()


async def record(settings: Settings, *devices: DeviceConfig) -> None:
    """What control does at apply: the recorded state and the series."""
    async with connection(settings) as conn, conn.transaction():
        deployment = await conn.fetchval(
            "INSERT INTO nexus.deployment (site, number, who, outcome, base_digest, desired_digest, plan) "
            "VALUES ($1, (SELECT count(*) + 1 FROM nexus.deployment), 'me', 'applied', '', '', '{}') RETURNING id",
            SITE,
        )
        for device in devices:
            await conn.execute(
                "INSERT INTO nexus.resource (site, address, digest, attributes, deployment_id) VALUES ($1, $2, '', $3, $4)"
                " ON CONFLICT (site, address) DO UPDATE SET attributes = excluded.attributes",
                *(SITE, f"device.{device.path}", orjson.dumps(to_json(device)).decode(), deployment),
            )
        await sync_series(conn, site=SITE, devices={device.path: device for device in devices})


def scale() -> DeviceConfig:
    tags = {
        "weight": TagConfig(type="float64", published_type="float64", unit="kg"),
        "serial": TagConfig(type="int64", published_type="int64"),
        "note": TagConfig(type="string", published_type="string"),
    }
    return DeviceConfig(path=SCALE, protocol="external", tags=tags)


def press() -> DeviceConfig:
    globs = [f"{PRESS}/state", f"{PRESS}/axis-*/**"]
    return DeviceConfig(path=PRESS, protocol="external", connection={"globs": globs, "max_series": 3})


async def stored(settings: Settings) -> list[tuple[str, Any, int]]:
    rows = await query(
        settings,
        "SELECT s.path, coalesce(x.value_text, x.value_exact::text, x.value::text) AS value, x.quality "
        "FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id ORDER BY s.path, x.time",
    )
    return [(row["path"].rpartition("/")[2], row["value"], row["quality"]) for row in rows]


async def publish(broker: TestBroker, messages: list[tuple[str, bytes]]) -> None:
    client = BrokerClient(settings=outbox_settings(broker), client_id="others")
    async with client.session():
        for path, payload in messages:
            await client.publish(TOPICS.tag(path), payload)


async def retain(broker: TestBroker, path: str, payload: bytes) -> None:
    client = BrokerClient(settings=outbox_settings(broker), client_id="retaining")
    async with client.session():
        await client.publish(TOPICS.tag(path), payload, retain=True)


async def test_dialects_doubles_conflicts_and_clocks(database: Settings, broker: TestBroker) -> None:
    await record(database, scale())
    ahead = orjson.dumps({"value": 9, "timestamp": NOW_MS + 3_600_000})
    async with historian(database, broker) as role:
        await publish(
            broker,
            [
                (f"{SCALE}/weight", orjson.dumps({"value": 1.5, "timestamp": NOW_MS})),
                (f"{SCALE}/weight", orjson.dumps({"value": 1.5, "timestamp": NOW_MS})),  # again: nothing
                (f"{SCALE}/weight", orjson.dumps({"timestamp_ms": NOW_MS + 1, "value": 2})),  # UMH
                (f"{SCALE}/weight", orjson.dumps({"value": 2.5, "timestamp": EARLIER})),
                (f"{SCALE}/weight", orjson.dumps({"value": 3, "timestamp": NOW_MS + 2, "quality": 64})),
                (f"{SCALE}/weight", orjson.dumps({"value": 3, "timestamp": NOW_MS + 3, "quality": 0})),
                (f"{SCALE}/weight", orjson.dumps({"value": 7.0, "timestamp": NOW_MS})),  # conflict
                (f"{SCALE}/weight", ahead),
                (f"{SCALE}/weight", b'{"value": "heavy", "timestamp": 1700000000000}'),
                (f"{SCALE}/weight", b"{nonsense"),
                (f"{SCALE}/weight", b'{"timestamp": 1}'),
                (f"{SCALE}/serial", orjson.dumps({"value": "9007199254740993", "timestamp": NOW_MS})),
                (f"{SCALE}/note", b"bare text"),
                (f"{SCALE}/weigth", b"1"),
            ],
        )
        await until(lambda: role.counters.undeclared == 1 and role.counters.external_rows >= 8)
        await until(lambda: not len(role.inbound_queue))
        assert role.status().undeclared_topics == {TOPICS.tag(f"{SCALE}/weigth"): 1}
    assert await stored(database) == [
        ("note", "bare text", 192),
        ("serial", "9007199254740993", 192),
        ("weight", "2.5", 192),
        ("weight", "1.5", 192),
        ("weight", "2", 192),
        ("weight", "3", 64),
        ("weight", None, 0),
    ]
    letters = await query(database, "SELECT reason, count FROM nexus.dead_letter ORDER BY reason")
    assert [(row["reason"], row["count"]) for row in letters] == [
        ("ahead_of_time", 1),
        ("conflicting_value", 1),
        ("no_value", 1),
        ("not_json", 1),
        ("type_mismatch", 1),
    ]


async def test_a_burst_waits_at_the_broker_until_there_is_room(database: Settings, tmp_path: Path) -> None:
    if mosquitto_program() is None:
        pytest.skip("mosquitto is missing")
    (tmp_path / "unbound").mkdir()
    broker = new_broker(tmp_path / "unbound", options=("max_queued_messages 0", "max_inflight_messages 1000")).start()
    count = 40_000
    try:
        await record(database, scale())
        async with historian(database, broker) as role:
            role.inbound_queue._most_messages = 10_000  # of each lane; one read of the socket is some 2,500 messages
            sender = BrokerClient(settings=outbox_settings(broker), client_id="others")
            async with sender.session(), asyncio.TaskGroup() as group, nothing_written(database):
                group.create_task(_burst(sender, count))
                await until(lambda: role.counters.holds > 0)  # often twice: the next batch makes room once
            await until(lambda: role.counters.external_rows + role.counters.dropped_external >= count)
            assert (role.counters.external_rows, role.counters.dropped_external) == (count, 0)
    finally:
        broker.stop()
    (row,) = await query(database, "SELECT count(*), count(DISTINCT value) AS values FROM nexus.sample")
    assert (row["count"], row["values"]) == (count, count)


@contextlib.asynccontextmanager
async def nothing_written(database: Settings) -> AsyncIterator[None]:
    """The table of samples is locked while the block runs."""
    async with connection(database) as conn, conn.transaction():
        await conn.execute("LOCK TABLE nexus.sample IN ACCESS EXCLUSIVE MODE")
        yield


async def _burst(sender: BrokerClient, count: int) -> None:
    for at in range(0, count, 1000):
        some = [
            sender.post(TOPICS.tag(f"{SCALE}/weight"), b'{"value":%d,"timestamp":%d}' % (n, NOW_MS - n))
            for n in range(at, at + 1000)
        ]
        await asyncio.gather(*some)


async def test_a_glob_makes_series_up_to_its_bound(database: Settings, broker: TestBroker) -> None:
    await record(database, press())
    topics = [f"{PRESS}/{name}" for name in ("state", "axis-1/speed", "axis-2/load/left", "axis-3/speed", "other")]
    async with historian(database, broker) as role:
        await publish(broker, [(topic, b'{"value": 1, "timestamp_ms": %d}' % NOW_MS) for topic in topics])
        await until(lambda: role.counters.undeclared == 2)
        assert role.external_topics.filters == [f"{TOPICS.tag(PRESS)}/#"]
    rows = await query(database, "SELECT path, external, active FROM nexus.series ORDER BY path")
    assert [row["path"] for row in rows] == sorted(topics[:3])
    assert len(await stored(database)) == 3
    async with connection(database) as conn:  # an apply of the same device keeps them, its removal forgets them
        kept = await sync_series(conn, site=SITE, devices={PRESS: press()})
        assert kept.forgotten == ()
        gone = await sync_series(conn, site=SITE, devices={PRESS: None})
        assert list(gone.forgotten) == sorted(topics[:3])


async def test_an_external_device_declared_later_is_subscribed_at_once(database: Settings, broker: TestBroker) -> None:
    await retain(broker, f"{SCALE}/weight", b"3.5")  # without a time: it holds when we begin to listen
    await retain(broker, f"{SCALE}/note", orjson.dumps({"value": "older", "timestamp": NOW_MS - 5_000}))
    async with historian(database, broker) as role:
        await record(database, scale())
        await until(lambda: role.counters.external_rows >= 2, "what the broker retained")
        while role.counters.external_rows < 3:
            await publish(broker, [(f"{SCALE}/serial", orjson.dumps({"value": 5, "timestamp": NOW_MS}))])
            await asyncio.sleep(0.05)
    assert await stored(database) == [("note", "older", 192), ("serial", "5", 192), ("weight", "3.5", 192)]


async def test_a_tag_declared_later_in_a_known_device_takes_what_is_retained_and_no_other_again(
    database: Settings, broker: TestBroker
) -> None:
    small = msgspec.structs.replace(scale(), tags={"note": scale().tags["note"]})
    await record(database, small)
    async with historian(database, broker) as role:
        await publish(broker, [(f"{SCALE}/note", b"live")])
        await until(lambda: role.counters.external_rows == 1)
        await retain(broker, f"{SCALE}/weight", b"3.5")
        await until(lambda: role.counters.undeclared == 1)
        await retain(broker, f"{SCALE}/note", b"kept")
        await until(lambda: role.counters.external_rows == 2)
        await record(database, scale())
        await until(lambda: role.counters.external_rows >= 3, "the retained value of the new tag")
        await until(lambda: not role.external_topics.fresh_filters)
    assert await stored(database) == [("note", "live", 192), ("note", "kept", 192), ("weight", "3.5", 192)]


async def test_a_forgotten_tag_of_an_external_device_is_not_stored_any_more(
    database: Settings, broker: TestBroker
) -> None:
    await record(database, scale())
    async with historian(database, broker) as role:
        await publish(broker, [(f"{SCALE}/weight", b"1")])
        await until(lambda: role.counters.external_rows == 1)
        await record(database, msgspec.structs.replace(scale(), tags={"note": scale().tags["note"]}))
        await until(lambda: not role.external_topics.is_declared(f"{SCALE}/weight"))
        await publish(broker, [(f"{SCALE}/weight", b"2"), (f"{SCALE}/note", b"x")])
        await until(lambda: role.counters.external_rows == 2)
        assert role.counters.undeclared == 1
    assert await stored(database) == [("note", "x", 192), ("weight", "1", 192)]


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
async def test_two_historians_store_others_messages_once(database: Settings, tmp_path: Path, kind: str) -> None:
    if kind == "mosquitto" and not mosquitto_program():
        pytest.skip("mosquitto is missing")
    (tmp_path / "two").mkdir()
    broker = new_broker(tmp_path / "two", kind=kind).start()
    try:
        await record(database, scale())
        await retain(broker, f"{SCALE}/serial", orjson.dumps({"value": 7, "timestamp": NOW_MS}))
        async with historian(database, broker, name="one") as one, historian(database, broker, name="two") as two:
            assert one.shared == two.shared == (kind == "mosquitto")
            await publish(broker, [(f"{SCALE}/note", f"n{number}".encode()) for number in range(200)])
            roles = (one, two)
            await until(lambda: sum(role.counters.external_rows for role in roles) >= 201)
            await until(lambda: one.shared or two.counters.passed_on >= 201)
            assert [role.following.is_our_turn for role in roles] == [True, False]
            if one.shared:
                assert min(role.counters.external_rows for role in roles) > 0
        found = await stored(database)
        assert sorted(value for name, value, _ in found if name == "note") == sorted(f"n{n}" for n in range(200))
        assert [value for name, value, _ in found if name == "serial"] == ["7"]
        assert await query(database, "SELECT * FROM nexus.dead_letter") == []
        assert await query(database, "SELECT * FROM nexus.turn") == []  # given back at the end
    finally:
        broker.stop()


async def test_the_turn_of_a_historian_that_vanished_is_taken_over(database: Settings, tmp_path: Path) -> None:
    (tmp_path / "amqtt").mkdir()
    broker = new_broker(tmp_path / "amqtt", kind="amqtt").start()
    try:
        await record(database, scale())
        await query(
            database,
            "INSERT INTO nexus.turn (site, work, owner, expires) VALUES ($1, 'others', 'gone@x', now() + $2)",
            *(SITE, timedelta(seconds=4)),
        )
        async with historian(database, broker) as role:
            await publish(broker, [(f"{SCALE}/note", b"too early")])
            await until(lambda: role.counters.passed_on == 1)
            await until(lambda: role.following.is_our_turn, "the turn")
            await publish(broker, [(f"{SCALE}/note", b"ours")])
            await until(lambda: role.counters.external_rows == 1)
        assert await stored(database) == [("note", "ours", 192)]
    finally:
        broker.stop()


async def test_only_a_conflict_with_the_database_needs_a_staging_table(
    database: Settings, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(database, scale())
    staged: list[int] = []
    staging = writer.copy_staged

    async def counted(conn: Any, made: Any, pieces: Any, columns: Any) -> Any:
        found = await staging(conn, made, pieces, columns)
        staged.append(found[0])
        return found

    monkeypatch.setattr(writer, "copy_staged", counted)
    some = [(f"{SCALE}/weight", orjson.dumps({"value": at, "timestamp": NOW_MS + at})) for at in range(50)]
    async with historian(database, broker) as role:
        await publish(broker, some)
        await publish(broker, some)  # a bridge that repeats everything
        await until(lambda: role.counters.rows + role.counters.duplicate_rows == 100, "all of them")
        assert (role.counters.rows, staged) == (50, [])
    async with historian(database, broker, name="another") as role:  # it has stored none of them itself
        new = [(f"{SCALE}/note", orjson.dumps({"value": "new", "timestamp": NOW_MS}))]
        await publish(broker, [*some, *new])
        await until(lambda: role.counters.rows + role.counters.duplicate_rows == 51, "the new one, and the others")
        assert role.counters.rows == 1
        await publish(broker, some)
        await until(lambda: role.counters.duplicate_rows == 100, "the same again")
    assert staged
    assert len(await stored(database)) == 51
    assert await query(database, "SELECT 1 FROM nexus.dead_letter") == []
