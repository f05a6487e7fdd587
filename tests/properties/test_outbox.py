"""The laws of the outbox: order is kept, nothing accepted is lost at any kill point, replays are exact."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nexus_cli.runtime.gateway.outbox.intervals import Intervals
from nexus_cli.runtime.gateway.outbox.outbox import Limits, Outbox
from nexus_cli.runtime.gateway.outbox.records import Record, decode_records, encode_record
from nexus_cli.wire.frame import decode_gap
from tests.clock import FakeClock
from tests.examples import examples
from tests.frames import columns, frames_of_records

GAPS = "_nexus/e/s/gap/gw"
SMALL = Limits(total_bytes=1 << 20, segment_bytes=400, cache_bytes=300, delay_s=0.001)
whole_numbers = st.integers(-(2**63), 2**64 - 1)
quick = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def outbox(folder: Path, limits: Limits = SMALL, clock: FakeClock | None = None) -> Outbox:
    """An outbox on a folder."""
    return Outbox(folder, clock=clock or FakeClock(), gap_topic=GAPS, limits=limits)


async def everything(box: Outbox) -> list[Record]:
    """Every durable record without receipt, read the way the publisher does, in small steps."""
    found: list[Record] = []
    cursor = box.lowest_uncommitted() - 1
    while some := await box.read(after=cursor, limit=3, limit_bytes=500):
        found += [one for one in some if not box.is_delivered(one)]
        cursor = some[-1].last
    return found


async def fill(box: Outbox, values: list[int]) -> None:
    """Accept one frame for each value, in some group commits."""
    for at, value in enumerate(values):
        assert box.add_frame(columns("t", time_us=1000 + at, samples={"v": value}))
        if at % 3 == 2:
            assert await box._flush()
    assert await box._flush()


def values_of(box: Outbox, records: list[Record]) -> list[object]:
    """Values of the frames among records that have no receipt."""
    return [frame.samples["v"] for _, frame in frames_of_records(records) if not box.is_committed(frame.seq)]


def rows_of(records: list[Record]) -> list[tuple[int, int, object]]:
    """Number, time and value of the frames among records."""
    return [(frame.seq, frame.time, frame.samples["v"]) for _, frame in frames_of_records(records)]


@quick
@given(values=st.lists(whole_numbers, max_size=40), committed=st.lists(st.integers(1, 40), max_size=10))
def test_order_is_kept_and_a_clean_restart_is_exact(values: list[int], committed: list[int]) -> None:
    async def law(folder: Path) -> None:
        box = outbox(folder)
        box.open()
        await fill(box, values)
        box.commit(box.epoch, [(one, one) for one in committed if one <= box.durable_seq])
        before = await everything(box)
        assert values_of(box, before) == [one for at, one in enumerate(values, 1) if at not in committed]
        stop = asyncio.Event()
        stop.set()
        await box.run(stop)
        again = outbox(folder)
        found = again.open()
        assert not found.killed
        assert not found.broken
        again.commit(box.epoch, [(one, one) for one in committed if one <= len(values)])
        assert await everything(again) == before
        assert again.epoch != box.epoch, "every opening begins a new epoch"
        again._disk.close(True)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(law(Path(folder)))


@quick
@given(values=st.lists(whole_numbers, min_size=1, max_size=40), cut=st.integers(0, 200), more=st.integers(0, 5))
def test_a_kill_loses_nothing_durable(values: list[int], cut: int, more: int) -> None:
    async def law(folder: Path) -> None:
        live, dead = folder / "live", folder / "dead"
        box = outbox(live)
        box.open()
        await fill(box, values)
        durable = await everything(box)
        # The kill: what is durable stays; of a write that was under way any part may be there.
        shutil.copytree(live, dead)
        newest = max(dead.glob("*.log"))
        for at in range(more):
            assert box.add_frame(columns("t", time_us=9000 + at, samples={"v": at}))
            box.add_gap(device="t", start_us=9000, end_us=9000, frames=0, reason="gateway_stalled")
        tail = b"".join(one.encoded for one in box._waiting.take(batch_bytes=200))
        with newest.open("ab") as file:
            file.write(tail[: max(0, len(tail) - cut - 1)])
        box._disk.close(False)
        clock = FakeClock()
        after = outbox(dead, clock=clock)
        found = after.open()
        assert found.killed
        assert not found.broken
        assert await after._flush()
        records = await everything(after)
        assert records[: len(durable)] == durable
        told = [decode_gap(one.payload) for one in records if one.topic == GAPS]
        assert {one.reason for one in told} <= {"gateway_stalled"}, "what is missing is known per device, not here"
        assert after.epoch != box.epoch
        numbers = [seq for one in records for seq in range(one.seq, one.last + 1)]
        assert numbers == list(range(1, len(numbers) + 1))
        after._disk.close(True)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(law(Path(folder)))


@st.composite
def damages(draw: st.DrawFn) -> tuple[str, float, float, int]:
    """Kind, which file, where in it, and a number for the kind."""
    kind = draw(st.sampled_from(["flip", "cut", "zeros", "empty", "delete bytes", "insert bytes", "lose the file"]))
    return kind, draw(st.floats(0, 1)), draw(st.floats(0, 1)), draw(st.integers(1, 255))


def damage(folder: Path, kind: str, which: float, where: float, number: int) -> None:
    """Break one segment; the first file is never lost as a whole, since nothing then says that it was there."""
    paths = sorted(folder.glob("*.log"))
    path = paths[int(which * (len(paths) - 1))]
    data = bytearray(path.read_bytes())
    at = int(where * max(0, len(data) - 1))
    if kind == "lose the file":
        if path != paths[0]:
            path.unlink()
        return
    if kind == "flip" and data:
        data[at] ^= number
    elif kind == "cut":
        del data[at:]
    elif kind == "zeros":
        data[at : at + number] = bytes(len(data[at : at + number]))
    elif kind == "empty":
        data.clear()
    elif kind == "delete bytes":
        del data[at : at + number]
    elif kind == "insert bytes":
        data[at:at] = bytes(number)
    path.write_bytes(data)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(values=[0, 0, 0], what=[("flip", 0.0, 1.0, 1), ("flip", 0.0, 0.25, 1)], clean=True)
@given(
    values=st.lists(st.integers(0, 9), min_size=1, max_size=40),
    what=st.lists(damages(), min_size=1, max_size=3),
    clean=st.booleans(),
)
def test_damage_is_told_by_gaps_that_hold_what_is_missing_and_nothing_else(
    values: list[int], what: list[tuple[str, float, float, int]], clean: bool
) -> None:
    async def law(folder: Path) -> None:
        box = outbox(folder)
        box.open()
        for at, value in enumerate(values):
            assert box.add_frame(columns("t", time_us=1000 + 2 * at, samples={"v": value}))
            if at % 3 == 2:
                assert await box._flush()
        assert await box._flush()
        durable = await everything(box)
        box._disk.close(clean)
        for one in what:
            damage(folder, *one)
        after = outbox(folder)
        opened = after.open()
        after.declare_damage()
        await after._flush()
        records = await everything(after)
        kept = rows_of(records)
        assert kept == [one for one in rows_of(durable) if one in kept], "order is kept, nothing is invented"
        gaps = [decode_gap(one.payload) for one in records if one.topic == GAPS]
        assert all(gap.start <= gap.end for gap in gaps)
        held = {time_us for _, time_us, _ in kept}
        for _, time_us, _ in rows_of(durable):
            inside = any(gap.start <= time_us <= gap.end for gap in gaps)
            if time_us in held:
                assert not inside, (time_us, gaps)
            else:  # after a kill the gateway itself declares what lies behind the last sound record, per device
                assert inside or (opened.killed and time_us >= opened.open_us), (time_us, gaps)
        after._disk.close(True)
        # What was declared once is not declared again.
        again = outbox(folder)
        found = again.open()
        again.declare_damage()
        await again._flush()
        repeated = [decode_gap(one.payload) for one in await everything(again) if one.topic == GAPS]
        assert [(gap.start, gap.end) for gap in repeated] == [(gap.start, gap.end) for gap in gaps], found
        again._disk.close(True)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(law(Path(folder)))


@quick
@given(
    payloads=st.lists(
        st.tuples(st.integers(0, 2**60), st.integers(0, 4000), st.text(max_size=20), st.binary(max_size=50))
    )
)
def test_records_decode_to_what_was_encoded(payloads: list[tuple[int, int, str, bytes]]) -> None:
    records = [
        Record(at, at + more, time - more, time, topic, payload)
        for at, (time, more, topic, payload) in enumerate(payloads)
    ]
    data = b"".join(encode_record(one) for one in records)
    assert [one for _, one in decode_records(data)] == records


@quick
@given(data=st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    assert isinstance(list(decode_records(data)), list)


@quick
@given(ranges=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=30), probe=st.integers(0, 60))
def test_intervals_are_the_set_they_stand_for(ranges: list[tuple[int, int]], probe: int) -> None:
    plain = {number for first, last in ranges for number in range(first, last + 1)}
    intervals = Intervals(ranges)
    assert (probe in intervals) == (probe in plain)
    assert intervals.count(5, probe) == len([one for one in plain if 5 <= one <= probe])
    found = intervals.ranges()
    assert {number for first, last in found for number in range(first, last + 1)} == plain
    assert all(found[at][1] + 1 < found[at + 1][0] for at in range(len(found) - 1)), "disjoint and ascending"
    following = next(one for one in range(probe, 200) if one not in plain)
    assert intervals.next_missing(probe) == following
