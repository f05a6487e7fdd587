"""What the outbox loses is counted and declared by gaps that hold what is missing and nothing that is there."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from nexus_cli.runtime.gateway.outbox import disklog
from nexus_cli.runtime.gateway.outbox.losses import Losses, Span, dropped
from nexus_cli.runtime.gateway.outbox.outbox import Limits, Outbox
from nexus_cli.runtime.gateway.outbox.records import Record, decode_records, encode_record
from nexus_cli.runtime.gateway.outbox.segment import HEADER_BYTES
from nexus_cli.wire.command import Report, Response, State, decode_report
from nexus_cli.wire.command import encode as encode_report
from nexus_cli.wire.frame import Gap, decode_gap
from tests.clock import FakeClock
from tests.frames import columns, frames_of_records

PLATFORM = "_nexus/acme/chicago"
GAPS = f"{PLATFORM}/gap/gw-1"


def make(folder: Path, **limits: int) -> Outbox:
    """An open outbox."""
    box = Outbox(folder, clock=FakeClock(), gap_topic=GAPS, limits=Limits(delay_s=0.001, **limits))
    box.open()
    return box


async def everything(box: Outbox) -> list[Record]:
    """All durable records without receipt."""
    records: list[Record] = []
    after = box.lowest_uncommitted() - 1
    while after < box.durable_seq:
        some = await box.read(after=after, limit=50, limit_bytes=10_000)
        records += [one for one in some if not box.is_delivered(one)]
        after = some[-1].last if some else box.next_uncommitted(after + 1) - 1
        if not some and after + 1 > box.durable_seq:
            break
    return records


def gaps_in(records: list[Record]) -> list[Gap]:
    """The gaps among records."""
    return [decode_gap(one.payload) for one in records if one.topic == GAPS]


def full_disk(patch: pytest.MonkeyPatch, *, above: int = 0) -> None:
    """A disk that takes nothing that is larger than so many bytes."""
    real = disklog._write_all

    def write(fd: int, data: bytes) -> None:
        if len(data) > above:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd, data)

    patch.setattr(disklog, "_write_all", write)


async def test_a_full_disk_makes_one_gap_per_device_and_burns_no_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = make(tmp_path)
    for device in ("a/l/one", "a/l/two"):
        box.add_frame(columns(device, time_us=10, samples={"v": 1}))
    assert await box._flush()
    with monkeypatch.context() as patch:
        full_disk(patch, above=200)  # a gap would fit, a frame does not
        for at in range(1, 9):
            box.add_frame(columns("a/l/one", time_us=10 + at, samples={"v": "x" * 300}))
            box.add_frame(columns("a/l/two", time_us=10 + at, samples={"v": 2}))
            assert not await box._flush()
    box.add_frame(columns("a/l/one", time_us=90, samples={"v": 3}))
    assert await box._flush()
    assert box.add_frame(columns("a/l/one", time_us=91, samples={"v": 4}))
    assert await box._flush()
    records = await everything(box)
    numbers = [seq for one in records for seq in range(one.seq, one.last + 1)]
    assert numbers == list(range(1, len(numbers) + 1)), "every number is used"
    found = sorted((gap.device, gap.start, gap.end, gap.frames, gap.reason) for gap in gaps_in(records))
    assert found == [("a/l/one", 11, 90, 9, "disk_refused"), ("a/l/two", 11, 18, 8, "disk_refused")]
    assert box.lost["disk_refused"] == 17
    box._disk.close(True)
    again = make(tmp_path)
    assert gaps_in(await everything(again)) == gaps_in(records), "the refused bytes are no damage at the next start"
    again._disk.close(True)


async def test_refused_bytes_that_reached_the_disk_never_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write succeeds, the sync fails, and not even cutting the file works."""
    box = make(tmp_path)
    box.add_frame(columns("a/l/one", time_us=1, samples={"v": 1}))
    assert await box._flush()
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        patch.setattr(disklog, "_sync_data", fail)
        patch.setattr(disklog.os, "ftruncate", fail)
        box.add_frame(columns("a/l/one", time_us=2, samples={"v": "refused"}))
        assert not await box._flush()
    assert await box._flush()
    box.add_frame(columns("a/l/one", time_us=3, samples={"v": 3}))
    assert await box._flush()
    records = await everything(box)
    box._disk.close(False)
    again = Outbox(tmp_path, clock=FakeClock(), gap_topic=GAPS)
    found = again.open()
    assert not found.broken
    assert (await everything(again))[: len(records)] == records
    assert b"refused" not in b"".join(one.payload for one in records if one.topic != GAPS)
    again._disk.close(True)


@pytest.mark.parametrize("kept", [0, 1, 4, None])
async def test_a_tail_that_is_gone_after_a_clean_end_is_missed(tmp_path: Path, kept: int | None) -> None:
    """The file is cut at the border of a record, or gone: nothing in the bytes that are left tells it."""
    box = make(tmp_path, segment_bytes=1_000)
    for at in range(1, 12):
        box.add_frame(columns("a/l/one", time_us=10 * at, samples={"v": at}))
        assert await box._flush()
    newest = box._disk.segments[-1]
    box._disk.close(True)
    if kept is None:
        newest.path.unlink()
        lost_from = newest.first_seq
    else:
        found = [end for end, _ in decode_records(newest.path.read_bytes(), HEADER_BYTES)]
        os.truncate(newest.path, [HEADER_BYTES, *found][min(kept, len(found) - 1)])
        lost_from = newest.first_seq + min(kept, len(found) - 1)
    after = make(tmp_path)
    assert not gaps_in(await everything(after)), "perhaps the historian has it: its receipt is awaited"
    after.declare_damage()
    assert await after._flush()
    gap = gaps_in(await everything(after))[0]
    assert gap.start == 10 * (lost_from - 1) + 1
    assert (gap.end, gap.frames, gap.seq) == (110, 12 - lost_from, 12)
    after._disk.close(True)


async def test_a_full_disk_gives_back_what_was_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = make(tmp_path)
    box.add_frame(columns("a/l/one", time_us=1, samples={"v": 1}))
    assert await box._flush()
    box.commit(box.epoch, [(1, 1)])
    with monkeypatch.context() as patch:
        full_disk(patch)
        box.add_frame(columns("a/l/one", time_us=2, samples={"v": 2}))
        assert not await box._flush()
        assert not await box._flush()
        assert not list(tmp_path.glob("*.log")), "the only segment is delivered, and takes the room that is missing"
    assert await box._flush()
    assert [gap.start for gap in gaps_in(await everything(box))] == [2]
    box._disk.close(True)


async def test_a_report_that_the_disk_refuses_is_named_to_its_maker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = make(tmp_path)
    refused: list[int] = []
    box.on_refused(refused.append)
    with monkeypatch.context() as patch:
        full_disk(patch)
        seq = box.add_report("audit", time_us=5, make=lambda epoch, seq: b"{}")
        assert not await box._flush()
    assert refused[0] == seq
    assert box.lost["disk_refused"] == 0, "it is not lost: its maker has it"
    assert await box._flush()
    assert not await everything(box)
    box._disk.close(True)


async def test_overflow_declares_what_is_missing_of_each_device_and_carries_gaps_and_reports(tmp_path: Path) -> None:
    box = make(tmp_path, total_bytes=12_000, segment_bytes=3_000)
    box.add_gap(device="a/l/one", start_us=1, end_us=5, frames=4, reason="gateway_stalled")
    response = Response(id="c1", state=State.DONE)

    def report(epoch: str, seq: int) -> bytes:
        return encode_report(
            Report(epoch=epoch, seq=seq, gateway="gw-1", principal="desk", received=7, response=response)
        )

    box.add_report(f"{PLATFORM}/audit/gw-1", time_us=7, make=report)
    sent: dict[str, list[int]] = {"a/l/one": [], "a/l/two": []}
    for at in range(200):
        device = "a/l/two" if at % 3 else "a/l/one"
        box.add_frame(columns(device, time_us=100 + at, samples={"v": at}))
        sent[device].append(100 + at)
        if at == 20:  # the first ones of one device have arrived
            assert await box._flush()
            box.commit(box.epoch, [(3, 6)])
        if at % 5 == 0:
            assert await box._flush()
    assert await box._flush()
    assert await box._flush()
    records = await everything(box)
    gaps = gaps_in(records)
    assert next(gap for gap in gaps if gap.reason == "gateway_stalled").end == 5
    reports = [decode_report(one.payload) for one in records if "/audit/" in one.topic]
    assert [(one.response.id, one.epoch) for one in reports] == [("c1", box.epoch)]
    arrived = {100, 101, 102, 103}
    for device, times in sent.items():
        kept = {frame.time for path, frame in frames_of_records(records) if path == device} | (arrived & set(times))
        spans = [(gap.start, gap.end) for gap in gaps if gap.device == device and gap.reason == "overflow"]
        for time_us in times:
            assert any(start <= time_us <= end for start, end in spans) == (time_us not in kept), (device, time_us)
    assert box.lost["overflow"] == sum(gap.frames for gap in gaps if gap.reason == "overflow")
    box._disk.close(True)


async def test_damage_found_while_reading_is_told_and_what_follows_is_given(tmp_path: Path) -> None:
    box = make(tmp_path, cache_bytes=0, segment_bytes=2_000)
    for at in range(1, 61):
        box.add_frame(columns("a/l/one", time_us=10 * at, samples={"v": at}))
        assert await box._flush()
    paths = sorted(tmp_path.glob("*.log"))
    middle = bytearray(paths[1].read_bytes())
    middle[len(middle) // 2] ^= 0xFF
    paths[1].write_bytes(middle)
    newest = bytearray(paths[-1].read_bytes())
    newest[-10] ^= 0xFF
    paths[-1].write_bytes(newest)
    paths[2].unlink()
    records = await everything(box)
    box.declare_damage()
    assert await box._flush()
    records = [*records, *(one for one in await everything(box) if one.topic == GAPS)]
    kept = {frame.time for _, frame in frames_of_records(records)}
    gaps = gaps_in(records)
    assert len(kept) < 60
    for at in range(1, 61):
        inside = any(gap.start <= 10 * at <= gap.end for gap in gaps)
        assert inside == (10 * at not in kept), at
    assert {gap.reason for gap in gaps} == {"outbox_damaged"}
    assert box.add_frame(columns("a/l/one", time_us=1_000, samples={"v": 1_000})), "it goes on"
    assert await box._flush()
    assert frames_of_records(await everything(box))[-1][1].samples == {"v": 1_000}
    box._disk.close(True)


async def test_a_disk_that_can_t_be_read_does_not_end_the_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = make(tmp_path, cache_bytes=0, segment_bytes=600)
    for at in range(1, 11):
        box.add_frame(columns("a/l/one", time_us=at, samples={"v": at}))
        assert await box._flush()
    bad = box._disk.segments[0]
    real = disklog.read_records

    def read(segment: object, **keys: int) -> list[Record]:
        if segment is bad:
            raise OSError(errno.EIO, "Input/output error")
        return real(segment, **keys)  # type: ignore[arg-type]

    monkeypatch.setattr(disklog, "read_records", read)
    for _ in range(disklog.MOST_FAILED_READS):
        assert await box.read(after=0, limit=100, limit_bytes=1 << 20) == []
    records = await box.read(after=0, limit=100, limit_bytes=1 << 20)
    assert records[0].seq == bad.last_seq + 1
    assert await box._flush()
    assert not gaps_in(await everything(box)), "its receipt may be on the way"
    box.declare_damage()
    assert await box._flush()
    gap = gaps_in(await everything(box))[0]
    assert (gap.start, gap.end, gap.frames) == (1, bad.last_time_us, bad.records)
    box._disk.close(True)


def test_a_record_that_can_t_be_read_back_is_not_written() -> None:
    with pytest.raises(ValueError, match="too large"):
        encode_record(Record.single(1, 1, "t", bytes(64 << 20)))
    with pytest.raises(ValueError, match="too large"):
        encode_record(Record.single(1, 1, "t" * 70_000, b""))


async def test_a_huge_value_becomes_bad_and_the_rest_of_its_frame_is_kept(tmp_path: Path) -> None:
    box = make(tmp_path)
    samples = {"small": 1, "huge": "x" * (65 << 20), "list": list(range(100))}
    assert box.add_frame(columns("a/l/one", time_us=5, samples=samples))  # type: ignore[arg-type]
    assert await box._flush()
    frames = [frame for _, frame in frames_of_records(await everything(box))]
    assert {tag: value for frame in frames for tag, value in frame.samples.items()} == {**samples, "huge": None}
    assert [frame.quality["huge"] for frame in frames if frame.quality] == [("BAD", "too_large", 0)]
    assert {frame.time for frame in frames} == {5}
    assert box.lost["frame_too_large"] == 1
    box._disk.close(True)


async def test_a_gateway_that_starts_again_and_again_keeps_little(tmp_path: Path) -> None:
    """Every life has an epoch of its own. Without a historian each is kept; its receipt deletes its segment."""
    lives: list[tuple[str, int]] = []
    for life in range(1, 241):
        box = make(tmp_path)
        box.add_frame(columns("a/l/one", time_us=life, samples={"v": life}))
        assert await box._flush()
        lives.append((box.epoch, box.durable_seq))
        box._disk.close(True)
        if life % 60 == 0:  # the historian is there now and then
            box = make(tmp_path)
            assert box.uncommitted == 60 + (life > 60), "the newest segment is not deleted"
            for epoch, seq in lives:
                box.commit(epoch, [(seq, seq)])
            assert len(list(tmp_path.glob("*.log"))) == 1
            assert len(box._custody._epochs) <= 2
            assert box.uncommitted == 0
            box._disk.close(True)
    assert len({epoch for epoch, _ in lives}) == 240


def test_losses_of_one_device_join_only_where_nothing_lies_between() -> None:
    losses = Losses()
    losses.add(Span("d", "overflow", 1, 5, 2))
    losses.add(Span("d", "overflow", 6, 9, 1))
    losses.add(Span("d", "overflow", 20, 15, 1))
    losses.add(Span("d", "disk_refused", 21, 21, 1), joined=True)
    losses.add(Span("d", "disk_refused", 40, 40, 1), joined=True)
    assert losses.take() == [
        Span("d", "overflow", 1, 9, 3),
        Span("d", "overflow", 15, 20, 1),
        Span("d", "disk_refused", 21, 40, 2),
    ]
    assert not losses


def test_a_gap_of_a_dropped_segment_ends_where_a_frame_had_arrived() -> None:
    frames = [("d", 1, True), ("e", 2, True), ("d", 3, False), ("e", 4, True), ("d", 5, True), ("d", 6, True)]
    assert dropped(frames, most=64) == [
        Span("d", "overflow", 1, 1, 1),
        Span("e", "overflow", 2, 4, 2),
        Span("d", "overflow", 5, 6, 2),
    ]


async def test_a_disk_that_has_room_for_a_gap_alone_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take the gap at each retry, then refuse the frames behind it: a gap for each retry."""
    box = make(tmp_path, room_bytes=50_000)
    with monkeypatch.context() as patch:
        full_disk(patch, above=2_000)
        for at in range(1, 6):
            box.add_frame(columns("a/l/one", time_us=at, samples={"v": "x" * 3_000}))
            assert not await box._flush()
            assert box.failing
    assert await box._flush()
    assert [(gap.start, gap.end, gap.frames) for gap in gaps_in(await everything(box))] == [(1, 5, 5)]
    assert not (tmp_path / "room").exists()
    box._disk.close(True)


def test_losses_are_bounded_by_one_span_of_the_gateway() -> None:
    losses = Losses(most=10)
    for at in range(100):
        losses.add(Span(f"d{at}", "disk_refused", at, at, 1), joined=True)
    assert losses.take() == [Span("", "disk_refused", 0, 99, 100)]


def test_a_dropped_segment_of_a_large_plant_makes_one_gap() -> None:
    many = [(f"d{at}", at, True) for at in range(100)]
    assert dropped(many, most=64) == [Span("", "overflow", 0, 99, 100)]
    assert len(dropped([*many, ("d5", 200, False)], most=64)) == 100, "one that arrived must not lie in a gap"


async def test_run_declares_nothing_when_nothing_is_lost(tmp_path: Path) -> None:
    box = make(tmp_path)
    stop = asyncio.Event()
    stop.set()
    box.add_frame(columns("a/l/one", time_us=1, samples={"v": 1}))
    await box.run(stop)
    again = make(tmp_path)
    assert [device for device, _ in frames_of_records(await everything(again))] == ["a/l/one"]
    assert not gaps_in(await everything(again))
    again._disk.close(True)
