"""Publishes durable frames in order and keeps a bounded window of them in flight until the historian's receipt.

The broker's acknowledgement only paces; it is no promise to keep (measured: thousands acknowledged and dropped).
What stays without receipt is sent again, after a reconnect at once and otherwise with a growing pause.
"""

from __future__ import annotations

import asyncio
import contextlib

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.backoff import Backoff
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.outbox import Outbox
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.frame import FrameError, decode_committed

WINDOW_FRAMES = 2_000
"""Most frames published and not announced as committed (policy: wait)."""
WINDOW_BYTES = 32 << 20
UNACKNOWLEDGED = 200
"""Most messages handed to the broker that it has not acknowledged (policy: wait)."""
BATCH = 200
STALL_FIRST_S, STALL_LONGEST_S = 5.0, 60.0
PASSED_OVER_S = 1.0
"""A frame whose followers have been announced for this long was lost on the way: it alone is sent again."""


class Publisher:
    """Drains the outbox into the broker.

    Attributes:
        published: Frames handed to the broker, repeats included.
        repeated: Of these, how many were sent again.
        receipts: Receipts that named something new.
    """

    def __init__(
        self,
        outbox: Outbox,
        client: BrokerClient,
        *,
        clock: Clock,
        window_frames: int = WINDOW_FRAMES,
        window_bytes: int = WINDOW_BYTES,
        stall_first_s: float = STALL_FIRST_S,
    ) -> None:
        """Join the two; `run` works."""
        self.published = 0
        self.repeated = 0
        self.receipts = 0
        self._outbox = outbox
        self._client = client
        self._clock = clock
        self._window_frames = window_frames
        self._window_bytes = window_bytes
        self._backoff = Backoff(first_s=stall_first_s, cap_s=STALL_LONGEST_S, floor=0.8)
        self._wake = asyncio.Event()
        self._cursor = outbox.lowest_uncommitted() - 1
        self._highest = self._cursor
        self._sent: dict[int, int] = {}
        self._sent_bytes = 0
        self._stalled_at_s = 0.0
        self._passed_over_s = 0.0
        self._again_up_to = 0
        outbox.on_durable(self._wake.set)

    @property
    def in_flight(self) -> int:
        """Frames published and not yet announced as committed."""
        return len(self._sent)

    def receipt(self, payload: bytes) -> bool:
        """Take the historian's announcement; False when the bytes are not one."""
        try:
            receipt = decode_committed(payload)
        except FrameError:
            return False
        self._outbox.commit(receipt.epoch, receipt.ranges)
        highest = max((last for _, last in receipt.ranges), default=0)
        done = [seq for seq in self._sent if self._outbox.is_committed(seq)]
        for seq in done:
            self._sent_bytes -= self._sent.pop(seq)
        if done:
            self.receipts += 1
            self._backoff.reset()
            self._arm()
            self._wake.set()
        if self._sent and min(self._sent) < highest:
            if not self._passed_over_s:
                self._passed_over_s = self._clock.monotonic_s() + PASSED_OVER_S
                self._again_up_to = highest
        else:
            self._passed_over_s = 0.0
        return True

    def reconnected(self) -> None:
        """The broker is there (again): whatever has no receipt is sent again."""
        self._rewind()
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until stopped."""
        while not stop.is_set():
            self._wake.clear()
            if self._client.connected and await self._step():
                continue
            if self._stalled():
                self._rewind()
                continue
            if self._passed_over_s and self._clock.monotonic_s() >= self._passed_over_s:
                self._passed_over_s = 0.0
                self._cursor = self._outbox.lowest_uncommitted() - 1
                continue
            # A condition may have changed while we looked: the pause is short enough to bridge that.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._wake.wait()

    async def drain(self, *, deadline_s: float) -> bool:
        """Wait until everything durable is announced as committed, at most so long; what is left stays on disk."""
        until_s = self._clock.monotonic_s() + deadline_s
        while self._client.connected and self._undelivered() and self._clock.monotonic_s() < until_s:
            await self._clock.sleep(0.01)
        return not self._undelivered()

    def _undelivered(self) -> bool:
        return self._outbox.lowest_uncommitted() <= self._outbox.durable_seq

    def wake(self) -> None:
        """Look again now."""
        self._wake.set()

    async def _step(self) -> bool:
        """Publish one batch; False when there is nothing to do now."""
        room = self._window_frames - len(self._sent)
        if self._cursor < self._highest:  # on the way through what was sent before: it is in the window already
            room = BATCH
        elif room <= 0 or self._sent_bytes >= self._window_bytes:
            return False
        self._cursor = self._outbox.next_uncommitted(self._cursor + 1) - 1
        records = await self._outbox.read(
            after=self._cursor, limit=min(room, BATCH), limit_bytes=max(1, self._window_bytes - self._sent_bytes)
        )
        if not records:
            return False
        if not self._sent:
            self._arm()
        last: asyncio.Future[None] | None = None
        try:
            for record in records:
                known = record.seq in self._sent and record.seq > self._again_up_to
                if not known and not self._outbox.is_committed(record.seq):
                    last = self._client.post(record.topic, record.payload)
                    self._note(record.seq, len(record.payload))
                self._cursor = record.seq
            if last is not None and self._client.inflight > UNACKNOWLEDGED:
                await last
        except NexusError:
            return False
        return True

    def _note(self, seq: int, size_bytes: int) -> None:
        self.published += 1
        if seq <= self._highest:
            self.repeated += 1
        else:
            self._highest = seq
        self._sent_bytes += size_bytes - self._sent.get(seq, 0)
        self._sent[seq] = size_bytes

    def _arm(self) -> None:
        self._stalled_at_s = self._clock.monotonic_s() + self._backoff.next_s()
        self._backoff.step -= 1

    def _stalled(self) -> bool:
        return bool(self._sent) and self._client.connected and self._clock.monotonic_s() >= self._stalled_at_s

    def _rewind(self) -> None:
        """Forget what was sent and begin again at the lowest frame without receipt."""
        self._passed_over_s = 0.0
        self._cursor = self._outbox.lowest_uncommitted() - 1
        self._sent.clear()
        self._sent_bytes = 0
        self._stalled_at_s = self._clock.monotonic_s() + self._backoff.next_s()
