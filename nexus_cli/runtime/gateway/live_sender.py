"""Publishes parts of the live view: how many messages may leave, how old their samples are, what does not pass."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.live_doubts import LiveDoubts
from nexus_cli.runtime.gateway.live_table import LiveTable
from nexus_cli.runtime.gateway.outbox.gate import Gate, packet_bytes
from nexus_cli.runtime.gateway.outbox.splitting import SMALLEST_BYTES
from nexus_cli.runtime.latency import Latency
from nexus_cli.wire.latency_health import LatencyWindow
from nexus_cli.wire.payload import join_live, live_moment

MOST_IN_FLIGHT = 2_000
"""Live values on their way to the broker above which further ones wait: a few milliseconds of its work."""
BESIDE_RECORDS = 200
"""The same while records wait for the broker, so that they do not wait behind live values."""
MANY_RECORDS = 10
RESERVED = 500
"""Room above that for reported values that find no other one waiting."""
MOST_UNSENT_BYTES = 256 * 1024
"""Bytes that wait for the socket above which values wait."""
TICK_US = 100
"""Unit of the times in tokens."""
SLOT_BITS = 24
TICKS = 1 << 38
"""A token is a negative 64-bit integer: time of the sample in ticks, modulo `TICKS` (10 months), and number of the tag."""


class _Outgoing:
    """Messages of one QoS and retain flag: usual ones in parts, the others with their payloads."""

    __slots__ = ("ends", "heads", "moments", "odd_heads", "odd_payloads", "odd_tokens", "tokens", "values")

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.values: list[bool | int | float] = []
        self.moments: list[bytes] = []
        self.ends: list[bytes] = []
        self.tokens: list[int] = []
        self.odd_heads: list[bytes] = []
        self.odd_payloads: list[bytes] = []
        self.odd_tokens: list[int] = []

    def payloads(self) -> list[bytes]:
        """One per head, those of the odd ones last."""
        joined = join_live(self.values, self.moments, self.ends) if self.values else []
        return joined + self.odd_payloads


class LiveSender:
    """Owns the live messages on the connection.

    Attributes:
        published: Messages passed to the broker.
    """

    def __init__(
        self, gate: Gate, doubts: LiveDoubts, *, tables: Mapping[str, LiveTable], clock: Clock, latency: Latency
    ) -> None:
        """Publish through a gate; `tables` are the devices by the prefix of their topics, as they are now. `latency` gets
        the time from each sample to the broker's acknowledgement."""
        self.published = 0
        self._sent, self._arrived = Latency(clock), latency
        self._gate, self._doubts, self._tables, self._clock = gate, doubts, tables, clock
        self._base_us = clock.now_us()
        gate.live_view(self)

    def lags(self) -> tuple[LatencyWindow, LatencyWindow]:
        """Times from the sample to the hand-over to the socket, and to the broker's acknowledgement: the last minute."""
        return self._sent.read().minute, self._arrived.read().minute

    def room(self) -> int:
        """How many more messages broker and link take now; reported values that find no other one waiting may take `RESERVED`
        more, so nothing is taken below -RESERVED."""
        gate = self._gate
        if not gate.connected or gate.careful or gate.unsent_bytes > MOST_UNSENT_BYTES:
            return -RESERVED
        most = BESIDE_RECORDS if gate.records >= MANY_RECORDS else MOST_IN_FLIGHT
        return most - (gate.inflight - gate.records) - gate.unproven

    def publish(self, batch: Sequence[tuple[LiveTable, list[int]]]) -> bool:
        """Publish tags of devices, in one call for each way; False when nothing is accepted any more, and some may have
        left."""
        now_us = self._clock.now_us()
        outgoing: dict[tuple[int, bool], _Outgoing] = {}
        try:
            for one, every in batch:
                for way, places in one.by_way(every):
                    messages = outgoing.get(way)
                    if messages is None:
                        messages = outgoing[way] = _Outgoing()
                    self._add(one, places, messages, now_us)
            for (qos, retain), messages in outgoing.items():
                heads, tokens = messages.heads + messages.odd_heads, messages.tokens + messages.odd_tokens
                if heads:
                    self._gate.post_many(heads, messages.payloads(), tokens, qos=qos, retain=retain)
                    self.published += len(heads)
        except NexusError:
            return False
        return True

    def _add(self, one: LiveTable, places: list[int], messages: _Outgoing, now_us: int) -> None:
        if self._doubts or not one.is_usual(places):
            places, odd = ([], places) if self._doubts else one.split(places)
            self._add_odd(one, odd, messages, now_us)
            if not places:
                return
        table_times = one.table.times
        times = [table_times[at] for at in places]
        first_us = times[0]
        same = times.count(first_us) == len(times)
        messages.tokens += self._tokens(one, places, times, now_us, same=same)
        messages.heads += one.heads(places)
        messages.values += one.values(places)
        messages.ends += one.ends(places)
        messages.moments += [live_moment(first_us)] * len(times) if same else map(live_moment, times)

    def _add_odd(self, one: LiveTable, places: list[int], messages: _Outgoing, now_us: int) -> None:
        """Messages that have to be looked at: refused topics are left out, and large ones are published alone.

        Raises:
            NexusError: Nothing is accepted any more.
        """
        times = [one.table.times[at] for at in places]
        for at, token in zip(places, self._tokens(one, places, times, now_us), strict=True):
            state, head, data = one.table.state(at), one.head(at), one.payload(at)
            topic = state.topic
            if self._doubts and self._doubts.is_refused(topic):
                continue
            if packet_bytes(topic, data) > SMALLEST_BYTES:
                data = self._doubts.passable(state, data)
            if len(head) - 2 + len(data) > SMALLEST_BYTES:
                # Acknowledged whatever the setting says: otherwise there is no sign that it was too large.
                self._gate.post(topic, topic, data, retain=state.config.live_retain)
                self.published += 1
                continue
            messages.odd_heads.append(head)
            messages.odd_payloads.append(data)
            messages.odd_tokens.append(token)

    def _tokens(
        self, one: LiveTable, places: list[int], times: list[int], now_us: int, *, same: bool = False
    ) -> list[int]:
        """One token per message; notes how old the samples are, which `same` says is the same for all."""
        if same and one.repeats is None and one.every_us is None:
            first_us = times[0]
            self._sent.add_same((now_us - first_us) / 1e6, len(places))
            highest = -1 - (self._ticks(first_us) << SLOT_BITS) - one.first
            return [highest - at for at in places]
        several_us = np.array(times, np.int64)
        ticks = np.maximum((several_us - self._base_us) // TICK_US + 1, 1) % TICKS
        if one.repeats is not None:
            repeated = one.repeats[places]
            ticks[repeated] = 0
            several_us = several_us[~repeated]
        if one.every_us is None:
            self._sent.add_many((now_us - several_us) / 1e6)
        else:  # they wait because the site wants it
            ticks[:] = 0
        one.sent(places, int(self._clock.monotonic_s() * 1e6))
        found: list[int] = (-1 - ((ticks << SLOT_BITS) + np.array(places) + one.first)).tolist()
        return found

    def acknowledged(self, tokens: Sequence[int]) -> None:
        """The broker has these messages."""
        ticks = (-1 - np.array(tokens, np.int64)) >> SLOT_BITS
        ticks = ticks[ticks > 0]
        self._arrived.add_many(((self._ticks(self._clock.now_us()) - ticks) % TICKS) * (TICK_US / 1e6))

    def topics(self, tokens: Iterable[int]) -> list[str]:
        """The topics of these messages, each once."""
        slots = list(dict.fromkeys((-1 - token) & ((1 << SLOT_BITS) - 1) for token in tokens))
        if not slots:
            return []
        tables = sorted(self._tables.values(), key=lambda one: one.first)
        firsts = [one.first for one in tables]
        found = []
        for slot in slots:
            index = bisect_right(firsts, slot) - 1
            if index >= 0 and slot - firsts[index] < len(tables[index].table):
                found.append(tables[index].table.state(slot - firsts[index]).topic)
        return found

    def _ticks(self, time_us: int) -> int:
        return max(1, (time_us - self._base_us) // TICK_US + 1) % TICKS
