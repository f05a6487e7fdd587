"""Messages of others: declared topics are stored as they come, globs within their bound, the rest counted or explained."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson
import pytest

from nexus_cli.database.connect import connection
from nexus_cli.database.series import sync_series
from nexus_cli.model.config import DeviceConfig, TagConfig, to_json
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.integration.historian_rig import TOPICS, historian, outbox_settings, query, until
from tests.postgres import SITE
from tests.servers import TestBroker

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
                "INSERT INTO nexus.resource (site, address, digest, attributes, deployment_id) VALUES ($1, $2, '', $3, $4)",
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
        await until(lambda: not len(role.intake))
        assert role.status()["undeclared_topics"] == {TOPICS.tag(f"{SCALE}/weigth"): 1}
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


async def test_a_glob_makes_series_up_to_its_bound(database: Settings, broker: TestBroker) -> None:
    await record(database, press())
    topics = [f"{PRESS}/{name}" for name in ("state", "axis-1/speed", "axis-2/load/left", "axis-3/speed", "other")]
    async with historian(database, broker) as role:
        await publish(broker, [(topic, b'{"value": 1, "timestamp_ms": %d}' % NOW_MS) for topic in topics])
        await until(lambda: role.counters.undeclared == 2)
        assert role.others.filters == [f"{TOPICS.tag(PRESS)}/#"]
    rows = await query(database, "SELECT path, external, active FROM nexus.series ORDER BY path")
    assert [row["path"] for row in rows] == sorted(topics[:3])
    assert len(await stored(database)) == 3
    async with connection(database) as conn:  # an apply of the same device keeps them, its removal forgets them
        kept = await sync_series(conn, site=SITE, devices={PRESS: press()})
        assert kept.forgotten == ()
        gone = await sync_series(conn, site=SITE, devices={PRESS: None})
        assert list(gone.forgotten) == sorted(topics[:3])


async def test_an_external_device_declared_later_is_subscribed_at_once(database: Settings, broker: TestBroker) -> None:
    async with historian(database, broker) as role:
        await record(database, scale())
        client = BrokerClient(settings=outbox_settings(broker), client_id="control")
        async with client.session():
            await client.publish(TOPICS.config("gw-1"), b'{"deployment": 1, "digest": ""}', retain=True)
        await until(lambda: role.others.filters == [f"{TOPICS.tag(SCALE)}/#"])
        for _ in range(50):
            await publish(broker, [(f"{SCALE}/weight", b"4.25")])
            if role.counters.external_rows:
                break
    assert ("weight", "4.25", 192) in await stored(database)
