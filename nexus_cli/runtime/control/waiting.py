"""Waiting for the first of several events."""

from __future__ import annotations

import asyncio

from nexus_cli.diagnostics.groups import Group
from nexus_cli.runtime.lifecycle import wait_for


async def first_of(*events: asyncio.Event, timeout_s: float = float("inf")) -> None:
    """Wait until one of the events is set, at most `timeout_s`."""
    async with Group() as group:
        one_is_set = asyncio.Event()

        async def relay(one: asyncio.Event) -> None:
            await one.wait()
            one_is_set.set()

        relays = [group.create_task(relay(each), name="relay") for each in events]
        if timeout_s == float("inf"):
            await one_is_set.wait()
        else:
            await wait_for(one_is_set, timeout_s=timeout_s)
        for each in relays:
            each.cancel()
