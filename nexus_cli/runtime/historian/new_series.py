"""Creates the series of new topics that globs of external devices cover: collected, with one statement, apart from
frames.

Messages of topics that wait for their series are bounded; beyond the bound the newest is dropped and counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from nexus_cli.database.connect import Connection
from nexus_cli.database.minting import SeriesFacts
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.database_link import DatabaseLink, StoppedError
from nexus_cli.runtime.historian.external_topics import ExternalTopics, Wanted
from nexus_cli.runtime.historian.inbound_queue import InboundQueue
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.wire.message import Message

MOST_WAITING = 10_000
MOST_BYTES = 16 * 1024 * 1024
"""Limits for the waiting messages, by number and by bytes of payload."""
MOST_AT_ONCE = 1_000
GATHER_S = 0.05
"""How long to wait for more new topics, which come in bursts, in seconds."""


class _Waiting(NamedTuple):
    message: Message
    arrived_us: int


class NewSeries:
    """Creates series in its own task and returns the messages to the inbound queue, with the time of their arrival."""

    def __init__(
        self, *, link: DatabaseLink, external_topics: ExternalTopics, inbound_queue: InboundQueue, counters: Counters
    ) -> None:
        """Use its own link: nothing else waits for it."""
        self._link, self._external, self._inbound, self._counters = link, external_topics, inbound_queue, counters
        self._wanted: dict[str, Wanted] = {}
        self._waiting: deque[_Waiting] = deque()
        self._paths: set[str] = set()
        self._bytes = 0
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def waits(self, path: str) -> bool:
        """True while messages of this path wait for its series."""
        return path in self._paths

    def put(self, message: Message, wanted: Wanted | None, *, path: str, arrived_us: int) -> bool:
        """Keep a message whose topic has no series yet, or of which earlier messages still wait.

        Args:
            message: An external message.
            wanted: The series that it needs; None when none may be created for it.
            path: The path of its topic.
            arrived_us: Its arrival, µs since 1970 UTC.

        Returns:
            False when it is to be taken at once.
        """
        if wanted is None and path not in self._paths:
            return False
        size = len(message.payload)
        if len(self._waiting) >= MOST_WAITING or self._bytes + size > MOST_BYTES:
            self._counters.dropped_external += 1
            return True
        if wanted is not None and path not in self._paths:
            self._wanted[path] = wanted
            self._paths.add(path)
        self._waiting.append(_Waiting(message, arrived_us))
        self._bytes += size
        self._wake.set()
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Create series until stopped; messages that still wait are dropped and counted."""
        while not stop.is_set():
            if not await wait_for(self._wake, timeout_s=0.5):
                continue
            await wait_for(stop, timeout_s=GATHER_S)
            self._wake.clear()
            while self._wanted and not stop.is_set():
                some = dict(list(self._wanted.items())[:MOST_AT_ONCE])
                try:
                    await self._link.use(lambda conn: self._make(conn, some), stop=stop)  # noqa: B023
                except StoppedError:
                    break
                self._wanted = {path: each for path, each in self._wanted.items() if path not in some}
                self._give_back()
        self._counters.dropped_external += len(self._waiting)

    async def _make(self, conn: Connection, some: dict[str, Wanted]) -> None:
        by_device: dict[str, list[SeriesFacts]] = {}
        for each in some.values():
            by_device.setdefault(each.device, []).append(each.facts)
        for device, facts in by_device.items():
            await self._external.create(conn, device, facts)

    def _give_back(self) -> None:
        """Return the messages whose path no longer waits for a series, in order of arrival."""
        self._paths = set(self._wanted)
        kept: deque[_Waiting] = deque()
        for each in self._waiting:
            if self._external.path(each.message) in self._paths:
                kept.append(each)
            else:
                self._inbound.give_back(each.message, arrived_us=each.arrived_us)
        self._waiting = kept
        self._bytes = sum(len(each.message.payload) for each in kept)
