"""The queue of a subscription: numbers rise, what is dropped is exactly what is missing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.runtime.web.i3x.leaf_values import Vqt
from nexus_cli.runtime.web.i3x.subscriptions import queue as module
from nexus_cli.runtime.web.i3x.subscriptions.queue import ALL, LARGEST, Update, UpdateQueue
from tests.examples import examples


def update(n: int) -> Update:
    return Update("a", "a", Vqt(n, "Good", n))


def numbers(queue: UpdateQueue) -> list[tuple[int, list[int]]]:
    return [(batch.sequence, [each.vqt.value for each in batch.updates]) for batch in queue.give()]


def test_what_came_between_two_answers_is_one_batch() -> None:
    queue = UpdateQueue(limit=100)
    assert numbers(queue) == []
    queue.put(update(1))
    queue.put(update(2))
    assert numbers(queue) == [(1, [1, 2])]
    queue.put(update(3))
    assert numbers(queue) == [(1, [1, 2]), (2, [3])]
    queue.acknowledge(1)
    assert numbers(queue) == [(2, [3])]


def test_a_number_that_was_not_given_acknowledges_nothing() -> None:
    queue = UpdateQueue(limit=100)
    queue.put(update(1))
    for last in (1, 5, -2, LARGEST, None):
        queue.acknowledge(last)
        assert len(queue) == 1, last
    queue.give()
    queue.acknowledge(1)
    assert (len(queue), queue.acknowledged) == (0, 1)
    queue.acknowledge(0)
    assert queue.acknowledged == 1


def test_minus_one_clears_what_was_never_given_too() -> None:
    queue = UpdateQueue(limit=100)
    queue.put(update(1))
    queue.acknowledge(ALL)
    assert numbers(queue) == []
    queue.put(update(2))
    assert numbers(queue) == [(2, [2])]


def test_numbers_go_beyond_63_bits() -> None:
    queue = UpdateQueue(limit=100, next_sequence=LARGEST)
    queue.put(update(1))
    assert numbers(queue) == [(LARGEST, [1])]
    queue.acknowledge(LARGEST)
    assert len(queue) == 0


def test_a_loss_names_numbers_and_times_until_it_is_acknowledged() -> None:
    queue = UpdateQueue(limit=2)
    for n in range(4):
        queue.put(update(n))
        queue.close()
    assert queue.loss is not None
    assert (queue.loss.first, queue.loss.last, queue.loss.since_us, queue.loss.until_us) == (1, 2, 0, 1)
    assert "1 to 2 were dropped: the queue holds 2" in queue.loss.words(2)
    assert numbers(queue) == [(3, [2]), (4, [3])]
    queue.acknowledge(1)
    assert queue.loss is not None
    queue.acknowledge(3)
    assert queue.loss is None


def test_what_is_missing_from_elsewhere_has_a_number() -> None:
    queue = UpdateQueue(limit=10)
    queue.put(update(1))
    queue.skip(since_us=5, until_us=9)
    queue.put(update(2))
    assert numbers(queue) == [(1, [1]), (3, [2])]
    assert queue.loss is not None
    assert (queue.loss.first, queue.loss.last) == (2, 2)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 7)),
        st.tuples(st.just("give"), st.just(0)),
        st.tuples(st.just("ack"), st.integers(0, 12)),
    ),
    max_size=60,
)


@given(steps=STEPS, limit=st.integers(1, 9), size=st.integers(1, 4))
@settings(max_examples=examples(150), deadline=None)
def test_every_update_is_given_acknowledged_or_lost_under_a_number_that_is_missing(
    steps: list[tuple[str, int]], limit: int, size: int
) -> None:
    old, module.MOST_IN_BATCH = module.MOST_IN_BATCH, size
    try:
        queue, put, under = UpdateQueue(limit=limit), 0, dict[int, set[int]]()
        for what, number in steps:
            if what == "put":
                for _ in range(number):
                    queue.put(update(put))
                    under.setdefault(queue.next_sequence - 1, set()).add(put)
                    put += 1
                assert len(queue) <= limit
            elif what == "give":
                found = numbers(queue)
                assert [sequence for sequence, _ in found] == sorted({sequence for sequence, _ in found})
                there = {sequence for sequence, _ in found}
                missing = set(under) - there - set(range(queue.acknowledged + 1))
                loss = queue.loss
                assert missing == (
                    set(range(loss.first, loss.last + 1)) - set(range(queue.acknowledged + 1)) if loss else set()
                )
                for sequence, updates in found:
                    assert set(updates) == under[sequence]
            else:
                queue.acknowledge(number)
    finally:
        module.MOST_IN_BATCH = old
