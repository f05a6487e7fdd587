"""The live view: the newest value of each tag, on its topic. There is no backlog: older values are conflated.

A changed tag is published at once. Only when the broker or the link does not keep up, values wait, and a newer one takes
the place of an older one.

See docs/decisions/0064, and docs/decisions/0011 for the marks of control.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import numpy as np
import orjson

from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.devices.tag_table import NEVER_US, Positions, TagState, TagTable
from nexus_cli.runtime.gateway.live_doubts import LiveDoubts
from nexus_cli.runtime.gateway.live_queue import LiveQueues
from nexus_cli.runtime.gateway.live_sender import RESERVED, SLOT_BITS, LiveSender
from nexus_cli.runtime.gateway.live_table import LiveTable, payload
from nexus_cli.runtime.gateway.outbox.gate import Gate
from nexus_cli.runtime.latency import Latencies
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.live_health import LiveHealth

PART = 200
"""Most tags of one device that leave at once while others wait."""
SLICE = 500
"""Most of what waits in one turn of the loop: about a millisecond."""
FEW = 50
SLICE_S = 0.02
IDLE_S = 0.5


def _nothing(*_: object) -> None:
    """The default of what is called beside the live view."""


class LiveView:
    """Publishes the newest value of each changed topic.

    Reported and polled values that wait have separate queues, which take turns; within a queue the devices take turns. So
    an event does not wait behind a backlog of polled values, nor polled values behind a device that reports continuously.

    Attributes:
        conflated: Values that a newer one replaced before they were published.
        doubts: What the broker does not pass on.
        gate: The window of messages to the broker, shared with the publisher of the record.
        on_put: Called with every new sample, as `put`.
        on_again: Called when every tag is published again.
    """

    def __init__(
        self, client: BrokerClient, *, clock: Clock, latencies: Latencies | None = None, rate_per_s: float | None = None
    ) -> None:
        """Publish through a client; with a rate at most so many messages a second, half of them reported values and half
        polled ones, while both wait. `latencies` are those of `publish` and `live`."""
        self.conflated = 0
        known = latencies or Latencies(("publish", "live"), clock=clock)
        self.gate = Gate(client, clock=clock, latency=known["publish"])
        self.gate.on_acknowledged(self._has_room)
        self.doubts = LiveDoubts(self.gate, clock=clock)
        self._clock = clock
        self.on_put: Callable[[TagTable, Positions | None], None] = _nothing
        self.on_again: Callable[[], None] = _nothing
        self._queues = LiveQueues(rate_per_s)
        self._tables: dict[str, LiveTable] = {}
        self._sender = LiveSender(self.gate, self.doubts, tables=self._tables, clock=clock, latency=known["live"])
        self._slots = 0
        self._again: dict[LiveTable, None] = {}
        self._held: dict[LiveTable, int] = {}
        self._next_held_us = NEVER_US
        self._wake = asyncio.Event()
        self._pending: list[tuple[LiveTable, list[int], bool]] = []
        self._pending_count = self._room = 0

    @property
    def waiting(self) -> int:
        """Topics whose newest value is not published yet; bounded by the number of tags."""
        return self._queues.waiting + self._pending_count + sum(len(one.table) for one in self._again)

    @property
    def published(self) -> int:
        """Messages passed to the broker."""
        return self._sender.published

    @property
    def too_large(self) -> int:
        """Values published as BAD `too_large`."""
        return self.doubts.too_large

    def health(self) -> LiveHealth:
        """For the gateway's health."""
        sent, acknowledged = self._sender.lags()
        return LiveHealth(waiting=self.waiting, sent=sent, acknowledged=acknowledged)

    def put(self, table: TagTable, positions: Positions | None) -> None:
        """Publish tags of a device that have a new sample, None for all of them, or queue them while others wait. The
        value is read from the table when it is published, so a conflated value is never encoded."""
        one = self._tables.get(table.prefix)
        if one is None or one.table is not table:
            one = self._known(table)
        if one in self._again:
            self._repeat(one)
        self.on_put(table, positions)
        places = one.places(positions)
        if one.every_us is not None:
            places = self._timely(one, places)
        if one.repeats is not None:
            self.conflated -= int(one.repeats[places].sum())  # what they would have repeated was published before
            one.repeats[places] = False
        for reported, part in one.by_class(places):
            if self._has_its_turn(len(part), reported=reported):
                if not self._pending:
                    asyncio.get_running_loop().call_soon(self._flush)
                self._pending.append((one, part, reported))
                self._pending_count += len(part)
            elif part:
                self._queue(one, part, reported=reported)

    def tables(self) -> list[TagTable]:
        """Those of the devices that are published."""
        return [one.table for one in self._tables.values()]

    def forget(self, topic: str) -> None:
        """Stop publishing a tag that has been removed."""
        self.doubts.forget(topic)
        prefix, _, name = topic.rpartition("/")
        one = self._tables.get(f"{prefix}/")
        if one is None or name not in one.table.places:
            return
        self._withdraw(one, one.table.places[name])
        self._queues.remove(one)
        left = one.hide(name)
        if left:
            self._requeue(one)
        else:
            del self._tables[one.table.prefix]
            self._again.pop(one, None)
            self._held.pop(one, None)

    def again(self) -> None:
        """After a connect: publish every tag again, since the broker may have lost its state."""
        self._again.update(dict.fromkeys(self._tables.values()))
        self._wake.set()
        self.on_again()

    def noticed(self, notice: bytes) -> None:
        """A configuration notice: with `again` every tag is published again, since control has marked them BAD
        meanwhile."""
        with contextlib.suppress(ValueError):
            fields = orjson.loads(notice)
            if isinstance(fields, dict) and fields.get("again") is True:
                self.again()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish what waits, until stopped."""
        before_s = self._clock.monotonic_s()
        while not stop.is_set():
            now_s = self._clock.monotonic_s()
            self._queues.refill(now_s - before_s, slice_s=SLICE_S)
            before_s = now_s
            self._wake.clear()
            self._release()
            self.gate.tidy()
            if self.gate.careful:
                if await self._publish_suspect():
                    continue
            elif self.gate.connected and self._slice():
                await asyncio.sleep(0)  # the rest of the gateway first
                continue
            await wait_for(self._wake, timeout_s=self._pause_s(now_s))

    async def finish(self, *, deadline_s: float) -> None:
        """Publish what is queued, for at most `deadline_s` seconds (at a stop, while the client is still connected)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                self._release(all_of_them=True)
                while self.waiting and self.gate.connected:
                    self._queues.refill(SLICE_S, slice_s=SLICE_S)
                    if self.gate.careful or not self._slice():
                        await asyncio.sleep(SLICE_S)
                    await asyncio.sleep(0)

    # --- queueing ------------------------------------------------------------------------------------------------

    def _known(self, table: TagTable) -> LiveTable:
        """A device that has a new configuration, or is new."""
        before = self._tables.get(table.prefix)
        if before is not None:
            self._queues.remove(before)
            before.table.waiting[:] = False
            self._again.pop(before, None)
            self._held.pop(before, None)
        if self._slots + len(table) >= 1 << SLOT_BITS:
            self._slots = 0
        one = self._tables[table.prefix] = LiveTable(table, first=self._slots)
        self._slots += len(table)
        return one

    def _timely(self, one: LiveTable, places: list[int]) -> list[int]:
        """Those that may be published now; the others are held until it is time."""
        now, early = one.due(places, int(self._clock.monotonic_s() * 1e6))
        if early:
            self.conflated += int(one.held[early].sum())
            one.held[early] = True
            self._hold(one)
        return now

    def _hold(self, one: LiveTable) -> None:
        """Note when the first of a device's held tags is due."""
        until_us = one.until_us()
        if until_us is None:
            self._held.pop(one, None)
            return
        self._held[one] = until_us
        if until_us < self._next_held_us:
            self._next_held_us = until_us
            self._wake.set()

    def _release(self, *, all_of_them: bool = False) -> None:
        """Queue the held tags whose time has come."""
        now_us = int(self._clock.monotonic_s() * 1e6)
        if now_us < self._next_held_us and not all_of_them:
            return
        due = [one for one, until_us in self._held.items() if until_us <= now_us or all_of_them]
        self._next_held_us = min((until_us for until_us in self._held.values() if until_us > now_us), default=NEVER_US)
        for one in due:
            held: list[int] = one.held.nonzero()[0].tolist()
            now = held if all_of_them else one.due(held, now_us)[0]
            one.held[now] = False
            for reported, part in one.by_class(now):
                self._queue(one, part, reported=reported)
            self._hold(one)

    def _queue(self, one: LiveTable, places: list[int], *, reported: bool) -> None:
        if reported or not self._queues.waiting:  # else the task is at work, or waits for room
            self._wake.set()
        self.conflated += self._queues.add(one, places, reported=reported)

    def _requeue(self, one: LiveTable) -> None:
        """Queue again what waits of a device."""
        for reported in (True, False):
            left = one.waiting(reported=reported)
            one.table.waiting[left] = False
            if left:
                self._queues.add(one, left, reported=reported)

    def _repeat(self, one: LiveTable, *, without: list[int] | None = None) -> None:
        """Queue every tag of a device that has a sample and does not wait; without those that leave just now."""
        del self._again[one]
        table = one.table
        found = (table.time_us > 0) & ~table.waiting
        if one.shown is not None:
            found &= np.frombuffer(one.shown, np.bool_)
        if without is not None:
            found[without] = False
        places = found.nonzero()[0].tolist()
        if one.every_us is not None:
            one.held[places] = False
        one.repeats = found if one.repeats is None else one.repeats | found
        for reported, part in one.by_class(places):
            if part:
                self._queues.add(one, part, reported=reported)

    # --- publishing ----------------------------------------------------------------------------------------------

    def _has_its_turn(self, count: int, *, reported: bool) -> bool:
        """Whether new values may be published at the end of this turn of the loop, without passing others that wait."""
        if not count or not self._queues.is_free(reported=reported):
            return False
        if not self._pending:
            self._room = self._sender.room()
        return self._pending_count + count <= self._room + (RESERVED if reported else 0)

    def _flush(self) -> None:
        """Publish the changes of this turn of the loop, in one call."""
        pending, self._pending, self._pending_count = self._pending, [], 0
        if pending and not self._sender.publish([(one, places) for one, places, _ in pending if places]):
            for one, places, reported in pending:
                if self._tables.get(one.table.prefix) is one:  # else it was reconfigured since
                    self._queue(one, places, reported=reported)

    def _withdraw(self, one: LiveTable, at: int) -> None:
        """A tag that was about to leave at the end of this turn stays."""
        pending, self._pending = self._pending, []
        for other, places, reported in pending:
            kept = [place for place in places if place != at] if other is one else places
            self._pending_count -= len(places) - len(kept)
            self._pending.append((other, kept, reported))

    def _has_room(self) -> None:
        if (self._queues.waiting or self._again) and self._worth() > 0:
            self._wake.set()

    def _worth(self) -> int:
        """How many messages may leave now; 0 while so few would that they are not worth a call of their own."""
        room = min(SLICE, self._sender.room() - self._pending_count)
        return room if room >= FEW or self.gate.inflight - self.gate.records < FEW else 0

    def _pause_s(self, now_s: float) -> float:
        """Until something may have to be done."""
        if self.waiting and self.gate.connected:
            return SLICE_S
        return min(IDLE_S, max(0.0, self._next_held_us / 1e6 - now_s))

    def _slice(self) -> bool:
        """Publish some of what waits, the queues in turn; False when nothing could be published."""
        room = left = self._worth()
        taken: list[tuple[LiveTable, list[int], bool]] = []
        while left > 0:
            if not self._queues.waiting and self._again:
                self._repeat(next(iter(self._again)))
            found = self._queues.take(min(left, PART))
            if found is not None:
                if found[0] in self._again:
                    self._repeat(found[0], without=found[1])
                taken.append(found)
                left -= len(found[1])
            elif self._queues.waiting or not self._again:
                break
        if taken and not self._sender.publish([(one, places) for one, places, _ in taken]):
            for one, places, reported in taken:
                self._queue(one, places, reported=reported)
            return False
        return left < room

    async def _publish_suspect(self) -> bool:
        """Publish alone a value that may have ended the connection, and decide what to do if it does so again. False when
        none is due, or its connection ended."""
        topic = self.gate.suspect(str)
        if not isinstance(topic, str):
            return False
        state = self._state(topic)
        if state is None:
            self.gate.cleared(topic)
            return True
        data = self.doubts.passable(state, payload(state))
        if not self.gate.refused(topic):
            return await self.gate.post_alone(topic, topic, data, retain=state.config.live_retain)
        self.gate.cleared(topic)
        if self.doubts.ended_connections(state, data):
            self.put(state.table, np.array([state.at]))
        return True

    def _state(self, topic: str) -> TagState | None:
        prefix, _, name = topic.rpartition("/")
        one = self._tables.get(f"{prefix}/")
        at = None if one is None else one.table.places.get(name)
        if one is None or at is None or not one.places(np.array([at])):
            return None
        state = one.table.state(at)
        return state if state.known else None
