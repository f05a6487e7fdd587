"""Holes in the sequence of a subscription's messages: found, waited for, and filled in order."""

from __future__ import annotations

from nexus_cli.drivers.opcua.stream import LARGEST_SEQUENCE, MOST_REPUBLISHED, Stream


async def stream() -> Stream[str]:
    return Stream(1, interval_ms=100, silence_s=10.0)


async def test_a_sequence_without_holes_passes() -> None:
    one = await stream()
    for sequence in (1, 2, 3):
        assert not one.missing(sequence, full=True)
        assert list(one.take(f"m{sequence}")) == [f"m{sequence}"]
    assert not one.missing(4, full=False), "a keep-alive has the number of the next message"
    for odd in (0, 3):
        assert not one.missing(odd, full=False)
    assert not one.missing(4, full=True)


async def test_after_the_largest_number_comes_one() -> None:
    one = await stream()
    one.missing(LARGEST_SEQUENCE, full=True)
    assert not one.missing(1, full=True)


async def test_what_came_after_a_hole_waits_for_it() -> None:
    one = await stream()
    one.missing(1, full=True)
    hole = one.missing(4, full=True)
    assert list(hole) == [2, 3]
    one.wait_for(hole)
    assert list(one.take("m4")) == []
    assert not one.missing(5, full=True)
    assert list(one.take("m5")) == []
    assert list(one.found(3, "m3")) == []
    assert list(one.found(2, "m2")) == ["m2", "m3", "m4", "m5"]
    assert list(one.take("m6")) == ["m6"]


async def test_a_keep_alive_shows_a_hole_and_a_server_may_have_nothing_left() -> None:
    one = await stream()
    hole = one.missing(3, full=False)
    assert list(hole) == [1, 2]
    one.wait_for(hole)
    assert list(one.found(1, None)) == []
    assert list(one.found(2, None)) == []
    assert not one.since_s
    assert list(one.take("m3")) == ["m3"]


async def test_what_never_comes_is_given_up() -> None:
    one = await stream()
    one.wait_for(one.missing(2, full=True))
    one.take("m2")
    assert list(one.release()) == ["m2"]
    assert len(one.missing(10_000, full=True)) == MOST_REPUBLISHED
