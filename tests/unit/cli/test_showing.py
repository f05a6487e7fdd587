"""Showing on a thread: in order, bounded, and a caller that goes on receiving; what is said of a reader that is behind."""

from __future__ import annotations

import asyncio
import threading

import pytest

from nexus_cli.cli.showing import Showing
from nexus_cli.cli.views.tail import BehindView
from nexus_cli.diagnostics.groups import tasks
from nexus_cli.project.live_value import Live
from tests.waiting import PATIENCE_S


async def test_everything_is_shown_in_order_before_the_end() -> None:
    shown: list[int] = []
    showing = Showing[int](shown.extend, most=3)
    async with asyncio.timeout(PATIENCE_S), tasks("show") as group:
        group.create_task(showing.run(), name="show")
        for number in range(1000):
            await showing.put(number)
        showing.end()
    assert shown == list(range(1000))


async def test_a_function_that_blocks_holds_only_the_bound() -> None:
    go_on, shown = threading.Event(), list[int]()

    def show(ready: list[int]) -> None:
        assert go_on.wait(PATIENCE_S)
        shown.extend(ready)

    showing = Showing[int](show, most=5)
    turns = 0
    async with asyncio.timeout(PATIENCE_S), tasks("show") as group:
        group.create_task(showing.run(), name="show")
        for number in range(4):
            await showing.put(number)

        async def fill() -> None:
            for number in range(4, 40):
                await showing.put(number)

        filling = group.create_task(fill(), name="fill")
        for _ in range(100):
            await asyncio.sleep(0)
            turns += 1
        assert not filling.done(), "the bound was passed"
        assert turns == 100, "the loop goes on meanwhile"
        go_on.set()
        await filling
        showing.end()
    assert shown == list(range(40))


async def test_what_the_function_raises_comes_out() -> None:
    def show(_: list[int]) -> None:
        raise BrokenPipeError

    showing = Showing[int](show)
    with pytest.raises(BrokenPipeError):
        async with asyncio.timeout(PATIENCE_S), tasks("show") as group:
            group.create_task(showing.run(), name="show")
            await showing.put(1)
            await asyncio.sleep(30)


def live(*, timestamp_s: float, retained: bool = False) -> Live:
    return Live(topic="t", path="p", value=1, timestamp=round(timestamp_s * 1000), retained=retained)


def test_a_reader_that_keeps_up_is_told_nothing() -> None:
    view = BehindView()
    for at in range(100):
        assert view.text(live(timestamp_s=at - 3600), waiting=0, dropped=0, now_s=at) == ""
        assert view.text(live(timestamp_s=at - 0.1), waiting=50, dropped=0, now_s=at) == ""
        assert view.text(live(timestamp_s=at - 900, retained=True), waiting=50, dropped=0, now_s=at) == ""
    assert view.last(dropped=0) == ""


def test_a_reader_that_is_behind_is_told_now_and_then() -> None:
    view = BehindView()
    said = [
        view.text(live(timestamp_s=100 + at * 0.5), waiting=20_000, dropped=at * 10, now_s=100.0 + at)
        for at in range(30)
    ]
    told = [one for one in said if one]
    assert told[0] == "behind by 500 ms: 20,000 messages wait, 10 were left out for newer ones"
    assert len(told) == 15
    assert view.last(dropped=300) == "10 messages were left out: newer ones came faster than they could be shown"


def test_a_reader_that_has_caught_up_is_told_once() -> None:
    view = BehindView()
    assert view.text(live(timestamp_s=90), waiting=7, dropped=0, now_s=100) == "behind by 10 s: 7 messages wait"
    assert view.text(live(timestamp_s=109), waiting=0, dropped=0, now_s=109.1) == "up to date again"
    assert view.text(live(timestamp_s=110), waiting=0, dropped=0, now_s=110.1) == ""
