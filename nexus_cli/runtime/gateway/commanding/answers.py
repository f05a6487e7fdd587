"""Answers to whoever asked, and reports for the record: neither may wait for the other, nor hold up a device."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.gateway.commanding.journal import Entry, Journal, Key
from nexus_cli.runtime.gateway.outbox import Outbox
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.command import Report, encode
from nexus_cli.wire.topic import Topics

MOST_ANSWERS = 2_000
"""Answers that wait for the broker (policy: drop the oldest; a repeat of the id brings the answer again)."""
MOST_REPORTS = 2_000
"""Reports that wait for the disk (policy: keep them in the journal and try again after the next group commit)."""


class Answers:
    """Publishes answers in the order they were given, again after a reconnect until the broker has them.

    Attributes:
        dropped: Answers dropped while the broker was away.
    """

    def __init__(self, client: BrokerClient, topics: Topics) -> None:
        """Answer through a client."""
        self.dropped = 0
        self._client, self._topics = client, topics
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._wake = asyncio.Event()

    def put(self, report: Report) -> None:
        """Answer the one who asked."""
        if not report.response.id:
            return
        if len(self._waiting) >= MOST_ANSWERS:
            self._waiting.popleft()
            self.dropped += 1
        topic = self._topics.response(report.gateway, report.principal, report.response.id)
        self._waiting.append((topic, encode(report.response)))
        self._wake.set()

    def wake(self) -> None:
        """The broker is there (again)."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until stopped; then what is left, if the broker is there."""
        while True:
            self._wake.clear()
            await self._send()
            if stop.is_set():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._wake.wait()

    async def _send(self) -> None:
        while self._waiting and self._client.connected:
            topic, payload = self._waiting[0]
            try:
                await self._client.publish(topic, payload)
            except NexusError:
                return
            if self._waiting and self._waiting[0] == (topic, payload):
                self._waiting.popleft()


class Reports:
    """Hands reports to the outbox, and remembers in the journal which ones are durable there."""

    def __init__(self, outbox: Outbox, journal: Journal, topic: str) -> None:
        """Report on a topic."""
        self._outbox, self._journal, self._topic = outbox, journal, topic
        self._handed: dict[int, Key] = {}
        self._missing: deque[tuple[Key, Report]] = deque(maxlen=MOST_REPORTS)
        outbox.on_durable(self._durable)

    def put(self, key: Key, report: Report) -> None:
        """Report how a command ended."""
        found = report

        def make(epoch: str, seq: int) -> bytes:
            return encode(msgspec.structs.replace(found, epoch=epoch, seq=seq))

        seq = self._outbox.add_report(self._topic, time_us=max(1, report.response.time), make=make)
        if seq:
            self._handed[seq] = key
        else:
            self._missing.append((key, report))

    def again(self) -> None:
        """At the start: what an earlier life did not see durable."""
        for key, entry in self._journal.untold():
            self.put(key, entry.report)

    def _durable(self) -> None:
        """A group commit is done: its reports are in custody. One that the disk refused counts as committed already."""
        for seq in [seq for seq in self._handed if seq <= self._outbox.durable_seq]:
            key = self._handed.pop(seq)
            entry: Entry | None = self._journal.find(key)
            if not self._outbox.is_committed(seq):
                self._journal.told(key)
            elif entry is not None:
                self._missing.append((key, entry.report))
        for _ in range(len(self._missing)):
            key, report = self._missing.popleft()
            self.put(key, report)
            if self._missing and self._missing[-1] == (key, report):
                return
