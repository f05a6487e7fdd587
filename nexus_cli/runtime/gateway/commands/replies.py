"""Responses to the sender of a command, and reports for the record. Neither waits for the other, nor delays a
device."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.gateway.commands.journal import Journal, Key
from nexus_cli.runtime.gateway.outbox.outbox import Outbox
from nexus_cli.runtime.gateway.outbox.splitting import SMALLEST_BYTES
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.command import LARGEST_REPORT_BYTES, Report, decode_response, encode, shortened, without_values
from nexus_cli.wire.topic import Topics

MOST_REPLIES = 2_000
"""Responses that wait for the broker (policy: drop the oldest; sending the id again returns the response again)."""
MOST_TRIES = 3
"""A response during which the connection ended so often is sent without its values, and after as many more is
dropped."""
MOST_REPORTS = 2_000
"""Reports that wait for the disk (policy: keep them in the journal and try again after the next group commit)."""


class Replies:
    """Publishes responses in order, and again after a reconnect until the broker has acknowledged them.

    Attributes:
        dropped: Responses dropped while the broker was unreachable, or because it does not accept them.
    """

    def __init__(self, client: BrokerClient, topics: Topics) -> None:
        """Publish through a client."""
        self.dropped = 0
        self._client, self._topics = client, topics
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._tries = 0
        self._wake = asyncio.Event()

    def put(self, report: Report) -> None:
        """Queue the response to the sender of a command; one without an id can't be answered."""
        if not report.response.id:
            return
        if len(self._waiting) >= MOST_REPLIES:
            self._waiting.popleft()
            self.dropped += 1
        topic = self._topics.response(report.gateway, report.principal, report.response.id)
        payload = encode(report.response)
        if len(payload) > LARGEST_REPORT_BYTES:
            payload = encode(without_values(report.response))
        self._waiting.append((topic, payload))
        self._wake.set()

    def wake(self) -> None:
        """Call after each connect."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until stopped; then what is left, if the broker is connected."""
        while True:
            self._wake.clear()
            await self._send()
            if stop.is_set():
                return
            await wait_for(self._wake, timeout_s=0.5)

    async def _send(self) -> None:
        while self._waiting and self._client.connected:
            first = self._waiting[0]
            try:
                await self._client.publish(*first)
            except NexusError:
                if self._waiting and self._waiting[0] == first:
                    self._failed(*first)
                return
            self._tries = 0
            if self._waiting and self._waiting[0] == first:
                self._waiting.popleft()

    def _failed(self, topic: str, payload: bytes) -> None:
        """The connection ended before the broker acknowledged this response: perhaps because of it."""
        self._tries += 1
        # A short one can't be too large. It gets more tries, since the network may be what ends the connections.
        chances = MOST_TRIES if len(payload) > SMALLEST_BYTES else 10 * MOST_TRIES
        if self._tries == MOST_TRIES == chances:
            self._waiting[0] = (topic, encode(without_values(decode_response(payload))))
        elif self._tries >= MOST_TRIES + chances:
            self._tries = 0
            self._waiting.popleft()
            self.dropped += 1


class Reports:
    """Puts reports into the outbox, and marks in the journal which ones are durable there."""

    def __init__(self, outbox: Outbox, journal: Journal, topic: str) -> None:
        """Report on a topic."""
        self._outbox, self._journal, self._topic = outbox, journal, topic
        self._posted: dict[int, tuple[Key, Report]] = {}
        self._missing: deque[tuple[Key, Report]] = deque(maxlen=MOST_REPORTS)
        outbox.on_durable(self._durable)
        outbox.on_refused(self._refused)

    def put(self, key: Key, report: Report) -> None:
        """Report the result of a command."""
        found = shortened(report) if len(encode(report)) > LARGEST_REPORT_BYTES else report

        def make(epoch: str, seq: int) -> bytes:
            return encode(msgspec.structs.replace(found, epoch=epoch, seq=seq))

        seq = self._outbox.add_report(self._topic, time_us=max(1, report.response.time), make=make)
        if seq:
            self._posted[seq] = (key, report)
        else:
            self._missing.append((key, report))

    def again(self) -> None:
        """At start-up: queue what the previous process did not see durable."""
        for key, entry in self._journal.without_custody():
            self.put(key, entry.report)

    def _durable(self) -> None:
        """A group commit is done: its reports are in the outbox's custody."""
        for seq in [seq for seq in self._posted if seq <= self._outbox.durable_seq]:
            self._journal.in_custody(self._posted.pop(seq)[0])
        for _ in range(len(self._missing)):
            key, report = self._missing.popleft()
            self.put(key, report)
            if self._missing and self._missing[-1] == (key, report):
                return

    def _refused(self, first_seq: int) -> None:
        """The disk refused these numbers, which are assigned again: queue their reports again later."""
        for seq in [seq for seq in self._posted if seq >= first_seq]:
            self._missing.append(self._posted.pop(seq))
