"""The histogram of latencies against exact percentiles, whatever was measured and in whatever way it was added."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nexus_cli.runtime.latency import EDGES_S, PENDING, SLICE_S, SLICES, STEPS, Latency
from nexus_cli.wire.latency_health import HOUR, MINUTE, LatencyWindow
from tests.clock import FakeClock

US, TOP_S = 1e-6, 3600.0
TIMES = st.one_of(
    st.floats(US, TOP_S),
    st.floats(-6.0, 3.5).map(lambda power: min(TOP_S, max(US, 10.0**power))),
    st.integers(0, 31).map(lambda octave: US * 2.0**octave),
)
MANY = st.lists(TIMES, min_size=1, max_size=200)
PARTS = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "max_ms": 1.0}


def exact_ms(times_s: Sequence[float], share: float) -> float:
    """The smallest of the times that so many of them do not exceed."""
    return float(np.quantile(np.array(times_s) * 1000, share, method="inverted_cdf"))


def assert_close(found: LatencyWindow, times_s: Sequence[float]) -> None:
    assert found.count == len(times_s)
    for name, share in PARTS.items():
        exact, said = exact_ms(times_s, share), getattr(found, name)
        assert exact * (1 - 1e-9) - 1e-6 <= said <= exact * (1 + 1 / STEPS) + 1e-6, (name, exact, said)
    assert found.max_ms == pytest.approx(max(times_s) * 1000, abs=1e-6)
    assert found.p50_ms <= found.p95_ms <= found.p99_ms <= found.max_ms


@given(MANY)
@example([US])
@example([TOP_S])
@example([US] * 99 + [TOP_S])
@example([float(np.nextafter(US * 2, 0)), US * 2])
def test_percentiles_are_at_most_a_step_above_the_exact_ones(times_s: list[float]) -> None:
    one = Latency(FakeClock())
    for time_s in times_s:
        one.add(-time_s, 0.0)
    found = one.read()
    assert_close(found.minute, times_s)
    assert found.minute == found.hour


@given(st.lists(st.tuples(TIMES, st.integers(1, 30)), min_size=1, max_size=60))
def test_one_by_one_is_the_same_as_together_and_as_arrays(pairs: list[tuple[float, int]]) -> None:
    single, same, arrays = (Latency(FakeClock()) for _ in range(3))
    for time_s, count in pairs:
        for _ in range(count):
            single.add(-time_s, 0.0)
        same.add_same(time_s, count)
        arrays.add_many(np.full(count, time_s))
    assert single.read() == same.read() == arrays.read()
    assert single.counts.tolist() == same.counts.tolist() == arrays.counts.tolist()
    assert single.sum_s == pytest.approx(same.sum_s) == pytest.approx(arrays.sum_s)


@given(st.lists(st.tuples(st.floats(0.0, 20.0), MANY), min_size=1, max_size=30))
def test_slices_together_are_what_fell_into_the_window(turns: list[tuple[float, list[float]]]) -> None:
    """Each slice belongs to a window as long as it is one of the last twelve that began at whole multiples."""
    clock = FakeClock()
    one, began_s = Latency(clock), clock.monotonic_s()
    added: list[tuple[float, list[float]]] = []
    for pause_s, times_s in turns:
        clock.advance(pause_s)
        now_s = clock.monotonic_s()
        for time_s in times_s:
            one.add(now_s - time_s, now_s)
        added.append((now_s, [now_s - (now_s - time_s) for time_s in times_s]))  # as exact as the clock's numbers
    found = one.read()
    for name, window in ((MINUTE, found.minute), (HOUR, found.hour)):
        running = (clock.monotonic_s() - began_s) // SLICE_S[name]
        kept = [
            time_s
            for at_s, times_s in added
            if running - (at_s - began_s) // SLICE_S[name] < SLICES
            for time_s in times_s
        ]
        if kept:
            assert_close(window, kept)
        else:
            assert window == LatencyWindow()


@given(MANY, st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=5))
def test_a_stepped_wall_clock_does_not_matter(times_s: list[float], steps_us: list[int]) -> None:
    stepped, still = FakeClock(), FakeClock()
    one, other = Latency(stepped), Latency(still)
    for number, time_s in enumerate(times_s):
        stepped.step(steps_us[number % len(steps_us)])
        for clock, latency in ((stepped, one), (still, other)):
            clock.advance(0.7)
            latency.add(clock.monotonic_s() - time_s, clock.monotonic_s())
    assert one.read() == other.read()


@pytest.mark.parametrize(
    ("passed_s", "minute", "hour"),
    [(0.0, 1, 1), (54.9, 1, 1), (60.0, 0, 1), (3299.9, 0, 1), (3600.0, 0, 0), (1e6, 0, 0)],
)
def test_the_end_of_a_window_forgets(passed_s: float, minute: int, hour: int) -> None:
    clock = FakeClock()
    one = Latency(clock)
    one.add(-0.25, 0.0)
    clock.advance(passed_s)
    found = one.read()
    assert (found.minute.count, found.hour.count) == (minute, hour)
    assert (found.minute.max_ms, found.hour.max_ms) == (250.0 * minute, 250.0 * hour)
    one.add(clock.monotonic_s() - 0.001, clock.monotonic_s())
    assert one.read().minute.count == minute + 1
    assert int(one.counts.sum()) == 2, "since the start nothing is forgotten"


def test_what_waits_to_be_counted_belongs_to_the_slice_in_which_it_ended() -> None:
    clock = FakeClock()
    one = Latency(clock)
    one.add(clock.monotonic_s() - 1.0, clock.monotonic_s())
    clock.advance(61.0)
    one.add(clock.monotonic_s() - 0.5, clock.monotonic_s())  # nobody has asked in between
    assert (one.read().minute.count, one.read().minute.max_ms) == (1, 500.0)


def test_memory_and_range_are_bounded() -> None:
    clock = FakeClock()
    one = Latency(clock)
    for _ in range(5 * PENDING):
        one.add(-0.002, 0.0)
        one.add_same(0.002, 2)
        one.add_many(np.array([0.002, 0.002]))
    assert len(one._single) <= PENDING
    assert len(one._same) <= PENDING
    assert len(one._many) <= PENDING
    assert one.read().minute.count == 5 * PENDING * 5
    odd = Latency(clock)
    for time_s in (-5.0, 0.0, 1e-9, 1e9):  # a clock of another process, and what no operation takes
        odd.add(-time_s, 0.0)
    odd.add_many(np.array([]))
    found = odd.read().minute
    assert (found.count, found.max_ms, found.p99_ms) == (4, 1e12, 1e12)
    assert found.p50_ms <= 0.00104


@given(MANY)
def test_the_histogram_since_the_start_counts_what_is_at_most_an_edge(times_s: list[float]) -> None:
    one = Latency(FakeClock())
    one.add_many(np.array(times_s))
    one.read()
    passed = one.counts.cumsum().tolist()
    assert passed == [*(sum(time_s <= edge for time_s in times_s) for edge in EDGES_S), len(times_s)]
