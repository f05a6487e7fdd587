"""The broker waits while the inbound queue is crowded, but not for ever."""

from __future__ import annotations

import asyncio

import pytest

from nexus_cli.runtime.historian import back_pressure
from nexus_cli.runtime.historian.back_pressure import BackPressure
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.inbound_queue import InboundQueue
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics


class Client:
    """What it is asked for."""

    def __init__(self) -> None:
        self.held: list[bool] = []

    def hold(self, held: bool) -> None:
        self.held.append(held)


class Rig:
    """A queue for eight messages or 800 bytes, and a client that waits on it."""

    def __init__(self) -> None:
        self.client, self.counters = Client(), Counters()
        self.queue = InboundQueue(
            topics=Topics("acme", "chicago"), counters=self.counters, most_bytes=800, most_messages=8
        )
        BackPressure(queue=self.queue, client=self.client, counters=self.counters)  # type: ignore[arg-type]

    def put(self, count: int, *, size: int = 1) -> None:
        for _ in range(count):
            self.queue.put(Message("acme/chicago/a/l/d/t", b"1" * size, 1, False))

    def pop(self, count: int) -> None:
        for _ in range(count):
            assert self.queue.pop() is not None


async def test_more_than_half_holds_and_less_than_a_quarter_goes_on() -> None:
    rig = Rig()
    rig.put(4)
    assert rig.client.held == []
    rig.put(2)
    assert rig.client.held == [True], "once"
    rig.pop(3)
    assert rig.client.held == [True], "3 of 8 wait"
    rig.pop(1)
    assert rig.client.held == [True, False]
    rig.put(3)
    assert rig.client.held == [True, False, True]
    assert rig.counters.holds == 2
    assert rig.counters.dropped_external == 0


async def test_bytes_count_as_messages_do() -> None:
    rig = Rig()
    rig.put(4, size=100)
    assert rig.client.held == []
    rig.put(1, size=100)
    assert rig.client.held == [True]
    rig.pop(3)
    assert rig.client.held == [True, False]


async def test_what_is_read_already_still_has_room() -> None:
    rig = Rig()
    rig.put(8)
    assert (rig.client.held, rig.counters.dropped_external) == ([True], 0)
    rig.put(1)
    assert rig.counters.dropped_external == 1


async def test_when_nothing_moves_reading_goes_on_until_there_is_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(back_pressure, "LONGEST_S", 0.01)
    rig = Rig()
    rig.put(5)
    await asyncio.sleep(0.05)
    assert rig.client.held == [True, False]
    rig.put(9)
    assert (rig.client.held, rig.counters.dropped_external) == ([True, False], 6)
    rig.pop(7)
    rig.put(4)
    assert rig.client.held[2:] == [False, True]
    rig.pop(5)
    assert rig.client.held[-1] is False
    before = len(rig.client.held)
    await asyncio.sleep(0.05)
    assert len(rig.client.held) == before, "the timer of a hold that ended does nothing"
