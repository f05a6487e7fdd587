"""Damage waits for the receipts, through kills as well, so that no gap holds a row that was delivered before."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from nexus_cli.runtime.gateway.outbox.outbox import Limits, Outbox
from nexus_cli.runtime.gateway.outbox.publisher import RECEIPT_S, Publisher
from nexus_cli.runtime.gateway.outbox.records import Record
from nexus_cli.wire.frame import Committed, Gap, Receipt, decode_gap, encode
from tests.clock import FakeClock
from tests.frames import columns

GAPS = "_nexus/acme/chicago/gap/gw-1"
DEVICE = "a/l/one"


def make(folder: Path, clock: FakeClock | None = None) -> Outbox:
    """An open outbox with small segments; it reads from disk."""
    limits = Limits(delay_s=0.001, segment_bytes=900, cache_bytes=0)
    box = Outbox(folder, clock=clock or FakeClock(), gap_topic=GAPS, limits=limits)
    box.open()
    return box


async def fill(box: Outbox, count: int) -> None:
    """One frame at each 10 µs."""
    for at in range(1, count + 1):
        assert box.add_frame(columns(DEVICE, time_us=10 * at, samples={"v": at}))
        assert await box._flush()


def spoil(folder: Path, *values: int) -> None:
    """Break the frames with these values."""
    for path in folder.glob("*.log"):
        data = path.read_bytes()
        for value in values:
            data = data.replace(struct.pack("<d", value), b"????????")
        path.write_bytes(data)


async def gaps_of(box: Outbox) -> list[Gap]:
    """All gaps that are to be delivered."""
    assert await box._flush()
    found: list[Record] = []
    after = box.lowest_uncommitted() - 1
    while some := await box.read(after=after, limit=100, limit_bytes=1 << 20):
        found += some
        after = some[-1].last
    return [decode_gap(one.payload) for one in found if one.topic == GAPS and not box.is_committed(one.seq)]


async def test_what_was_delivered_before_it_was_damaged_is_no_gap(tmp_path: Path) -> None:
    box = make(tmp_path)
    await fill(box, 30)
    epoch = box.epoch
    box._disk.close(False)
    spoil(tmp_path, 11, 12, 25)
    after = make(tmp_path)
    assert not await gaps_of(after)
    after.commit(epoch, [(1, 20)])
    assert not await gaps_of(after), "what is behind 20 may yet be announced"
    after.commit(epoch, [(1, 24), (26, 28)])
    assert [(one.start, one.end, one.frames) for one in await gaps_of(after)] == [(241, 259, 1)]
    assert after.lost["outbox_damaged"] == 1
    after._disk.close(False)
    again = make(tmp_path)
    again.declare_damage()
    assert len(await gaps_of(again)) == 1, "it is declared once"
    again._disk.close(True)


async def test_damage_that_waits_survives_kills(tmp_path: Path) -> None:
    """The tail of a log that ended cleanly is gone: only the mark of the end says so, and it is used up by the opening."""
    box = make(tmp_path)
    await fill(box, 30)
    epoch, newest = box.epoch, box._disk.segments[-1]
    box._disk.close(True)
    newest.path.unlink()
    for _ in range(3):
        killed = make(tmp_path)
        assert killed.newest_seq == 30, "the numbers of what is gone are not used again"
        killed._disk.close(False)
    after = make(tmp_path)
    assert after.add_frame(columns(DEVICE, time_us=1_000, samples={"v": 0}))
    assert not await gaps_of(after)
    after.commit(epoch, [(1, newest.first_seq)])
    after.commit(after.epoch, [(31, 31)])
    found = (await gaps_of(after))[0]
    assert (found.frames, found.end) == (30 - newest.first_seq, 300)
    assert 10 * newest.first_seq < found.start <= 10 * (newest.first_seq + 1), "it begins behind what was stored"
    after._disk.close(True)


async def test_a_kill_between_the_gap_and_the_note_of_it_makes_no_second_gap(tmp_path: Path) -> None:
    box = make(tmp_path)
    await fill(box, 30)
    box._disk.close(False)
    spoil(tmp_path, 11)
    first = make(tmp_path)
    before = (tmp_path / "damage.json").read_bytes()
    first.declare_damage()
    assert len(await gaps_of(first)) == 1
    first._disk.close(False)
    (tmp_path / "damage.json").write_bytes(before)
    second = make(tmp_path)
    second.declare_damage()
    assert len(await gaps_of(second)) == 1
    second._disk.close(True)


async def test_a_gap_that_the_disk_refuses_is_still_owed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = make(tmp_path)
    await fill(box, 30)
    box._disk.close(False)
    spoil(tmp_path, 11)
    first = make(tmp_path)
    first.declare_damage()
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(first._disk, "append", fail)
        assert not await first._flush()
    first._disk.close(False)  # killed before it could write the gap
    second = make(tmp_path)
    second.declare_damage()
    assert [(one.start, one.end) for one in await gaps_of(second)] == [(101, 119)]
    second._disk.close(True)


class Connected:
    """A gate to a broker that is there."""

    connected, careful, limit_bytes, inflight, delivered_bytes = True, False, 0, 0, 0

    def reconnected(self) -> None:
        """Nothing to do."""

    def on_acknowledged(self, call: Callable[[], None]) -> None:
        """Nothing is acknowledged."""

    def fits(self, size_bytes: int) -> bool:
        """Everything fits."""
        return True


async def test_a_broker_without_receipts_is_waited_for_a_bounded_time(tmp_path: Path) -> None:
    clock = FakeClock()
    box = make(tmp_path, clock)
    await fill(box, 30)
    epoch = box.epoch
    box._disk.close(False)
    spoil(tmp_path, 11, 25)
    after = make(tmp_path, clock)
    publisher = Publisher(after, None, clock=clock, gate=Connected())  # type: ignore[arg-type]
    publisher.declare_overdue()
    clock.advance(10 * RECEIPT_S)
    publisher.declare_overdue()
    assert not await gaps_of(after), "not before it is connected"
    publisher.reconnected()
    publisher.declare_overdue()
    assert not await gaps_of(after)
    told = Committed(epoch="01ARZ3NDEKTSV4RRFFQ69G5FAV", ranges=[], earlier=[Receipt(epoch=epoch, ranges=[(1, 12)])])
    assert publisher.receipt(encode(told))
    clock.advance(RECEIPT_S + 1)
    publisher.declare_overdue()
    assert [one.start for one in await gaps_of(after)] == [241]
    after._disk.close(True)
