"""The schedule of chaos is a pure function of its seed, and every fault of it can be carried out."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import pytest

from tests.chaos.faults import ACTS
from tests.chaos.hostile import ATTACKS
from tests.chaos.network import MODES
from tests.chaos.schedule import KINDS, LINKS, SHARES, Fault, schedule

HOUR_S = 3600.0


def test_equal_seeds_give_equal_faults_and_others_do_not() -> None:
    assert schedule(seed=7, seconds=HOUR_S) == schedule(seed=7, seconds=HOUR_S)
    assert schedule(seed=7, seconds=HOUR_S) != schedule(seed=8, seconds=HOUR_S)


def test_an_hour_has_every_kind_and_every_link() -> None:
    faults = [fault for seed in (1, 2, 3) for fault in schedule(seed=seed, seconds=HOUR_S)]
    kinds = Counter(fault.kind for fault in faults)
    assert set(kinds) == set(SHARES) == set(KINDS) - {"command"} == set(ACTS)
    assert len(faults) > 3 * 250
    assert {fault.target for fault in faults if fault.kind in ("cut", "slow")} == set(LINKS)
    assert {fault.target for fault in faults if fault.kind == "hostile"} == set(ATTACKS)
    modes = {fault.detail["mode"] for fault in faults if fault.kind in ("cut", "slow")}
    assert modes == set(MODES) - {"pass"}
    stops = [fault.lasts_s for fault in faults if fault.kind == "stop"]
    assert min(stops) < 5
    assert max(stops) > 35
    assert max(stops) <= 40
    assert {fault.detail["offset_s"] > 1e9 for fault in faults if fault.kind == "clock"} == {True, False}


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_hit_twice_at_once_and_all_ends_in_time(seed: int) -> None:
    faults = schedule(seed=seed, seconds=600)
    by_target: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        assert fault.ends_s <= 600
        if fault.kind != "hostile":
            by_target[fault.target].append(fault)
    for same in by_target.values():
        assert all(two.at_s >= one.ends_s for one, two in itertools.pairwise(same)), same
    assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
    assert any(two.at_s < one.ends_s for one, two in itertools.pairwise(faults)), "different ones overlap"


def test_only_what_was_asked_for() -> None:
    assert {fault.kind for fault in schedule(seed=1, seconds=HOUR_S, kinds=("kill", "cut"))} == {"kill", "cut"}
    assert schedule(seed=1, seconds=HOUR_S, kinds=("command",)) == ()
    with pytest.raises(ValueError, match="no such fault: flood"):
        schedule(seed=1, seconds=60, kinds=("flood",))


def test_what_can_t_be_hit_leaves_the_rest_as_it_is() -> None:
    whole = schedule(seed=4, seconds=HOUR_S)
    some = schedule(seed=4, seconds=HOUR_S, without=("database",))
    assert some == tuple(fault for fault in whole if fault.target != "database")
    assert len(some) < len(whole)
