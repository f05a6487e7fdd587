"""The historian against a real broker and a real PostgreSQL: what arrives is stored once, exactly, with a receipt."""

from __future__ import annotations

from decimal import Decimal

import orjson
import pytest

from nexus_cli.settings import Settings
from nexus_cli.wire.frame import Committed, decode_committed
from nexus_cli.wire.sample import Quality, Reason, unpack_status
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
from tests.servers import TestBroker
from tests.waiting import until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker, pytest.mark.every_database]

ALL = """SELECT s.path, x.* FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id ORDER BY time, path"""


async def test_frames_become_rows_and_the_receipt_is_retained(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(temperature="float64", running="bool", count="int32"))
    outbox = SmallOutbox(outbox_settings(broker))
    for seq in range(1, 101):
        outbox.frame(seq, {"temperature": seq / 4, "running": seq % 2 == 0, "count": seq})
    async with historian(database, broker), outbox.running():
        await outbox.drained()
    rows = await query(database, ALL)
    assert len(rows) == 300
    assert [row["value"] for row in rows if row["path"].endswith("/temperature")] == [seq / 4 for seq in range(1, 101)]
    assert [row["value"] for row in rows if row["path"].endswith("/running")] == [0.0, 1.0] * 50
    assert {row["quality"] for row in rows} == {192}
    assert int(rows[0]["time"].timestamp() * 1_000_000) == START_US + 1000
    stored = await query(database, "SELECT gateway, epoch, ranges FROM nexus.committed")
    assert [(row["gateway"], row["epoch"], orjson.loads(row["ranges"])) for row in stored] == [
        ("gw-1", "E1", [[1, 100]])
    ]

    late = SmallOutbox(outbox_settings(broker))  # hears the retained receipt with nothing running
    heard: list[Committed] = []
    late._heard = lambda message: heard.append(decode_committed(message.payload))  # type: ignore[method-assign]
    async with late.running():
        await until(lambda: bool(heard), "the retained receipt")
    assert heard[0] == Committed(epoch="E1", ranges=[(1, 100)])


async def test_every_kind_of_value_is_kept_exactly(database: Settings, broker: TestBroker) -> None:
    kinds = {"big": "int64", "huge": "uint64", "text": "string[20]", "list": "float32[3]", "deep": "json"}
    await declare(database, device(number="float32", **kinds))
    outbox = SmallOutbox(outbox_settings(broker))
    samples = {
        "number": 1.5,
        "big": -(2**63),
        "huge": 2**64 - 1,
        "text": "a\x00b · ü",
        "list": [1.0, 2.5, -3.0],
        "deep": {"a\x00": [1, {"b": None}], "c": "x\x00y"},
    }
    outbox.frame(1, samples)
    outbox.frame(2, {"number": None, "big": 7}, quality={"number": ("BAD", "device_timeout", 0x800A0000)})
    outbox.frame(3, {"number": 9.25}, quality={"number": ("UNCERTAIN", "out_of_range", 0)}, source_time={"number": 123})
    outbox.frame(4, {"number": 4.5}, source_time={"number": START_US - 5})
    async with historian(database, broker), outbox.running():
        await outbox.drained()
    rows = {
        (row["path"].rpartition("/")[2], int(row["time"].timestamp() * 1000)): row for row in await query(database, ALL)
    }
    first, second, third, fourth = (START_US // 1000 + seq for seq in (1, 2, 3, 4))
    assert rows["big", first]["value_exact"] == Decimal(-(2**63))
    assert rows["huge", first]["value_exact"] == Decimal(2**64 - 1)
    assert rows["huge", first]["value"] == float(2**64 - 1)
    assert rows["text", first]["value_text"] == "ab · ü"
    assert orjson.loads(rows["list", first]["value_json"]) == [1.0, 2.5, -3.0]
    assert orjson.loads(rows["deep", first]["value_json"]) == {"a": [1, {"b": None}], "c": "xy"}
    bad = rows["number", second]
    assert (bad["value"], bad["quality"]) == (None, Quality.BAD)
    assert unpack_status(bad["status"]) == (Reason.DEVICE_TIMEOUT, 0x800A0000)
    assert (rows["number", third]["value"], rows["number", third]["quality"]) == (9.25, 64)
    assert rows["number", third]["source_time"].year == 1970
    assert int(rows["number", fourth]["source_time"].timestamp() * 1_000_000) == START_US - 5
    assert rows["number", first]["source_time"] is None


async def test_a_bad_sample_costs_itself_and_the_letters_say_why(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(a="float64", b="int16", exact="uint64"))
    outbox = SmallOutbox(outbox_settings(broker))
    outbox.frame(1, {"a": 1.0, "b": "not a number", "exact": 1.5})
    outbox.frame(2, {"a": 2.0, "nobody": 3.0})
    outbox.frame(3, {"a": 10**400, "b": 3})
    outbox.frame(4, {"a": 4.0}, time=-5)
    outbox.frame(5, {"a": None, "b": 5})
    for seq in range(6, 20):
        outbox.frame(seq, {"a": 1.0, "b": "again"})
    broken = b'{"epoch": "E1", "seq": 20, "time": 1700000000000000, "samples": {"a": 1e999}}'
    outbox.accept(20, TOPICS.data("gw-1", DEVICE), broken)  # its number is readable: the outbox is not held up
    async with historian(database, broker) as role, outbox.running():
        await outbox.drained()
        async with SmallOutbox(outbox_settings(broker), epoch="raw").running() as raw:
            await until(lambda: raw.client.connected)
            await raw.client.publish(TOPICS.data("gw-1", DEVICE), b"\xff not a frame \x00")
            await until(lambda: role.counters.dead_letters >= 22, "the last letter")
    rows = await query(database, ALL)
    assert [row["value"] for row in rows if row["path"].endswith("/a")] == [1.0, 2.0, *[1.0] * 14]
    assert [row["value"] for row in rows if row["path"].endswith("/b")] == [3.0, 5.0]
    letters = await query(database, "SELECT topic, reason, detail, payload, count FROM nexus.dead_letter")
    counts = {(row["topic"].rpartition("/")[2], row["reason"]): row["count"] for row in letters}
    assert counts == {
        ("b", "type_mismatch"): 15,
        ("exact", "type_mismatch"): 1,
        ("a", "type_mismatch"): 2,
        ("filler", "unknown_series"): 1,
        ("filler", "time_out_of_range"): 1,
        ("filler", "not_a_frame"): 2,
    }
    assert any("not a number" in row["payload"] for row in letters)


async def test_gaps_are_recorded_once_however_often_they_come(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(a="float64"))
    outbox = SmallOutbox(outbox_settings(broker))
    outbox.gap(1, device=DEVICE, start=START_US, end=START_US + 5_000_000, frames=12, reason="overflow")
    outbox.frame(2, {"a": 1.0})
    again = SmallOutbox(outbox_settings(broker), window=10)
    again.waiting, again.unsent = dict(outbox.waiting), list(outbox.unsent)
    async with historian(database, broker):
        async with outbox.running():
            await outbox.drained()
        async with again.running():
            await again.drained()
    gaps = await query(database, "SELECT * FROM nexus.gap")
    assert [(gap["device"], gap["frames"], gap["reason"], gap["seq"]) for gap in gaps] == [(DEVICE, 12, "overflow", 1)]
    assert (gaps[0]["end"] - gaps[0]["start"]).total_seconds() == 5
    assert len(await query(database, ALL)) == 1


async def test_gaps_that_touch_or_overlap_are_one_row(database: Settings, broker: TestBroker) -> None:
    """A full disk of 20 s made eight rows a gateway: each attempt ended one."""
    await declare(database, device(a="float64"), device("a/l/other", a="float64"))
    outbox = SmallOutbox(outbox_settings(broker))

    def at(second: float) -> int:
        return START_US + round(second * 1e6)

    spans = [(0, 2), (1.5, 3), (3.000001, 4), (4.000002, 5), (9, 8)]
    for seq, (start, end) in enumerate(spans, 1):
        outbox.gap(seq, device=DEVICE, start=at(start), end=at(end), frames=2, reason="disk_refused")
    outbox.gap(6, device=DEVICE, start=at(2), end=at(3), frames=1, reason="gateway_killed")
    outbox.gap(7, device="a/l/other", start=at(2), end=at(3), frames=1, reason="disk_refused")
    async with historian(database, broker), outbox.running():
        await outbox.drained()
    gaps = await query(
        database, 'SELECT device, reason, start, "end", frames FROM nexus.gap ORDER BY reason, device, start'
    )
    found = [
        (
            row["device"],
            row["reason"],
            *(round(row[key].timestamp() * 1e6) - START_US for key in ("start", "end")),
            row["frames"],
        )
        for row in gaps
    ]
    assert found == [
        ("a/l/other", "disk_refused", 2_000_000, 3_000_000, 1),
        (DEVICE, "disk_refused", 0, 4_000_000, 6),
        # Between this one and the one before a row could lie: a microsecond.
        (DEVICE, "disk_refused", 4_000_002, 5_000_000, 2),
        # One whose ends were exchanged.
        (DEVICE, "disk_refused", 8_000_000, 9_000_000, 2),
        (DEVICE, "gateway_killed", 2_000_000, 3_000_000, 1),
    ]


async def test_frames_of_another_life_with_the_same_times_are_staged_and_conflicts_told(
    database: Settings, broker: TestBroker
) -> None:
    await declare(database, device(a="float64"))
    first, second = SmallOutbox(outbox_settings(broker)), SmallOutbox(outbox_settings(broker), epoch="E2")
    for seq in range(1, 51):
        first.frame(seq, {"a": float(seq)})
        second.frame(seq + 20, {"a": float(seq + 20) if seq + 20 != 30 else -1.0})
    async with historian(database, broker) as role:
        async with first.running():
            await first.drained()
        async with second.running():
            await second.drained()
        assert role.counters.duplicate_rows == 29
    rows = await query(database, ALL)
    assert [row["value"] for row in rows] == [float(seq) for seq in range(1, 71)]
    letters = await query(database, "SELECT reason, payload FROM nexus.dead_letter")
    assert [row["reason"] for row in letters] == ["conflicting_value"]
    assert "-1" in letters[0]["payload"]


async def test_tags_declared_while_it_runs_are_found(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(a="float64"))
    outbox = SmallOutbox(outbox_settings(broker))
    async with historian(database, broker), outbox.running():
        outbox.frame(1, {"a": 1.0})
        await outbox.drained()
        await declare(database, device(a="float64", b="float64"))
        outbox.frame(2, {"a": 2.0, "b": 2.5})
        await outbox.drained()
    assert len(await query(database, ALL)) == 3
    assert await query(database, "SELECT * FROM nexus.dead_letter") == []


async def test_two_historians_store_every_frame_once(database: Settings, broker: TestBroker) -> None:
    await declare(database, device(a="float64", b="float64"))
    outbox = SmallOutbox(outbox_settings(broker), window=500)
    for seq in range(1, 2001):
        outbox.frame(seq, {"a": float(seq), "b": -float(seq)})
    async with historian(database, broker, name="one") as one, historian(database, broker, name="two") as two:
        async with outbox.running():
            await outbox.drained()
        assert one.shared == two.shared == (broker.kind == "mosquitto")
    assert (await query(database, "SELECT count(*), count(DISTINCT (series_id, time)) FROM nexus.sample"))[0][:] == (
        4000,
        4000,
    )
    assert await query(database, "SELECT * FROM nexus.dead_letter") == []


async def test_a_gap_of_an_earlier_process_begins_behind_its_rows_on_record(
    database: Settings, broker: TestBroker
) -> None:
    """A disk log that lost its end, or was set back, knows less of what was delivered than the record does."""
    other, third = "a/l/other", "a/l/third"
    await declare(database, device(a="float64", b="float64"), device(other, a="float64"), device(third, a="float64"))
    before = SmallOutbox(outbox_settings(broker))
    for seq in range(1, 6):
        before.frame(seq, {"a": seq / 2})
    before.frame(6, {"b": 3.0})
    before.frame(7, {"a": 1.0}, path=third)
    after = SmallOutbox(outbox_settings(broker), epoch="E2")
    last_us, first_us = START_US + 2000, START_US + 20_000  # what the log still knew; the first read of the new process
    spans = [
        (DEVICE, last_us + 1, first_us - 1, "gateway_killed"),
        (DEVICE, last_us + 1, first_us - 1, "overflow"),
        (DEVICE, last_us + 1, START_US + 4500, "gateway_stopped"),
        (other, last_us + 1, first_us - 1, "gateway_killed"),
        (third, last_us + 1, START_US + 7000, "gateway_killed"),
    ]
    for seq, (path, start, end, reason) in enumerate(spans, 1):
        after.gap(seq, device=path, start=start, end=end, reason=reason)
    after.frame(6, {"a": 9.0}, time=first_us)
    async with historian(database, broker):
        async with before.running():
            await before.drained()
        async with after.running():
            await after.drained()
    gaps = await query(database, 'SELECT device, reason, start, "end" FROM nexus.gap ORDER BY seq')
    found = [
        (row["device"], row["reason"], *(round(row[key].timestamp() * 1e6) - START_US for key in ("start", "end")))
        for row in gaps
    ]
    assert found == [
        (DEVICE, "gateway_killed", 6001, 19_999),
        (DEVICE, "overflow", 2001, 19_999),
        (DEVICE, "gateway_stopped", 4001, 4500),
        (other, "gateway_killed", 2001, 19_999),
        # Of the third everything was delivered.
    ]
