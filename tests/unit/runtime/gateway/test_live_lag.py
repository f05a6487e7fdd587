"""Percentiles of lags over about a minute."""

from __future__ import annotations

import numpy as np
import pytest

from nexus_cli.runtime.gateway.live_lag import Lag
from nexus_cli.wire.live_health import LagHealth
from tests.clock import FakeClock


def test_percentiles_are_at_most_a_tenth_too_high() -> None:
    lag = Lag(FakeClock().monotonic_s)
    assert lag.health() == LagHealth()
    lag.turn()
    lag.add(np.arange(1, 10_001) * 1000)
    lag.add_same(20_000_000, 1)
    lag.add(np.array([], np.int64))
    found = lag.health()
    assert (found.count, found.max_ms) == (10_001, 20_000.0)
    for value, exact in ((found.p50_ms, 5_000), (found.p95_ms, 9_500), (found.p99_ms, 9_900)):
        assert exact <= value <= exact * 1.1
    lag.add(np.array([0, -5, 1 << 60]))
    assert lag.health().count == 10_004, "a clock that was set back, and any size"


def test_one_by_one_is_the_same_as_together() -> None:
    one, many = Lag(FakeClock().monotonic_s), Lag(FakeClock().monotonic_s)
    lags = [0, 100, 101, 250, 1_000_000, 37_000_000]
    for value in lags:
        one.add_same(value, 3)
    many.add(np.array(lags * 3))
    assert one.health() == many.health()


@pytest.mark.parametrize(("passed_s", "count"), [(49.0, 3), (59.0, 3), (60.0, 2), (71.0, 0), (1000.0, 0)])
def test_lags_are_forgotten_after_a_minute(passed_s: float, count: int) -> None:
    clock = FakeClock()
    lag = Lag(clock.monotonic_s)
    lag.add_same(5_000, 1)
    clock.advance(10.0)
    lag.turn()
    lag.add_same(7_000, 2)
    clock.advance(passed_s - 10.0)
    found = lag.health()
    assert found.count == count
    assert found.max_ms == (7.0 if count else 0.0)
