"""The disk log of the former version is read and delivered as it is, and damage in it is declared as ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nexus_cli.runtime.gateway.devices.handover import Mark
from nexus_cli.runtime.gateway.mark import past_of, save_mark
from nexus_cli.runtime.gateway.outbox.outbox import Limits, Outbox
from nexus_cli.runtime.gateway.outbox.records import Record
from nexus_cli.runtime.gateway.outbox.segment import HEADER_BYTES
from nexus_cli.wire.frame import Gap, decode_gap
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock
from tests.frames import columns, frames_of_records
from tests.unit.runtime.gateway.outbox import former_log

TOPICS = Topics("acme", "chicago")
GAPS = TOPICS.gap("gw")
ONE, TWO = "a/l/one", "a/l/two"


def make(folder: Path, **limits: int) -> Outbox:
    """An outbox; it reads from disk."""
    return Outbox(folder, clock=FakeClock(now_us=9_000), gap_topic=GAPS, limits=Limits(cache_bytes=0, **limits))


def old_gap(seq: int) -> bytes:
    """A gap as the former version wrote it."""
    return json.dumps(
        {
            "epoch": former_log.EPOCH,
            "seq": seq,
            "device": ONE,
            "start": 21,
            "end": 29,
            "frames": 2,
            "reason": "overflow",
        }
    ).encode()


def fill(folder: Path) -> list[tuple[int, str, bytes]]:
    """Two segments of the former version: frames 1 to 3, a gap, frames 5 to 9."""
    records = [
        (10 * seq, TOPICS.data("gw", ONE if seq % 2 else TWO), former_log.frame(seq, 10 * seq, {"v": seq, "on": True}))
        for seq in range(1, 10)
    ]
    records[3] = (40, GAPS, old_gap(4))
    former_log.write(folder, 1, records[:4])
    former_log.write(folder, 5, records[4:])
    return records


async def everything(box: Outbox) -> list[Record]:
    """All durable records without receipt."""
    found: list[Record] = []
    after = box.lowest_uncommitted() - 1
    while after < box.durable_seq:
        some = await box.read(after=after, limit=4, limit_bytes=300)
        found += [one for one in some if not box.is_delivered(one)]
        after = some[-1].last if some else box.next_uncommitted(after + 1) - 1
    return found


async def test_it_is_delivered_byte_by_byte_and_its_receipts_delete_it(tmp_path: Path) -> None:
    written = fill(tmp_path)
    box = make(tmp_path)
    opened = box.open()
    assert not opened.broken
    assert not opened.torn_bytes
    assert (opened.last_seq, opened.last_time_us) == (9, 90)
    records = await everything(box)
    assert [(one.time_us, one.topic, one.payload) for one in records] == written
    assert box.add_frame(columns(TWO, time_us=100, samples={"v": 10}))
    assert box.add_frame(columns(ONE, time_us=101, samples={"v": 11}))
    assert await box._flush()
    devices = [(device, frame.seq) for device, frame in frames_of_records(await everything(box))]
    assert devices[-2:] == [(TWO, 10), (ONE, 11)]
    assert box.uncommitted == 11
    assert box.commit(former_log.EPOCH, [(1, 9)]) == 2
    assert box.lowest_uncommitted() == 10
    box._disk.close(True)


@pytest.mark.parametrize("head", [False, True])
async def test_damage_in_it_is_a_gap_and_the_rest_is_delivered(tmp_path: Path, head: bool) -> None:
    fill(tmp_path)
    path = max(tmp_path.glob("*.log"))
    data = bytearray(path.read_bytes())
    at = HEADER_BYTES // 2 if head else data.index(b'"seq":7')
    data[at] ^= 0xFF
    path.write_bytes(data)
    box = make(tmp_path)
    box.open()
    box.declare_damage()
    assert await box._flush()
    records = await everything(box)
    numbers = [frame.seq for _, frame in frames_of_records(records)]
    gaps = [decode_gap(one.payload) for one in records if one.topic == GAPS]
    if head:
        assert numbers == [1, 2, 3, 5, 6, 7, 8, 9]
        assert [gap.reason for gap in gaps] == ["overflow"]
    else:
        assert numbers == [1, 2, 3, 5, 6, 8, 9]
        assert [(gap.start, gap.end, gap.frames) for gap in gaps[1:]] == [(61, 79, 1)]
    again = make(tmp_path)
    box._disk.close(True)
    again.open()
    assert [frame.seq for _, frame in frames_of_records(await everything(again))] == numbers, "salvaged, it is the same"
    again._disk.close(True)


async def test_a_kill_at_any_byte_of_its_end_loses_only_the_record_there(tmp_path: Path) -> None:
    records = fill(tmp_path)
    path = max(tmp_path.glob("*.log"))
    whole = path.read_bytes()
    (tmp_path / "running").touch()
    for size in range(HEADER_BYTES, len(whole) + 1, 7):
        path.write_bytes(whole[:size])
        box = make(tmp_path)
        opened = box.open()
        found = await everything(box)
        assert [one.payload for one in found] == [one[2] for one in records[: len(found)]]
        assert not opened.broken
        box._disk.close(False)
        for extra in tmp_path.glob("*.log"):
            if extra.name > path.name:
                extra.unlink()


async def test_overflow_drops_it_with_gaps_of_its_devices(tmp_path: Path) -> None:
    fill(tmp_path)
    box = make(tmp_path, total_bytes=10_000, segment_bytes=20_000)
    box.open()
    assert box.add_frame(columns(TWO, time_us=100, samples={"v": "x" * 9_000}))
    assert await box._flush()
    assert await box._flush()
    gaps: list[Gap] = [decode_gap(one.payload) for one in await everything(box) if one.topic == GAPS]
    lost = [gap for gap in gaps if gap.reason == "overflow" and gap.start != 21]
    assert {gap.device for gap in lost} == {ONE, TWO}
    assert sum(gap.frames for gap in lost) == box.lost["overflow"]
    box._disk.close(True)


async def test_rows_behind_the_mark_are_looked_up_in_it(tmp_path: Path) -> None:
    fill(tmp_path)
    mark = Mark(time_us=55, seq=5)
    save_mark(tmp_path, mark)
    box = make(tmp_path)
    opened = box.open()
    found = past_of(mark, opened, box, gateway="gw", topics=TOPICS, paths=[ONE, TWO])
    assert found is not None
    assert found.rows_us == {ONE: 90, TWO: 80}
    box._disk.close(True)
