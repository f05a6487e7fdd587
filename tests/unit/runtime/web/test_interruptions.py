"""When web may not have heard every message: its loop stood still, or a gateway was away."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import orjson
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.web import interruptions
from nexus_cli.runtime.web.interruptions import Interruptions
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics
from tests.simulated_time import LoopClock

TOPICS = Topics("acme", "chicago")
VIEW = [("acme/chicago/#", 0)]


class Broker:
    """Notes what is subscribed again, and when."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.asked_s: list[float] = []

    async def subscribe(self, subscriptions: Any) -> None:
        assert subscriptions == VIEW
        self.asked_s.append(asyncio.get_running_loop().time())
        if self.away:
            raise NexusError("it is away", code="NX6010")


class Stalling(LoopClock):
    """A clock of a loop that stands still now and then: at `at_s`, for so many seconds."""

    def __init__(self, stalls: dict[float, float]) -> None:
        super().__init__()
        self.stalls, self.still_s, self.began_s = stalls, 0.0, super().monotonic_s()

    def monotonic_s(self) -> float:
        now_s = super().monotonic_s()
        for at_s in [each for each in self.stalls if self.began_s + each <= now_s]:
            self.still_s += self.stalls.pop(at_s)
        return now_s + self.still_s


def following(clock: LoopClock, broker: Broker) -> tuple[Interruptions, LiveCache, list[float]]:
    cache = LiveCache(now_us=clock.wall_us)
    told: list[float] = []
    found = Interruptions(cast(Any, broker), cache, TOPICS, clock=clock)
    found.callbacks.append(lambda: told.append(asyncio.get_running_loop().time()))
    return found, cache, told


@pytest.mark.simulated_time
@pytest.mark.parametrize("away", [False, True])
async def test_a_loop_that_stood_still_asks_for_the_live_view_again(away: bool) -> None:
    broker, stop = Broker(away=away), asyncio.Event()
    clock = Stalling({3.2: 20.0, 5.2: 1.5, 30.2: 0.9})
    found, _, told = following(clock, broker)
    running = asyncio.create_task(found.run(stop, subscriptions=VIEW))
    began_s = asyncio.get_running_loop().time()
    await asyncio.sleep(40)
    stop.set()
    await running
    # The second one is too soon to ask again at once; the third is no longer than a busy machine's.
    assert [round(each - began_s, 1) for each in told] == [3.5, 5.5]
    first_s, second_s = (round(each - began_s, 1) for each in broker.asked_s)
    assert first_s == 3.5
    assert second_s - first_s + 1.5 == pytest.approx(interruptions.AGAIN_S, abs=0.5)


@pytest.mark.simulated_time
async def test_a_gateway_that_was_away_is_an_interruption() -> None:
    found, cache, told = following(LoopClock(), Broker())

    def say(state: str, instance: str, *, retain: bool = False) -> int:
        body = orjson.dumps({"state": state, "instance": instance, "time": len(told)})
        cache.take(Message(TOPICS.health("gateway", "gw"), body, 0, retain))
        return len(told)

    assert say("running", "one", retain=True) == 0
    assert say("running", "one") == 0
    assert say("lost", "one") == 1
    assert say("running", "one") == 2
    assert say("running", "two") == 3
    cache.take(Message(TOPICS.health("gateway", "gw"), b"no json", 0, False))
    assert say("running", "two") == 3
    cache.take(Message(TOPICS.health("control", "c"), b'{"state":"running"}', 0, False))
    cache.take(Message(TOPICS.health("control", "c"), b'{"state":"lost"}', 0, False))
    assert len(told) == 3
    assert found.callbacks
