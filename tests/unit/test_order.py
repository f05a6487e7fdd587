"""Where each file of tests stands in a run."""

from __future__ import annotations

import random

from tests.order import LONG, kind_of, ordered, seconds_of

FILES = [
    *((f"e2e/test_plant_{number}.py", 1 + number % 5, number % 2) for number in range(20)),
    *((f"integration/test_server_{number}.py", 3 + number % 7, 0) for number in range(120)),
    *((f"unit/test_law_{number}.py", 1 + number % 40, 0) for number in range(300)),
    *((name, 5, 1) for name in LONG),
]
COST = {file: seconds_of(file, tests, slow) for file, tests, slow in FILES}


def test_each_file_has_one_place_whatever_the_order_that_it_was_found_in() -> None:
    found = ordered(FILES)
    assert sorted(found) == sorted(file for file, *_ in FILES)
    assert found == ordered(random.Random(7).sample(FILES, len(FILES)))


def test_of_a_kind_what_takes_longest_begins_first() -> None:
    found = ordered(FILES)
    for kind in ("plants", "waiting", "computing"):
        costs = [COST[file] for file in found if kind_of(file) == kind]
        assert costs == sorted(costs, reverse=True)


def test_each_kind_has_begun_as_large_a_part_of_its_work_as_the_others() -> None:
    whole = {kind: sum(COST[file] for file in COST if kind_of(file) == kind) for kind in map(kind_of, COST)}
    begun = dict.fromkeys(whole, 0.0)
    for file in ordered(FILES):
        begun[kind_of(file)] += COST[file]
        shares = sorted(begun[kind] / whole[kind] for kind in whole)
        longest = max(COST[each] / whole[kind_of(each)] for each in COST)
        assert shares[-1] - shares[0] <= 2 * longest


def test_a_slow_test_takes_longer_than_another_one_and_a_long_file_what_is_written_down() -> None:
    assert seconds_of("unit/test_law.py", 3, 1) > seconds_of("unit/test_law.py", 3, 0)
    assert seconds_of("e2e/test_faults.py", 1, 0) == LONG["e2e/test_faults.py"]
