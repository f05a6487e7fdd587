"""What a process holds, and what stays of something that was done a thousand times."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import psutil

from tests.own_time import now_s
from tests.waiting import PATIENCE_S

MOST_BYTES_A_ROUND = 256
"""More must not stay of a round: caches that fill and objects that wait for their collection are far below it over
hundreds of rounds, and whoever leaves an object with a buffer behind is above it."""

GRACE_BYTES = 65_536
"""What interned names and the like may take, however few the rounds are."""


class Holding(NamedTuple):
    """What a process has open."""

    threads: int
    tasks: int
    descriptors: int


def holding() -> Holding:
    """What this process has open now; sockets, files and handles count as descriptors."""
    process = psutil.Process()
    descriptors = process.num_handles() if psutil.WINDOWS else process.num_fds()
    return Holding(threading.active_count(), len(asyncio.all_tasks()), descriptors)


async def nothing_left(before: Holding, *, deadline_s: float = PATIENCE_S) -> None:
    """Wait until no more is open than before: a socket is closed one turn of the loop after its owner."""
    end = now_s() + deadline_s
    while True:
        gc.collect()
        now = holding()
        left = [name for name in Holding._fields if getattr(now, name) > getattr(before, name)]
        if not left:
            return
        assert now_s() < end, f"left behind ({', '.join(left)}): {now}, it was {before}"
        await asyncio.sleep(0.01)


class Rounds:
    """Something done again and again, with its memory watched.

    Args:
        one: A round; gets its number.
        warm_up: Rounds before anything is counted: the first ones fill caches.
    """

    def __init__(self, one: Callable[[int], Awaitable[None]], *, warm_up: int) -> None:
        self._one = one
        self._warm_up = warm_up

    async def run(self, count: int, *, deadline_s: float = PATIENCE_S) -> None:
        """Do it `count` times in all and assert that nothing stayed of it.

        Memory is traced over all rounds after half of the warm-up and compared from the end of the warm-up on.
        """
        before, start_bytes = holding(), 0
        try:
            for number in range(count):
                if number == self._warm_up // 2:
                    tracemalloc.start()
                if number == self._warm_up:
                    start_bytes = traced_bytes()
                await self._one(number)
            grown = traced_bytes() - start_bytes
        finally:
            tracemalloc.stop()
        await nothing_left(before, deadline_s=deadline_s)
        rounds = count - self._warm_up
        assert grown < max(rounds * MOST_BYTES_A_ROUND, GRACE_BYTES), f"{grown} bytes stayed of {rounds} rounds"


def traced_bytes() -> int:
    """Memory that is in use, without what only waits for its collection."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
