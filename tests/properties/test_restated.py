"""After any loss of the disk log, the last row of each tag is the last value that it had, and the live view shows it."""

from __future__ import annotations

import asyncio
import errno
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_cli.drivers.base import Scope
from nexus_cli.runtime.clock import RisingTime
from nexus_cli.runtime.gateway.devices.absence import Absence
from nexus_cli.runtime.gateway.outbox.outbox import Limits, Outbox
from nexus_cli.runtime.gateway.outbox.records import Record
from nexus_cli.wire.frame import Gap, decode_gap
from tests.examples import examples
from tests.frames import placed_frames
from tests.properties.test_time_of_tags import ONE, SUMS, TOPICS, TWO, Plant, events

GAPS = TOPICS.gap("gw-1")
LIMITS = Limits(total_bytes=20_000, segment_bytes=3_000, buffer_bytes=8_000, cache_bytes=0, delay_s=0.001)


class Lossy(Plant):
    """The plant over a real disk log whose disk fails, fills up and breaks; and a historian that stores at times.

    Attributes:
        stored: Time, value and quality of the rows, by tag.
        gaps: As they were stored.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.box = Outbox(folder, clock=self.clock, gap_topic=GAPS, limits=LIMITS)
        self.box.open()
        self.stored: dict[str, list[tuple[int, Any, str]]] = {}
        self.gaps: list[Gap] = []
        self.failing = False
        real = self.box._disk.append

        def append(*args: Any) -> None:
            if self.failing:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(*args)

        self.box._disk.append = append  # type: ignore[method-assign]
        self.pipeline.__init__(  # type: ignore[misc]
            topics=TOPICS,
            outbox=self.box,
            live=self.record,  # type: ignore[arg-type]
            time=RisingTime(self.clock),
            absence=Absence(clock=self.clock, add_gap=self.box.add_gap),
        )
        self.pipeline.configure(self.devices.values())
        self.box.aftermath.on_over(self.pipeline.restate)

    async def _fail(self, failing: bool) -> None:
        self.failing = failing

    async def _write(self) -> None:
        """What the log's own task does."""
        if await self.box._flush():
            self.box._report_losses()

    async def _burst(self, path: str, count: int) -> None:
        """Many reports: the log drops its oldest segments."""
        for at in range(count):
            await self._report(path, [float(at)])
            if at % 10 == 9:
                await self._write()

    async def _break(self, which: int, where: float) -> None:
        paths = sorted(self.folder.glob("*.log"))
        if paths:
            path = paths[which % len(paths)]
            data = bytearray(path.read_bytes())
            data[int(where * (len(data) - 1))] ^= 0xFF
            path.write_bytes(data)

    async def _store(self, share: float) -> None:
        """The historian stores some of what waits, from the beginning."""
        records: list[Record] = []
        after, end = self.box.lowest_uncommitted() - 1, self.box.durable_seq
        while after < end:
            some = await self.box.read(after=after, limit=50, limit_bytes=10_000)
            records += some
            after = some[-1].last if some else self.box.next_uncommitted(after + 1) - 1
        for record in records[: round(share * len(records))]:
            if not self.box.is_committed(record.seq):
                self._row(record)
                self.box.commit(self.box.epoch, [(record.seq, record.last)])

    def _row(self, record: Record) -> None:
        if record.topic == GAPS:
            self.gaps.append(decode_gap(record.payload))
            return
        for path, frame in placed_frames(record.topic, record.payload):
            for name, value in frame.samples.items():
                quality = frame.quality.get(name, ("GOOD", None, 0))[0]
                self.stored.setdefault(f"{path}/{name}", []).append((frame.time, value, quality))

    async def heal(self, *, dead: bool) -> None:
        """The losses are over, and every device is asked once more; it answers, or it is dead."""
        await self.end()
        self.failing = False
        for _ in range(3):
            await self._write()
            await self._store(1.0)
            self.box.declare_damage()
        await self._write()
        await self._pass(100.0)
        await self._poll()
        await self.settle()
        while self.polling or self.waiting:
            await self.do(("answer", 0, Scope.DEVICE if dead else None))
        for _ in range(3):
            await self._write()
            await self._store(1.0)


def check(plant: Lossy) -> None:
    """The law."""
    for path, states in [(f"{d.path}/{n}", s) for d in plant.devices.values() for n, s in d.normaliser.states.items()]:
        if not states.known:
            continue
        rows = sorted(plant.stored.get(path, []))
        assert rows, f"{path} is known and has no row"
        last = rows[-1]
        if path not in SUMS:
            assert last[1] == plant.known[path][-1], path
        assert (last[0], last[1], last[2]) == (states.time_us, states.value, states.quality.name), path
        assert plant.record.shown[path] == last[:2], "the live view shows the newest row"
    for path, inputs in SUMS.items():
        values = [max(plant.stored[one])[1] if one in plant.stored else "unknown" for one in inputs]
        if "unknown" not in values:
            assert max(plant.stored[path])[1] == (None if None in values else sum(values)), path
    for gap in plant.gaps:
        for path, rows in plant.stored.items():
            if path.rpartition("/")[0] == gap.device:
                assert not [one for one in rows if gap.start <= one[0] <= gap.end], (path, gap)


faults = st.one_of(
    st.just(("write",)),
    st.just(("write",)),
    st.tuples(st.just("fail"), st.booleans()),
    st.tuples(st.just("burst"), st.sampled_from([ONE, TWO]), st.sampled_from([5, 80])),
    st.tuples(st.just("store"), st.sampled_from([0.3, 1.0])),
    st.tuples(st.just("break"), st.integers(0, 5), st.floats(0.0, 1.0)),
)
ordinary = events.filter(lambda one: one[0] not in ("turn", "step"))


@settings(max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    happenings=st.lists(st.one_of(ordinary, faults), min_size=10, max_size=120),
    dead=st.booleans(),
)
def test_after_a_loss_the_last_row_of_a_tag_is_the_last_value_it_had(
    happenings: list[tuple[Any, ...]], dead: bool
) -> None:
    async def run(folder: Path) -> None:
        plant = Lossy(folder)
        await plant.reporting.renew(plant.devices)
        for one in happenings:
            await plant.do(one)
        await plant.heal(dead=dead)
        check(plant)
        plant.box._thread.close()
        plant.box._disk.close(True)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


async def told(plant: Lossy, *what: tuple[Any, ...]) -> None:
    """Events, each with what it holds written and stored."""
    await plant.reporting.renew(plant.devices)
    for one in what:
        await plant.do(one)


async def polled(plant: Lossy) -> None:
    """One poll that is answered."""
    await plant.do(("pass", 1.0))
    await plant.do(("poll",))
    await plant.end()


async def test_a_device_that_dies_on_a_full_disk_is_bad_afterwards_and_a_gap_until_then(tmp_path: Path) -> None:
    plant = Lossy(tmp_path)
    await told(plant, ("report", ONE, [1.0]), ("report", TWO, [1.0]))
    await polled(plant)
    await told(plant, ("write",), ("store", 1.0), ("fail", True))
    plant.clock.advance(1)
    await told(plant, ("lost",), ("write",))
    before_us = plant.clock.now_us()
    plant.clock.advance(60)
    await told(plant, ("fail", False), ("write",), ("write",), ("store", 1.0))
    for path in (ONE, TWO):
        rows = plant.stored[f"{path}/speed"]
        assert rows[-1][1:] == (None, "BAD"), "it stands still and is recorded again"
        spans = [(gap.start, gap.end) for gap in plant.gaps if gap.device == path]
        assert min(start for start, _ in spans) <= before_us
        assert rows[-1][0] - 3 <= max(end for _, end in spans) < rows[-1][0], "what it was is unknown up to there"
    check(plant)
    plant.box._disk.close(True)


async def test_an_overflow_that_goes_on_restates_nothing_and_once_when_it_is_over(tmp_path: Path) -> None:
    plant = Lossy(tmp_path)
    await told(plant, ("report", ONE, [7.0]), ("write",))
    for at in range(300):  # nobody stores, and the log drops again and again
        await told(plant, ("report", TWO, [float(at)]), ("write",))
        plant.clock.advance(1)
    assert plant.box.lost["overflow"] > 50
    event = plant.devices[ONE].normaliser.states["event"]
    assert event.time_us < plant.clock.now_us() - 290_000_000, "it is not recorded with each dropped segment"
    await told(plant, ("store", 1.0), ("write",), ("write",), ("store", 1.0))
    assert plant.stored[f"{ONE}/event"][-1][:2] == (event.time_us, 7.0)
    assert len(plant.stored[f"{ONE}/event"]) == 1
    assert plant.record.shown[f"{ONE}/event"] == (event.time_us, 7.0)
    again = len(plant.stored[f"{TWO}/event"])
    await told(plant, ("write",), ("store", 1.0))
    assert len(plant.stored[f"{TWO}/event"]) == again
    check(plant)
    plant.box._disk.close(True)
