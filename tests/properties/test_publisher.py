"""The law of the publisher: whatever the broker does not pass on, everything else arrives, and what does not is reported."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_cli.runtime.gateway.outbox.outbox import Limits, Outbox
from nexus_cli.runtime.gateway.outbox.publisher import LATE_US, MOST_ASIDE, Publisher
from nexus_cli.runtime.gateway.outbox.splitting import FRAME_BYTES
from nexus_cli.runtime.gateway.worker import P, T, WorkerThread
from tests.brokers import GAP_TOPIC, GATEWAY, TOPICS, MemoryBroker
from tests.examples import examples
from tests.frames import columns
from tests.simulated_time import SimulatedLoop

DEADLINE_S = 150.0


class FastClock:
    """The loop's time, so many times as fast: a pause of a second takes milliseconds."""

    def __init__(self, *, times: float = 20.0, start_us: int = 0) -> None:
        self.times = times
        self.start_us = start_us - self._loop_us()

    def _loop_us(self) -> int:
        return round(asyncio.get_running_loop().time() * 1e6)

    def now_us(self) -> int:
        """Time since 1970 UTC in µs."""
        return self._loop_us() + self.start_us

    def monotonic_s(self) -> float:
        """Seconds, too many of them."""
        return asyncio.get_running_loop().time() * self.times

    async def sleep(self, delay_s: float) -> None:
        """Wait."""
        await asyncio.sleep(delay_s / self.times)


class NoThread(WorkerThread):
    """Does at once what the thread of the disk would: no time passes while somebody else works."""

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it; what waits for nothing has its turn in between, as with a thread."""
        await asyncio.sleep(0)
        result = function(*args, **kwargs)
        await asyncio.sleep(0)
        return result


def simulate(law: Callable[[Path], Coroutine[Any, Any, None]]) -> None:
    """Run a law in a folder of its own, without waiting for anything."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(law(Path(folder)))


@contextlib.asynccontextmanager
async def publishing(
    folder: Path, broker: MemoryBroker, *, as_json: bool = False, now_us: int = 0, **keys: int
) -> AsyncIterator[tuple[Outbox, Publisher]]:
    """An outbox whose frames go to a broker in memory."""
    clock = FastClock(start_us=now_us)
    box = Outbox(folder, clock=clock, gap_topic=GAP_TOPIC, limits=Limits(segment_bytes=20_000, delay_s=0.002))
    if isinstance(asyncio.get_running_loop(), SimulatedLoop):
        box._thread = NoThread("outbox")
    box.json_frames = as_json
    box.open()
    publisher = Publisher(box, broker, clock=clock, stall_first_s=5.0, **keys)  # type: ignore[arg-type]
    broker.publisher, broker.on_connected = publisher, publisher.reconnected
    broker.on_acknowledged = publisher.gate.acknowledged
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.run(stop)) for one in (box, publisher, broker)]
        try:
            yield box, publisher
        finally:
            stop.set()
            broker.lose()
            del tasks


def _arrived(broker: MemoryBroker) -> dict[tuple[int, str], object]:
    """Every sample that arrived, by time and tag."""
    return {(frame.time, tag): value for frame in broker.frames.values() for tag, value in frame.samples.items()}


def is_delivered(box: Outbox) -> bool:
    """True when everything has its receipt."""
    return box.durable_seq > 0 and box.lowest_uncommitted() > box.newest_seq


async def delivered(box: Outbox) -> None:
    """Wait until everything durable has its receipt."""
    async with asyncio.timeout(DEADLINE_S):
        while not is_delivered(box):
            await asyncio.sleep(0.005)


@settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sizes=st.lists(st.lists(st.integers(1, 900), min_size=1, max_size=8), min_size=3, max_size=25),
    giants=st.sets(st.integers(0, 24), max_size=2),
    limit=st.sampled_from([0, 2_000, 3_000, 5_000]),
    closes=st.booleans(),
    lossy=st.sampled_from([0.0, 0.2, 0.5]),
    seed=st.integers(0, 1000),
    as_json=st.booleans(),
)
def test_every_sample_arrives_unless_it_is_too_large_alone(
    sizes: list[list[int]], giants: set[int], limit: int, closes: bool, lossy: float, seed: int, as_json: bool
) -> None:
    async def law(folder: Path) -> None:
        broker = MemoryBroker(seed=seed)
        broker.limit_bytes, broker.closes, broker.lossy = limit, closes, lossy
        expected: dict[tuple[int, str], str] = {}
        async with publishing(folder, broker, as_json=as_json) as (box, publisher):
            for at, tags in enumerate(sizes):
                samples: dict[str, object] = {f"t{n}": f"{at}." + "x" * size for n, size in enumerate(tags)}
                if at in giants:
                    samples["giant"] = "x" * 20_000
                assert box.add_frame(columns("d", time_us=1_000 + at, samples=samples))  # type: ignore[arg-type]
                expected |= {(1_000 + at, tag): str(value) for tag, value in samples.items()}
                await asyncio.sleep(0.001)
            # Small frames follow, as long as the device lives: they show that others pass.
            beat = 10_000
            async with asyncio.timeout(DEADLINE_S):
                while not expected.keys() <= _arrived(broker).keys():
                    beat += 1
                    box.add_frame(columns("e", time_us=beat, samples={"beat": beat}))
                    await asyncio.sleep(0.01)
                while not is_delivered(box):
                    beat += 1
                    box.add_frame(columns("e", time_us=beat, samples={"beat": beat}))
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(2.0):
                            await delivered(box)
            assert not publisher.waiting_topics
        arrived = {key: value for key, value in _arrived(broker).items() if key[0] < 10_000}
        assert arrived.keys() == expected.keys()
        for key, value in expected.items():
            if key[1] == "giant" and limit:
                assert arrived[key] is None
            else:
                assert arrived[key] == value
        assert not broker.gaps
        number = sum("giant" in frame.samples for frame in broker.frames.values())
        assert box.lost["frame_too_large"] == (number if limit else 0)

    simulate(law)


@settings(max_examples=examples(6), deadline=None, suppress_health_check=list(HealthCheck))
@given(closes=st.booleans(), size=st.integers(1, 3_000))
def test_a_topic_that_is_refused_waits_and_loses_nothing(closes: bool, size: int) -> None:
    async def law(folder: Path) -> None:
        broker = MemoryBroker()
        broker.closes, broker.denied = closes, {TOPICS.data(GATEWAY, "d")}
        async with publishing(folder, broker, as_json=True, window_frames=50) as (box, publisher):
            count = 0
            async with asyncio.timeout(DEADLINE_S):
                while not publisher.waiting_topics or count < 200:
                    count += 1
                    box.add_frame(columns("d", time_us=count, samples={"v": "x" * size}))
                    box.add_frame(columns("e", time_us=count, samples={"w": count}))
                    await asyncio.sleep(0.003)
                while sum("w" in frame.samples for frame in broker.frames.values()) < count:
                    await asyncio.sleep(0.005)
            assert not any("v" in frame.samples for frame in broker.frames.values())
            broker.denied = ()
            await delivered(box)
        assert sum("v" in frame.samples for frame in broker.frames.values()) == count
        assert not broker.gaps
        assert box.lost["frame_too_large"] == 0

    simulate(law)


@settings(max_examples=examples(6), deadline=None, suppress_health_check=list(HealthCheck))
@given(closes=st.booleans(), after=st.sampled_from([0, 30]))
def test_batches_that_are_refused_wait_and_lose_nothing(closes: bool, after: int) -> None:
    async def law(folder: Path) -> None:
        broker = MemoryBroker()
        broker.closes = closes
        batches = TOPICS.batches(GATEWAY)
        broker.denied = () if after else {batches}
        async with publishing(folder, broker, window_frames=50) as (box, publisher):
            count = 0
            async with asyncio.timeout(DEADLINE_S):
                while not publisher.waiting_topics or count < 100:
                    count += 1
                    box.add_frame(columns("d", time_us=count, samples={"v": count}))
                    if count % 10 == 0:
                        box.add_gap(device="d", start_us=count, end_us=count, frames=0, reason="gateway_stalled")
                    if after and count == after:
                        await delivered(box)
                        broker.denied = {batches}
                    await asyncio.sleep(0.003)
                while len(broker.gaps) < count // 10:
                    await asyncio.sleep(0.005)
                assert len(publisher.aside) <= MOST_ASIDE
            assert len(broker.frames) <= after
            broker.denied = ()
            await delivered(box)
        assert sorted(frame.time for frame in broker.frames.values()) == list(range(1, count + 1))
        assert box.lost["frame_too_large"] == 0

    simulate(law)


@pytest.mark.simulated_time
@pytest.mark.parametrize("closes", [True, False])
async def test_one_frame_that_does_not_pass_is_set_aside_and_the_others_of_its_batch_arrive(
    tmp_path: Path, closes: bool
) -> None:
    broker = MemoryBroker()
    broker.closes, broker.poison = closes, b"poison"
    async with publishing(tmp_path, broker) as (box, publisher), asyncio.timeout(DEADLINE_S):
        box.add_frame(columns("e", time_us=1, samples={"v": "x" * 3_000}))
        await delivered(box)
        for at in range(2, 12):
            box.add_frame(columns("d", time_us=at, samples={"v": "poison" if at == 6 else f"{at}"}))
        beat = 100
        while not publisher.aside:
            beat += 1
            box.add_frame(columns("e", time_us=beat, samples={"beat": beat}))
            await asyncio.sleep(0.01)
        sound = {1, *range(2, 6), *range(7, 12), *range(101, beat + 1)}
        while {frame.time for frame in broker.frames.values()} != sound:
            await asyncio.sleep(0.01)
        assert not publisher.waiting_topics
        broker.poison = b""
        await delivered(box)
        assert not publisher.aside
    assert sum(frame.samples.get("v") == "poison" for frame in broker.frames.values()) == 1
    assert not broker.gaps


@pytest.mark.simulated_time
async def test_late_frames_that_the_historian_keeps_waiting_hold_up_no_others(tmp_path: Path) -> None:
    """More of them than are set aside for a doubt: later frames on the same topic say that it is open."""
    broker = MemoryBroker()
    broker.late_us = 1_000
    late = 5 * MOST_ASIDE
    async with publishing(tmp_path, broker) as (box, publisher), asyncio.timeout(DEADLINE_S):
        for at in range(1, late + 1):
            box.add_frame(columns("d", time_us=at, samples={"v": f"{at}"}))
        beat = 10_000
        while len(publisher.aside) < late:
            beat += 1
            box.add_frame(columns("e", time_us=beat, samples={"beat": beat}))
            await asyncio.sleep(0.01)
            assert not publisher.waiting_topics
        while len(broker.frames) < beat - 10_000:
            await asyncio.sleep(0.01)
        assert box.lost == dict.fromkeys(box.lost, 0)
        broker.late_us = 0
        await delivered(box)
    assert {frame.time for frame in broker.frames.values()} == {*range(1, late + 1), *range(10_001, beat + 1)}
    assert not broker.gaps


@pytest.mark.simulated_time
async def test_late_batches_that_the_historian_keeps_waiting_do_not_look_too_large(tmp_path: Path) -> None:
    """They are larger than all that arrive, and so are those whose lock lasts: no size is learnt from them."""
    broker, now_us = MemoryBroker(), 10 * LATE_US
    broker.late_us = LATE_US
    async with publishing(tmp_path, broker, now_us=now_us) as (box, publisher), asyncio.timeout(DEADLINE_S):
        for at in range(1, 41):
            box.add_frame(columns("d", time_us=at, samples={"v": "y" * 200}))
            await asyncio.sleep(0.005 if at % 8 == 0 else 0)
        beat = now_us
        while len(publisher.aside) < 40:
            beat += 1
            box.add_frame(columns("e", time_us=beat, samples={"beat": 1}))
            await asyncio.sleep(0.01)
        assert publisher.facts()["limit_bytes"] == 0
        broker.late_us = 0
        box.add_frame(columns("e", time_us=beat + 1, samples={"text": "z" * 20_000}))
        await delivered(box)
    assert all(frame.quality == {} for frame in broker.frames.values())
    assert len(broker.frames) == 40 + beat - now_us + 1


async def test_a_network_that_breaks_again_and_again_makes_nothing_smaller(tmp_path: Path) -> None:
    """Connections end early, whatever is on them: no frame is taken for too large, everything arrives."""
    broker = MemoryBroker()
    async with publishing(tmp_path, broker) as (box, publisher):
        for at in range(300):
            box.add_frame(columns("d", time_us=1 + at, samples={"v": "x" * (10 * at)}))
            if at % 20 == 10:
                broker.lose()
                await asyncio.sleep(0.003)
                broker.connected = True
                publisher.reconnected()
            await asyncio.sleep(0.002)
        await delivered(box)
        assert publisher.facts()["limit_bytes"] == 0
        assert not publisher.waiting_topics
    assert len(broker.frames) == 300
    assert all(frame.quality == {} for frame in broker.frames.values())


@pytest.mark.simulated_time
async def test_a_limit_that_the_live_view_found_holds_for_records(tmp_path: Path) -> None:
    """A value that is too large alone is BAD in the record as well, and what is behind it is delivered."""
    broker = MemoryBroker()
    async with publishing(tmp_path, broker) as (box, publisher):
        publisher.gate.learn(20_000, silent=False)
        box.add_frame(columns("d", time_us=1, samples={"text": "x" * 30_000, "v": 1.0}))
        box.add_frame(columns("d", time_us=2, samples={"text": "short", "v": 2.0}))
        await delivered(box)
    marks = [frame.quality["text"] for frame in broker.frames.values() if "text" in frame.quality]
    assert marks == [("BAD", "too_large", 0)]


@pytest.mark.simulated_time
async def test_a_limit_that_is_forgotten_lets_frames_be_large_again(tmp_path: Path) -> None:
    broker = MemoryBroker()
    broker.limit_bytes = 3_000
    async with publishing(tmp_path, broker) as (box, publisher):
        async with asyncio.timeout(DEADLINE_S):
            at = 0
            while not publisher.facts()["limit_bytes"]:
                at += 1
                box.add_frame(columns("d", time_us=at, samples={f"t{n}": "x" * 300 for n in range(80)}))
                await asyncio.sleep(0.05)
            await delivered(box)
            assert box.frame_bytes < FRAME_BYTES
            broker.limit_bytes = 0
            publisher.gate._limit_until_s = 0.0
            while box.frame_bytes < FRAME_BYTES:
                await asyncio.sleep(0.01)
        box.add_frame(columns("d", time_us=1_000_000, samples={f"t{n}": "x" * 300 for n in range(80)}))
        await delivered(box)
    assert len(max(broker.frames.values(), key=lambda frame: frame.time).samples) == 80


@pytest.mark.simulated_time
async def test_single_values_in_doubt_on_a_topic_of_their_own_wait_and_the_others_go_on(tmp_path: Path) -> None:
    """Nothing small is ever on that topic, so nobody can tell size from rights: nothing is given up."""
    broker = MemoryBroker()
    broker.limit_bytes = 5_000
    async with publishing(tmp_path, broker, as_json=True) as (box, publisher), asyncio.timeout(DEADLINE_S):
        for at in range(1, 6):
            box.add_frame(columns("d", time_us=at, samples={"text": "x" * 7_000}))
            box.add_frame(columns("e", time_us=at, samples={"v": at}))
        while not publisher.waiting_topics or len(broker.frames) < 5:
            await asyncio.sleep(0.01)
        box.add_frame(columns("e", time_us=6, samples={"v": 6}))
        while len(broker.frames) < 6:
            await asyncio.sleep(0.01)
        broker.limit_bytes = 0
        await delivered(box)
    assert sum("text" in frame.samples for frame in broker.frames.values()) == 5
    assert box.lost["frame_too_large"] == 0
