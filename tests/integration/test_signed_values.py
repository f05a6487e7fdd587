"""Signed messages of external devices through a real broker into a real database: good ones are rows, the others dead letters."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from nexus_cli.database.connect import connection
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.signature import hmac_signature, seal
from tests.integration.historian_rig import TOPICS, historian, outbox_settings, query
from tests.integration.test_historian_others import PRESS, SCALE, press, record, scale, stored
from tests.postgres import SITE
from tests.servers import TestBroker
from tests.waiting import until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
SECRET = "a-secret-of-at-least-thirty-two-bytes"
WEIGHT = TOPICS.tag(f"{SCALE}/weight")


async def require(settings: Settings, *kinds: str) -> None:
    """Record `signatures:` of the site, after its devices."""
    keys = {
        "scales": {
            "algorithm": "hmac-sha256",
            "principals": ["scales"],
            "secret": "${env:SCALES}",
            "topics": [f"{SCALE}/**"],
        }
    }
    site = {"signatures": {"require": list(kinds), "window_ms": 30_000, "keys": keys}}
    async with connection(settings) as conn:
        await conn.execute(
            "INSERT INTO nexus.resource (site, address, digest, attributes, deployment_id) "
            "VALUES ($1, 'site', '', $2, (SELECT max(id) FROM nexus.deployment)) "
            "ON CONFLICT (site, address) DO UPDATE SET attributes = excluded.attributes",
            *(SITE, orjson.dumps(site).decode()),
        )


def sealed(value: Any, *, topic: str = WEIGHT, secret: str = SECRET, ahead_s: float = 0.0) -> bytes:
    time_us = int((time.time() + ahead_s) * 1e6)
    return seal(key="scales", sign=hmac_signature(secret), topic=topic, payload=orjson.dumps(value), time_us=time_us)


async def test_good_ones_are_stored_once_and_the_others_are_dead_letters_and_on_record(
    database: Settings, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALES", SECRET)
    await record(database, scale(), press())
    await require(database, "external")
    async with historian(database, broker) as role:
        client = BrokerClient(settings=outbox_settings(broker), client_id="scales")
        async with client.session():
            kept = sealed({"value": 0.5, "timestamp": int(time.time() * 1000) - 3_600_000}, ahead_s=-3600)
            await client.publish(TOPICS.tag(f"{SCALE}/serial"), b"17", retain=True)
            await client.publish(WEIGHT, kept)  # late
            right = sealed(1.5)
            for payload in (right, right, sealed(2.5), b"9", sealed(9, secret="x" * 40), sealed(9, ahead_s=60)):
                await client.publish(WEIGHT, payload)
            await client.publish(TOPICS.tag(f"{PRESS}/axis-1/load"), b"5")  # no key covers it, and none signed it
            await client.publish(TOPICS.tag(f"{SCALE}/nobody"), b"5")  # not declared
            await client.publish(WEIGHT, sealed(3.5))
        wanted = {"not_signed", "signature_wrong", "signature_time", "signature_replayed"}
        await until(lambda: role.counters.external_rows == 3 and role.counters.dead_letters >= 7)
        assert role.counters.undeclared == 1
        letters = await query(database, "SELECT topic, reason, count FROM nexus.dead_letter ORDER BY topic, reason")
    assert {row["reason"] for row in letters} == wanted
    found = {(row["topic"], row["reason"]): row["count"] for row in letters}
    assert found == {
        (TOPICS.tag(PRESS), "not_signed"): 1,  # of its device, as there is no series yet
        (TOPICS.tag(f"{SCALE}/serial"), "not_signed"): 1,
        (WEIGHT, "not_signed"): 1,
        (WEIGHT, "signature_replayed"): 1,
        (WEIGHT, "signature_time"): 2,
        (WEIGHT, "signature_wrong"): 1,
    }
    assert await stored(database) == [("weight", "1.5", 192), ("weight", "2.5", 192), ("weight", "3.5", 192)]
    audit = await query(
        database, "SELECT who, subject, detail->>'reason' AS reason FROM nexus.audit WHERE what = 'refused-message'"
    )
    assert {(TOPICS.tag(row["subject"]), row["reason"]) for row in audit} == set(found) and len(audit) == len(found)
    assert {row["who"] for row in audit} == {"nexus.historian"}


async def test_a_restarted_historian_takes_what_the_broker_kept_and_no_repetition(
    database: Settings, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALES", SECRET)
    await record(database, scale())
    await require(database, "external")
    client = BrokerClient(settings=outbox_settings(broker), client_id="scales")
    async with client.session():
        before = sealed(1.5)
        await client.publish(WEIGHT, before, retain=True)
        async with historian(database, broker) as role:
            await until(lambda: role.counters.external_rows >= 1)
            await client.publish(WEIGHT, sealed(2.5), retain=True)
            await until(lambda: role.counters.external_rows >= 2)
        async with historian(database, broker) as role:
            await until(lambda: role.counters.duplicate_rows >= 1)  # the kept one, once more
            await client.publish(WEIGHT, before)
            await until(lambda: role.counters.dead_letters == 1)
    assert await stored(database) == [("weight", "1.5", 192), ("weight", "2.5", 192)]
