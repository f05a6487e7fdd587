"""Publishes durable frames in order, with a bounded window of frames in flight until the historian's receipt.

The broker's acknowledgement only limits the rate; it does not mean that the message is kept (brokers were observed to
acknowledge and drop thousands). Frames without a receipt are sent again, at once after a reconnect and otherwise with
increasing delays.

One record that the broker does not pass on does not block the rest. A record that ends the connection (`gate`), or has
no receipt while later ones have, is made smaller if it is larger than everything that was passed on. Otherwise its
topic is blocked (the broker's rules may forbid it) and retried, until a retry succeeds. All frames share the topic of
the batches, so a batch on a topic that passes others is cut until a single frame remains, and that is set aside alone.

A record has one number or several (a batch). It is known by its last one, and is done when all are announced.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from nexus_cli.backoff import Backoff
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.outbox.blocked_topics import BlockedTopics
from nexus_cli.runtime.gateway.outbox.gate import PLAUSIBLE_LIMIT, Gate, packet_bytes
from nexus_cli.runtime.gateway.outbox.outbox import Outbox
from nexus_cli.runtime.gateway.outbox.passed_over import PassedOver
from nexus_cli.runtime.gateway.outbox.records import Record
from nexus_cli.runtime.gateway.outbox.splitting import FRAME_BYTES, MESSAGE_BYTES, SMALLEST_BYTES
from nexus_cli.runtime.gateway.outbox.window import Window
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.frame import FrameError, decode_committed

_log = logging.getLogger("nexus.outbox")
WINDOW_FRAMES = 20_000
"""Limit for frames that are published and not announced as committed (policy: wait)."""
WINDOW_BYTES = 32 << 20
UNACKNOWLEDGED = 200
"""Limit for messages that the broker has not acknowledged (policy: wait)."""
UNACKNOWLEDGED_BYTES = 1 << 20
"""Likewise in bytes: live values wait behind them in the socket."""
READ_FRAMES, READ_BYTES = 1_000, 1 << 20
"""How much is read and published in one go."""
MOST_ASIDE = 8
"""Single frames that are set aside; when more do not pass, and no later one does, the topic is blocked."""
DOUBTS = 3
"""How many messages larger than all that arrived must be dropped without notice before their size counts as a limit."""
LATE_US = 86_400_000_000
"""Records that are older, in µs, the historian may keep waiting for a lock, while it stores others."""
RECEIPT_S = 30.0
"""How long after a connect damage waits for receipts before it is declared, in seconds."""
STALL_FIRST_S, STALL_LONGEST_S = 5.0, 60.0


class Publisher:
    """Publishes the records of the outbox.

    Attributes:
        published: Frames published, repeats included.
        repeated: How many of them were repeats.
        receipts: Receipts that named something new.
        waiting_topics: The blocked topics.
        aside: Frames that are set aside, as their topic and number.
        gate: The window of messages to the broker, shared with the live view.
    """

    def __init__(
        self,
        outbox: Outbox,
        client: BrokerClient,
        *,
        clock: Clock,
        gate: Gate | None = None,
        window_frames: int = WINDOW_FRAMES,
        window_bytes: int = WINDOW_BYTES,
        stall_first_s: float = STALL_FIRST_S,
    ) -> None:
        """Publish from an outbox through a client; `run` does the work. The live view shares the gate."""
        self.published = self.repeated = self.receipts = 0
        self.waiting_topics = BlockedTopics(clock=clock)
        self.aside = BlockedTopics(clock=clock)
        self._outbox = outbox
        self.gate, self._clock = gate or Gate(client, clock=clock), clock
        self._window_frames, self._window_bytes = window_frames, window_bytes
        self._backoff = Backoff(first_s=stall_first_s, cap_s=STALL_LONGEST_S, floor=0.8)
        self._wake = asyncio.Event()
        self._cursor = self._highest = outbox.lowest_uncommitted() - 1
        self._sent = Window()
        self._good_topics: dict[str, int] = {}  # with the highest number of a record that arrived
        self._doubtful: dict[str, int] = {}
        self._doubts, self._lowered = 0, False
        self._stalled_at_s, self._again_up_to = 0.0, 0
        self._passed_over = PassedOver(clock=clock)
        self._receipt_due_s, self._full = 0.0, False
        outbox.on_durable(self._wake.set)
        self.gate.on_acknowledged(self._has_room)

    @property
    def in_flight(self) -> int:
        """Frames published and not yet announced as committed."""
        return self._sent.frames

    def facts(self) -> dict[str, Any]:
        """The publisher's part of the gateway's health."""
        outbox = self._outbox
        return {
            "epoch": outbox.epoch,
            "bytes": outbox.size_bytes,
            "uncommitted": outbox.uncommitted,
            "failing": outbox.failing,
            "lost": dict(outbox.lost),
            "waiting_topics": [*self.waiting_topics, *self.aside][:100],
            "limit_bytes": self.gate.limit_bytes,
        }

    def receipt(self, payload: bytes) -> bool:
        """Take a receipt of the historian; False when the payload is not a receipt."""
        try:
            receipt = decode_committed(payload)
        except FrameError:
            return False
        for earlier in receipt.earlier:
            self._outbox.commit(earlier.epoch, earlier.ranges)
        self._outbox.commit(receipt.epoch, receipt.ranges)
        done = self._sent.take(self._outbox.has_numbers)
        for last, _, size_bytes, topic in done:
            self._topic_passes(topic, last)
            if size_bytes > self.gate.delivered_bytes:
                self.gate.delivered_bytes = size_bytes
                self._doubts = 0
        if done:
            self.receipts += 1
            self._backoff.reset()
            self._arm()
            self._wake.set()
        highest = max((last for _, last in receipt.ranges), default=0)
        self._passed_over.receipt(min(highest, self._outbox.durable_seq), self._sent)
        passed = [one.passed(self._outbox.is_committed) for one in (self.waiting_topics, self.aside)]
        if any(passed):
            self._rewind()
        return True

    def reconnected(self) -> None:
        """After a connect: everything without a receipt is sent again."""
        self.gate.reconnected()
        self._receipt_due_s = self._clock.monotonic_s() + RECEIPT_S
        self._rewind()
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until stopped."""
        while not stop.is_set():
            self._wake.clear()
            if self._lowered and self.gate.fits(MESSAGE_BYTES):  # the limit has expired: it may have been raised
                self._lowered = False
                self._outbox.frame_bytes, self._outbox.message_bytes = FRAME_BYTES, MESSAGE_BYTES
            self.declare_overdue()
            if self.gate.connected and not self.gate.careful:
                await self._try_waiting()
            if self.gate.connected and await self._step():
                continue
            if self._stalled():
                self._rewind()
                continue
            if self._passed_over.due() and self.gate.connected:
                await self._send_passed_over()
                continue
            # A condition may have changed since it was checked; the wait is short enough for that.
            await wait_for(self._wake, timeout_s=0.5)

    def declare_overdue(self) -> None:
        """Declare damage for which no receipt came within `RECEIPT_S` after a connect; a new broker has none."""
        if self._receipt_due_s and self.gate.connected and self._clock.monotonic_s() >= self._receipt_due_s:
            self._receipt_due_s = 0.0
            self._outbox.declare_damage()

    async def drain(self, *, deadline_s: float) -> bool:
        """Wait until everything durable is announced as committed, at most `deadline_s` seconds; the rest is on disk."""
        until_s = self._clock.monotonic_s() + deadline_s
        while self.gate.connected and self._undelivered() and self._clock.monotonic_s() < until_s:
            await self._clock.sleep(0.01)
        return not self._undelivered()

    def _undelivered(self) -> bool:
        return self._outbox.lowest_uncommitted() <= self._outbox.durable_seq

    def wake(self) -> None:
        """Check for work now."""
        self._wake.set()

    def _has_room(self) -> None:
        """The broker has acknowledged something: continue if that was awaited."""
        if self._full and not self._too_much():
            self._wake.set()

    def _too_much(self) -> bool:
        return self.gate.records > UNACKNOWLEDGED or self.gate.record_bytes > UNACKNOWLEDGED_BYTES

    async def _step(self) -> bool:
        """Publish one batch; False when there is nothing to do."""
        if self.gate.careful:
            return await self._send_suspect()
        self._full = self._too_much()
        if self._full:
            return False
        room, room_bytes = self._window_frames - self._sent.frames, self._window_bytes - self._sent.size_bytes
        if self._cursor < self._highest:  # these were sent before, and are in the window already
            room, room_bytes = READ_FRAMES, READ_BYTES
        elif room <= 0 or room_bytes <= 0:
            return False
        self._cursor = self._outbox.next_uncommitted(self._cursor + 1) - 1
        limit, limit_bytes = min(room, READ_FRAMES), min(room_bytes, READ_BYTES)
        records = await self._outbox.read(after=self._cursor, limit=limit, limit_bytes=limit_bytes)
        if not records or await self._made_smaller(records):
            return bool(records)
        if not len(self._sent):
            self._arm()
        self.gate.compress = self._outbox.compress
        try:
            for record in records:
                if self._to_send(record):
                    self._note(record, self.gate.post(record.last, record.topic, record.payload))
                self._cursor = record.last
        except NexusError:
            return False
        return True

    def _to_send(self, record: Record) -> bool:
        if self._outbox.is_delivered(record) or self._is_held(record):
            return False
        return record.last not in self._sent or record.last <= self._again_up_to

    def _is_held(self, record: Record) -> bool:
        if not self.waiting_topics and not self.aside:
            return False
        return self.waiting_topics.holds(record.topic) or self.aside.holds(_name(record))

    def _note(self, record: Record, size_bytes: int) -> None:
        self.published += record.numbers
        if record.last <= self._highest:
            self.repeated += record.numbers
        else:
            self._highest = record.last
        self._sent.add(record, size_bytes)

    async def _made_smaller(self, records: list[Record]) -> bool:
        """True when some are known to be too large; they are replaced once their parts are durable."""
        if not self.gate.limit_bytes and not self._doubtful:
            return False
        too_large = [one for one in records if self._is_too_large(one) and not self._outbox.is_delivered(one)]
        replaced = 0
        for record in too_large:
            replaced += self._replace(record)
        if not replaced and not any(not self.gate.fits(packet_bytes(one.topic, one.payload)) for one in too_large):
            return False
        await self._clock.sleep(0.01)  # the parts must be durable first; if the disk refuses them, try again
        needed = self._outbox.newest_seq
        while self._outbox.durable_seq < needed and self._outbox.taking:
            await self._clock.sleep(0.01)
        return True

    async def _send_suspect(self) -> bool:
        """Publish alone the next record that may have ended the connection; False when none is due."""
        last = self.gate.suspect(int)
        if not isinstance(last, int):
            return False
        record = await self._record(last)
        if record is None or self._is_held(record) or (self._is_too_large(record) and self._replace(record)):
            self.gate.cleared(last)
        elif self.gate.refused(last):
            self.gate.cleared(last)
            self._does_not_pass(record, silent=False)
        elif await self.gate.post_alone(last, record.topic, record.payload):
            self._note(record, packet_bytes(record.topic, record.payload))
        return True

    async def _send_passed_over(self) -> None:
        """Send overtaken records again; those that were sent often enough count as not passed on."""
        self._cursor = self._outbox.lowest_uncommitted() - 1
        again, given_up = self._passed_over.take(self._sent, highest_sent=self._highest)
        self._again_up_to = max(again, default=0)
        for last in given_up:
            record = await self._record(last)
            if record is not None:
                self._does_not_pass(record, silent=True)

    async def _try_waiting(self) -> None:
        """Retry one record of each blocked topic, and each frame set aside, whose pause is over."""
        for last in (*self.waiting_topics.due(), *self.aside.due()):
            record = await self._record(last)
            with contextlib.suppress(NexusError):
                if record is not None:
                    self._note(record, self.gate.post(record.last, record.topic, record.payload))

    async def _record(self, last: int) -> Record | None:
        """The undelivered record with this number; None when it needs no delivery."""
        found = await self._outbox.read(after=last - 1, limit=1, limit_bytes=1)
        if not found or found[0].seq > last or self._outbox.is_delivered(found[0]):
            return None
        return found[0]

    def _does_not_pass(self, record: Record, *, silent: bool) -> None:
        """Handle a record that is not passed on: make it smaller if its size may be the reason, else block its topic.

        The size counts as a limit when records of its topic are passed on or it is large: otherwise the broker may refuse
        the topic. Drops without notice must happen `DOUBTS` times: an overloaded broker drops anything. In doubt a frame is
        sent in parts, which loses nothing and shows which of the two it was.
        """
        passed_bytes = self.gate.delivered_bytes if silent else self.gate.acknowledged_bytes
        size_bytes = packet_bytes(record.topic, record.payload)
        by_size = size_bytes > max(passed_bytes, SMALLEST_BYTES)
        if silent and record.time_us < self._clock.now_us() - LATE_US:
            by_size = False  # the historian may keep it waiting: that says nothing about the broker
        sure = by_size and (record.topic in self._good_topics or size_bytes >= PLAUSIBLE_LIMIT)
        self._doubts += sure and silent
        self._sent.forget(record.last)
        if sure and (not silent or self._doubts >= DOUBTS):
            self._learn(size_bytes, topic=record.topic, silent=silent)
        elif by_size and self._replace(record):
            if not sure and not silent:
                self._doubtful[record.topic] = size_bytes
        elif not sure:
            self._hold(record)
        self._rewind()

    def _hold(self, record: Record) -> None:
        """Keep apart what does not pass for another reason than its size: of a batch the frame, else the topic.

        A topic on which later records arrived is open, however many frames are missing: the historian may keep late ones
        waiting for a lock, and the present ones must not wait for them.
        """
        if record.topic == self._outbox.contents.batches and record.topic in self._good_topics:
            if record.numbers > 1 and self._replace(record):
                return
            few = len(self.aside) < MOST_ASIDE
            if record.numbers == 1 and (few or record.last < self._good_topics[record.topic]):
                if few:
                    event(_log, "a frame does not pass the broker", level=logging.WARNING, seq=record.seq)
                self.aside.add(_name(record), record.last)
                return
        event(_log, "records of a topic do not pass the broker", level=logging.WARNING, topic=record.topic)
        self.waiting_topics.add(record.topic, record.last)

    def _replace(self, record: Record) -> bool:
        """Replace a record by smaller ones, once they are durable; False when that is impossible or there is no room."""
        self._sent.forget(record.last)
        if not self.gate.fits(packet_bytes(record.topic, record.payload)):
            most_bytes = self.gate.limit_bytes - len(record.topic) - 1  # the live view may have found it
            self._outbox.message_bytes, self._lowered = min(self._outbox.message_bytes, most_bytes), True
        return self._outbox.replace(record, frame_bytes=min(self._outbox.frame_bytes, _half(record)))

    def _topic_passes(self, topic: str, last: int) -> None:
        """A receipt of a topic. The first: what was not passed on before on it was too large."""
        first = topic not in self._good_topics
        self._good_topics[topic] = max(last, self._good_topics.get(topic, 0))
        if first and (size_bytes := self._doubtful.pop(topic, 0)):
            self._learn(size_bytes, topic=topic, silent=False)

    def _learn(self, size_bytes: int, *, topic: str, silent: bool) -> None:
        """This size is not passed on: frames and values are kept smaller from now on."""
        payload_bytes = size_bytes - len(topic)
        self._doubts, self._lowered = 0, True
        self.gate.learn(size_bytes, silent=silent)
        self._outbox.frame_bytes = min(self._outbox.frame_bytes, max(SMALLEST_BYTES, payload_bytes // 2))
        self._outbox.message_bytes = min(self._outbox.message_bytes, payload_bytes - 1)

    def _is_too_large(self, record: Record) -> bool:
        """True when its size is known not to be passed on, or in doubt on its topic."""
        size_bytes = packet_bytes(record.topic, record.payload)
        if self._doubtful and size_bytes >= self._doubtful.get(record.topic, size_bytes + 1):
            return True
        return not self.gate.fits(size_bytes)

    def _arm(self) -> None:
        self._stalled_at_s = self._clock.monotonic_s() + self._backoff.next_s()
        self._backoff.step -= 1

    def _stalled(self) -> bool:
        return len(self._sent) > 0 and self.gate.connected and self._clock.monotonic_s() >= self._stalled_at_s

    def _rewind(self) -> None:
        """Start again at the lowest frame without a receipt."""
        self._passed_over.pause()
        self._cursor = self._outbox.lowest_uncommitted() - 1
        self._sent.clear()
        self._stalled_at_s = self._clock.monotonic_s() + self._backoff.next_s()


def _name(record: Record) -> str:
    """The name of a single frame that is set aside."""
    return f"{record.topic} {record.seq}"


def _half(record: Record) -> int:
    return max(SMALLEST_BYTES, len(record.payload) // 2)
