"""What waits for the intake lets others run, whatever is set."""

from __future__ import annotations

import asyncio

from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.inbound_queue import InboundQueue
from nexus_cli.wire.topic import Topics


async def test_a_change_that_waits_does_not_make_the_waiting_spin() -> None:
    inbound_queue = InboundQueue(topics=Topics("acme", "chicago"), counters=Counters())
    inbound_queue.config_changed.set()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while turns < 10:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(others())
        for _ in range(5):
            assert not await inbound_queue.wait(60.0)
            assert turns, "somebody else had a turn"
    assert inbound_queue.config_changed.is_set(), "who reads the site again clears it"
