"""The outbox when things go wrong: a full disk, too many frames, a second process, receipts of another life."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.gateway.outbox import disklog
from nexus_cli.runtime.gateway.outbox.outbox import Limits, Outbox
from nexus_cli.runtime.gateway.outbox.records import Record
from nexus_cli.wire.frame import Gap, decode_gap
from tests.clock import FakeClock
from tests.frames import columns, frames_of_records

GAPS = "_nexus/acme/chicago/gap/gw-1"


def make(folder: Path, **limits: int) -> Outbox:
    """An open outbox."""
    box = Outbox(folder, clock=FakeClock(), gap_topic=GAPS, limits=Limits(delay_s=0.001, **limits))
    box.open()
    return box


async def gaps_of(box: Outbox) -> list[Gap]:
    """All gaps that are durable."""
    return [decode_gap(one.payload) for one in await everything(box) if one.topic == GAPS]


async def everything(box: Outbox) -> list[Record]:
    """All durable records; one read ends with a segment."""
    records: list[Record] = []
    while some := await box.read(after=records[-1].last if records else 0, limit=100_000, limit_bytes=1 << 30):
        records += some
    return records


async def test_a_full_disk_refuses_counts_and_tells_the_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = make(tmp_path)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(box.run(stop))
        assert box.add_frame(columns("t", time_us=1, samples={"v": 1}))
        while box.durable_seq < 1:
            await asyncio.sleep(0.001)
        with monkeypatch.context() as broken:

            def full(fd: int, data: bytes) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

            broken.setattr(disklog, "_write_all", full)
            assert box.add_frame(columns("t", time_us=2, samples={"v": 2}))
            while not box.failing:
                await asyncio.sleep(0.001)
            assert not box.add_frame(columns("t", time_us=3, samples={"v": 3}))
        while box.failing:
            await asyncio.sleep(0.01)
        assert box.add_frame(columns("t", time_us=4, samples={"v": 4}))
        stop.set()
    assert box.lost == {"overflow": 0, "disk_refused": 2, "outbox_damaged": 0, "frame_too_large": 0}
    gaps = await gaps_of_folder(tmp_path)
    assert [(gap.start, gap.end, gap.frames, gap.reason) for gap in gaps] == [(2, 3, 2, "disk_refused")]


async def gaps_of_folder(folder: Path) -> list[Gap]:
    """Gaps on disk after a clean end."""
    box = make(folder)
    found = await gaps_of(box)
    box._disk.close(True)
    return found


async def test_overflow_drops_the_oldest_with_a_gap(tmp_path: Path) -> None:
    box = make(tmp_path, total_bytes=8_000, segment_bytes=2_000)
    for at in range(400):
        assert box.add_frame(columns("t", time_us=1000 + at, samples={"v": at}))
        if at % 10 == 9:
            assert await box._flush()
    assert await box._flush()
    assert box.size_bytes <= 10_000
    gaps = await gaps_of(box)
    records = await everything(box)
    kept = [frame.samples["v"] for _, frame in frames_of_records(records)]
    assert kept == list(range(400 - len(kept), 400)), "the newest are kept, in order"
    assert box.lost["overflow"] >= 400 - len(kept)
    assert gaps
    assert all(gap.reason == "overflow" for gap in gaps)
    box._disk.close(True)


async def test_receipts_delete_whole_segments_and_foreign_ones_nothing(tmp_path: Path) -> None:
    box = make(tmp_path, segment_bytes=1_000)
    for at in range(60):
        box.add_frame(columns("t", time_us=at, samples={"v": at}))
        await box._flush()
    files = len(list(tmp_path.glob("*.log")))
    assert box.commit("ANOTHEREPOCH", [(1, 60)]) == 0
    assert box.commit(box.epoch, [(5, 60)]) == 0, "the first four are still to be delivered"
    assert box.lowest_uncommitted() == 1
    assert box.uncommitted == 4
    assert box.commit(box.epoch, [(1, 60)]) == files - 1
    assert box.lowest_uncommitted() == 61
    box.add_frame(columns("t", time_us=99, samples={"v": 99}))
    await box._flush()
    assert box.uncommitted == 1
    box._disk.close(True)


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    box = make(tmp_path)
    with pytest.raises(NexusError) as refused:
        make(tmp_path)
    assert refused.value.code == "NX6014"
    box._disk.close(True)


async def test_memory_is_bounded_when_the_publisher_lags(tmp_path: Path) -> None:
    box = make(tmp_path, cache_bytes=2_000, segment_bytes=10_000)
    for at in range(500):
        box.add_frame(columns("t", time_us=at, samples={"v": at}))
        if at % 50 == 49:
            await box._flush()
    assert box._recent.size_bytes <= 2_000
    records = await box.read(after=0, limit=10, limit_bytes=1 << 20)
    assert [(one.seq, one.last) for one in records] == [(1, 50)], "older ones come back from disk"
    box._disk.close(True)


async def test_a_process_that_goes_back_in_time_gives_what_is_not_delivered_another_epoch(tmp_path: Path) -> None:
    """A virtual machine is set back to a snapshot with its memory: its numbers are used again, in the same epoch."""
    box = make(tmp_path)
    before = box.epoch
    for at in range(1, 6):
        box.add_frame(columns("t", time_us=at, samples={"v": at}))
    await box._flush()
    box.commit(before, [(1, 2)])
    box.add_frame(columns("t", time_us=6, samples={"v": 6}))
    assert box.commit(before, [(1, 900)]) == 0, "these are the numbers of the other line of time"
    assert box.epoch != before
    box.add_frame(columns("t", time_us=7, samples={"v": 7}))
    await box._flush()
    records = await everything(box)
    frames = [frame for _, frame in frames_of_records(records)][2:]
    assert [(frame.epoch, frame.seq, frame.time) for frame in frames] == [(box.epoch, at, at) for at in range(3, 8)]
    assert box.commit(before, [(1, 900)]) == 0
    assert box.lowest_uncommitted() == 3, "receipts of the old epoch are not believed any more"
    box.commit(box.epoch, [(3, 7)])
    assert box.lowest_uncommitted() == 8
    box._disk.close(True)
