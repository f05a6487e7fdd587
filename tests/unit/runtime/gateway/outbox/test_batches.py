"""Frames of one group commit are one record; gaps and reports keep their places between them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.runtime.gateway.devices.handover import Mark
from nexus_cli.runtime.gateway.mark import past_of
from nexus_cli.runtime.gateway.outbox.contents import Framed
from nexus_cli.runtime.gateway.outbox.outbox import Limits, Outbox
from nexus_cli.runtime.gateway.outbox.records import Record, decode_records, encode_record, find_record
from nexus_cli.wire.frame import decode_frame
from nexus_cli.wire.frame_batch import (
    BATCH_BYTES,
    MOST_FRAMES,
    MOST_NAMED,
    FrameColumns,
    Shape,
    columns_of,
    decode_batch,
)
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock
from tests.frames import columns, frames_of_records
from tests.unit.runtime.gateway.outbox import former_log

TOPICS = Topics("acme", "chicago")
ONE, TWO = "a/l/one", "a/l/two"


def make(folder: Path, **limits: int) -> Outbox:
    """An open outbox."""
    box = Outbox(folder, clock=FakeClock(), gap_topic=TOPICS.gap("gw"), limits=Limits(**limits))
    box.open()
    return box


async def group(box: Outbox, *, after: int = 0) -> list[Record]:
    """The records of the next group commit."""
    assert await box._flush()
    return await box.read(after=after, limit=1 << 30, limit_bytes=1 << 30)


async def test_gaps_and_reports_stay_in_their_order_between_the_batches(tmp_path: Path) -> None:
    box = make(tmp_path)
    for at in (1, 2, 3):
        box.add_frame(columns(ONE if at % 2 else TWO, time_us=at, samples={"v": at}))
    box.add_gap(device=ONE, start_us=1, end_us=2, frames=1, reason="gateway_stalled")
    assert box.add_report("audit", time_us=4, make=lambda epoch, seq: b'{"seq":%d}' % seq) == 5
    box.add_frame(columns(ONE, time_us=2, samples={"v": 6}))
    box.add_frame(columns(ONE, time_us=9, samples={"v": 7}))
    records = await group(box)
    batches = TOPICS.batches("gw")
    assert [(one.seq, one.last, one.topic) for one in records] == [
        (1, 3, batches),
        (4, 4, TOPICS.gap("gw")),
        (5, 5, "audit"),
        (6, 7, batches),
    ]
    assert (records[-1].start_us, records[-1].time_us) == (2, 9)
    assert [(device, frame.seq, frame.samples) for device, frame in frames_of_records(records)] == [
        (ONE, 1, {"v": 1}),
        (TWO, 2, {"v": 2}),
        (ONE, 3, {"v": 3}),
        (ONE, 6, {"v": 6}),
        (ONE, 7, {"v": 7}),
    ]
    assert (box.accepted, box.durable_seq, box.uncommitted) == (7, 7, 7)
    assert box.contents.frames(records[0]) == [Framed(1, ONE, 1), Framed(2, TWO, 2), Framed(3, ONE, 3)]
    box._disk.close(True)


@pytest.mark.parametrize("sourced", [False, True])
async def test_a_batch_ends_before_its_limit(tmp_path: Path, sourced: bool) -> None:
    box = make(tmp_path)
    shape = Shape(ONE, [f"tag-{at}" for at in range(50)])
    for at in range(1, 1001):
        samples = {tag: float(at) if at % 7 else "text" for tag in shape.tags}
        sources = {"tag-3": at} if sourced and at % 100 == 0 else {}
        assert box.add_frame(columns_of(shape, at, samples, {"tag-1": ("UNCERTAIN", None, 0)}, sources))
    records = await group(box)
    assert all(len(one.payload) <= BATCH_BYTES for one in records)
    assert len(records) > 5
    assert sum(len(one.payload) for one in records) > 0.5 * BATCH_BYTES * len(records)
    assert [frame.seq for _, frame in frames_of_records(records)] == list(range(1, 1001))
    assert all(len(decode_batch(one.payload).shapes) == 1 for one in records), "names once a batch"
    box._disk.close(True)


async def test_a_batch_has_a_bounded_number_of_frames(tmp_path: Path) -> None:
    box = make(tmp_path)
    shape = Shape(ONE, ["v"])
    one = FrameColumns(shape, 1, b"", bytes(8))
    for at in range(MOST_FRAMES + 10):
        assert box.add_frame(one._replace(time_us=at))
    box.frame_bytes = 1 << 20
    assert [one.numbers for one in await group(box)] == [MOST_FRAMES, 10]
    box._disk.close(True)


async def test_the_shapes_of_a_batch_have_a_bounded_number_of_tags(tmp_path: Path) -> None:
    box = make(tmp_path)
    tags = [f"{at:x}" for at in range(400)]
    for at in range(1, 401):
        shape = Shape(f"a/l/d{at}", tags)
        assert box.add_frame(columns_of(shape, at, {tags[at % 400]: float(at)}, {}, {}))
    records = await group(box)
    assert all(len(decode_batch(one.payload).shapes) * len(tags) <= MOST_NAMED for one in records)
    assert [one.numbers for one in records] == [MOST_NAMED // 400] * (400 // (MOST_NAMED // 400)) + [
        400 % (MOST_NAMED // 400)
    ]
    assert [(device, frame.samples) for device, frame in frames_of_records(records)] == [
        (f"a/l/d{at}", {tags[at % 400]: float(at)}) for at in range(1, 401)
    ]
    box._disk.close(True)


async def test_a_record_is_done_when_all_its_numbers_are(tmp_path: Path) -> None:
    box = make(tmp_path, cache_bytes=0)
    for at in range(1, 11):
        box.add_frame(columns(ONE, time_us=at, samples={"v": at}))
    (record,) = await group(box)
    box.commit(box.epoch, [(1, 4), (6, 10)])
    assert box.lowest_uncommitted() == 5
    assert not box.is_delivered(record)
    assert await box.read(after=4, limit=1, limit_bytes=1) == [record], "it is sent again whole"
    box.commit(box.epoch, [(5, 5)])
    assert box.is_delivered(record)
    assert box.uncommitted == 0
    box._disk.close(True)


async def test_a_batch_that_is_cut_is_read_in_pieces_under_its_numbers(tmp_path: Path) -> None:
    box = make(tmp_path)
    for at in range(1, 9):
        box.add_frame(columns(ONE, time_us=at, samples={"v": "x" * 200}))
    (record,) = await group(box)
    assert box.replace(record, frame_bytes=1_200)
    pieces = await box.read(after=0, limit=100, limit_bytes=1 << 20)
    assert len(pieces) > 1
    assert frames_of_records(pieces) == frames_of_records([record])
    assert [one.seq for one in await box.read(after=pieces[0].last, limit=100, limit_bytes=1 << 20)] == [
        one.seq for one in pieces[1:]
    ]
    assert box.replace(pieces[-1], frame_bytes=512)
    smaller = await box.read(after=0, limit=100, limit_bytes=1 << 20)
    assert len(smaller) > len(pieces)
    assert frames_of_records(smaller) == frames_of_records([record])
    box.commit(box.epoch, [(1, 8)])
    assert box.newest_seq == 8, "no new numbers"
    box._disk.close(True)


async def test_in_json_each_frame_is_a_record_of_its_own_and_shows_integers(tmp_path: Path) -> None:
    box = make(tmp_path)
    box.json_frames = True
    box.add_frame(columns(ONE, time_us=1, samples={"count": 3, "on": True, "x": 1.0}, exact=True))
    box.add_frame(columns(TWO, time_us=2, samples={"count": 4}, exact=True))
    first, second = await group(box)
    assert (first.topic, second.topic) == (TOPICS.data("gw", ONE), TOPICS.data("gw", TWO))
    assert b'{"count":3,"on":true,"x":1.0}' in first.payload
    assert decode_frame(second.payload).seq == 2
    box._disk.close(True)


async def test_the_mark_may_lie_within_a_record(tmp_path: Path) -> None:
    box = make(tmp_path)
    for at in range(1, 7):
        box.add_frame(columns(ONE if at < 4 else TWO, time_us=10 * at, samples={"v": at}))
    assert await box._flush()
    box._disk.close(False)
    again = Outbox(tmp_path, clock=FakeClock(), gap_topic=TOPICS.gap("gw"))
    opened = again.open()
    found = past_of(Mark(time_us=45, seq=4), opened, again, gateway="gw", topics=TOPICS, paths=[ONE, TWO])
    assert found is not None
    assert found.rows_us == {TWO: 60}, "the rows up to the mark are not rows behind it"
    assert found.mark.time_us == 45
    again._disk.close(True)


def test_a_record_of_one_version_is_never_taken_for_one_of_the_other() -> None:
    new = encode_record(Record(5, 9, 70, 80, "t", b"payload"))
    old = former_log.record(10, 90, "t", b"payload")
    assert [one for _, one in decode_records(new + old + new)] == [
        Record(5, 9, 70, 80, "t", b"payload"),
        Record(10, 10, 90, 90, "t", b"payload"),
        Record(5, 9, 70, 80, "t", b"payload"),
    ]
    assert find_record(b"xyz" + old, 0) == 3
    assert find_record(b"xyz" + new, 0, above=5) is None
