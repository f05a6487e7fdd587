"""Values that a database does not like: each costs itself, with a letter that says why; everything else is stored."""

from __future__ import annotations

import pytest

from nexus_cli.database.class_table import table_name
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.settings import Settings
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
from tests.integration.test_historian_others import publish, record
from tests.postgres import SITE
from tests.servers import TestBroker
from tests.waiting import until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
SCALE = "packaging/line-1/scale-7"
KINDS = {
    "real": "float32",
    "flag": "bool",
    "big": "int64",
    "huge": "uint64",
    "text": "string[20]",
    "list": "float32[3]",
    "deep": "json",
    "when": "datetime",
}
VALUES = [
    *("1e308", "-1e308", "1e400", "5e-324", "-0.0", "0.1e-400", f"1{'0' * 400}"),
    *("9007199254740993", "18446744073709551615", "18446744073709551616", "99999999999999999999", f"1{'0' * 20}"),
    *("-99999999999999999999", f"-1{'0' * 20}", "1.5", "true", "null", "NaN", "Infinity", "-Infinity"),
    *(r'"a\u0000b"', r'"\ud800"', r'"\udc00x"', r'"\ud83d\ude00"', f'"{"x" * 300_000}"', '"٣"', '"12"', '"1_2"'),
    *("[" * depth + "]" * depth for depth in (50, 200, 900, 5_000)),
    *('{"a":1e308}', f'{{"a":{"9" * 400}}}', r'{"\u0000":1}', '{"":1}', f'{{"{"k" * 100_000}":1}}', '{"a":1,"a":2}'),
    *(f"[{','.join(['1'] * 100_000)}]", '{"a":1e-320}'),
]
QUALITIES = [
    f'["BAD","x",{2**70}]',
    '["BAD","x",-1]',
    '["WEIRD",null,0]',
    r'["BAD","\u0000",5]',
    f'["GOOD",null,{2**63}]',
]
SOURCE_TIMES = [2**62, -(2**63), 2**63 - 1, 2**70, -5]
TIMES = [
    "1e300",
    "-1e300",
    "1e18",
    '"9999-12-31T23:59:59Z"',
    '"0001-01-01T00:00:00+14:00"',
    "{}",
    '"nan"',
    "true",
    '"٣"',
]


async def test_whatever_a_gateway_sends_the_next_sample_is_stored(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(good="float64", **KINDS))
    outbox = SmallOutbox(outbox_settings(broker), window=50)
    seq = 0

    def accept(samples: str, more: str = "") -> None:
        nonlocal seq
        seq += 1
        head = f'{{"epoch":"E1","seq":{seq},"time":{START_US + seq * 1000},"samples":'
        outbox.accept(seq, TOPICS.data("gw-1", DEVICE), f"{head}{samples}{more}}}".encode())

    for value in VALUES:
        for tag in KINDS:
            accept(f'{{"{tag}":{value}}}')
        accept('{"good":1}')
    for quality in QUALITIES:
        accept('{"good":1}', f',"quality":{{"good":{quality}}}')
    for source in SOURCE_TIMES:
        accept('{"good":1}', f',"source_time":{{"good":{source}}}')
    async with historian(database, broker) as role, outbox.running():
        await outbox.drained()
        assert lane(role).link.losses == 0
        frames = role.counters.frames
    assert frames == seq
    rows = await query(
        database,
        "SELECT s.path, x.value, x.value_text FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id",
    )
    good = [row for row in rows if row["path"].endswith("/good")]
    # Of the odd qualities only the unknown one, and numbers that are no integers, cost their sample.
    assert len(good) >= len(VALUES) + len(SOURCE_TIMES) - 1
    assert not [row for row in rows if row["value"] is not None and abs(row["value"]) == float("inf")]
    assert "ab" in {row["value_text"] for row in rows}
    reasons = {row["reason"] for row in await query(database, "SELECT reason FROM nexus.dead_letter")}
    assert reasons == {"not_a_frame", "type_mismatch"}


async def test_whatever_others_send_the_next_message_is_stored(database: Settings, broker: TestBroker) -> None:
    kinds = {"good": "float64", **KINDS}
    tags = {name: TagConfig(type=kind, published_type=kind) for name, kind in kinds.items()}
    await record(database, DeviceConfig(path=SCALE, protocol="external", tags=tags))
    messages: list[tuple[str, bytes]] = []
    for value in VALUES:
        for tag in KINDS:
            stamp = START_US // 1000 + len(messages)
            messages.append((f"{SCALE}/{tag}", f'{{"value":{value},"timestamp":{stamp}}}'.encode()))
            messages.append((f"{SCALE}/{tag}", value.encode()))
        messages.append((f"{SCALE}/good", b"1"))
    qualities = ("{}", "[]", "1e400", "-5", "true", r'"\u0000"', "1e300")
    odd = [f'"timestamp":{each}' for each in TIMES] + [f'"quality":{each}' for each in qualities]
    messages += [(f"{SCALE}/good", f'{{"value":1,{each}}}'.encode()) for each in odd]
    messages.append((f"{SCALE}/good", b"77"))
    async with historian(database, broker) as role:
        await publish(broker, messages)

        async def last() -> bool:
            return bool(await query(database, "SELECT 1 FROM nexus.sample WHERE value = 77"))

        while not await last():
            assert role.ready()[0]
        assert lane(role).link.losses == 0
        assert role.counters.undeclared == 0
    count = await query(
        database,
        "SELECT count(*) FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id WHERE s.path LIKE '%/good'",
    )
    assert count[0][0] >= len(VALUES) + 1


async def test_what_only_the_server_refuses_becomes_a_letter_and_the_rest_is_stored(
    database: Settings, broker: TestBroker
) -> None:
    """No value that passes our own checks is refused by PostgreSQL today; a constraint stands for the ones to come."""
    tags = {"weight": TagConfig(type="float64", published_type="float64")}
    await record(database, DeviceConfig(path=SCALE, protocol="external", tags=tags))
    await declare(database, device(a="float64", b="float64"))
    outbox = SmallOutbox(outbox_settings(broker), window=100)
    for seq in range(1, 101):
        outbox.frame(seq, {"a": float(seq), "b": -1e6 if seq % 25 == 0 else 1.0})
    outbox.gap(101, device=DEVICE, start=START_US, end=START_US + 5, frames=2**70, reason="x\x00y")
    async with historian(database, broker) as role:
        async with SmallOutbox(outbox_settings(broker), epoch="first").running() as first:
            first.frame(1, {"a": 0.5}, time=START_US)
            await first.drained()  # the table is there
        table = table_name("default", site=SITE)
        await query(database, f"ALTER TABLE nexus.{table} ADD CHECK (value > -1000)")
        async with outbox.running():
            await publish(broker, [(f"{SCALE}/weight", each) for each in (b"1", b"-5000", b"2")])
            await outbox.drained()
            await until(lambda: role.counters.external_rows >= 2)
    rows = await query(
        database,
        "SELECT s.path, count(*) AS n FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id GROUP BY s.path",
    )
    assert {row["path"].rpartition("/")[2]: row["n"] for row in rows} == {"a": 101, "b": 96, "weight": 2}
    letters = await query(database, "SELECT topic, count FROM nexus.dead_letter WHERE reason = 'refused_by_database'")
    assert {row["topic"].rpartition("/")[2]: row["count"] for row in letters} == {"filler": 4, "weight": 1}
    assert [row["frames"] for row in await query(database, "SELECT frames FROM nexus.gap")] == [2**62]
