"""Publishes parts of the live view: how many messages may leave, how old their samples are, what does not pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.live_doubts import LiveDoubts
from nexus_cli.runtime.gateway.live_lag import Lag
from nexus_cli.runtime.gateway.live_table import LiveTable
from nexus_cli.runtime.gateway.outbox.gate import Gate, packet_bytes
from nexus_cli.runtime.gateway.outbox.splitting import SMALLEST_BYTES
from nexus_cli.wire.live_health import LagHealth

MOST_IN_FLIGHT = 2_000
"""Unacknowledged live values above which further ones wait: a few milliseconds of a broker's work."""
BESIDE_RECORDS = 200
"""The same while records wait for the broker, so that they do not wait behind live values."""
MANY_RECORDS = 50
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
    """Messages of one QoS and retain flag."""

    __slots__ = ("heads", "payloads", "tokens")

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.payloads: list[bytes] = []
        self.tokens: list[int] = []

    def add(self, head: bytes, payload: bytes, token: int) -> None:
        self.heads.append(head)
        self.payloads.append(payload)
        self.tokens.append(token)

    def add_all(self, heads: list[bytes], payloads: list[bytes], tokens: list[int]) -> None:
        self.heads += heads
        self.payloads += payloads
        self.tokens += tokens


class LiveSender:
    """Owns the live messages on the connection.

    Attributes:
        published: Messages passed to the broker.
    """

    def __init__(self, gate: Gate, doubts: LiveDoubts, *, tables: Mapping[str, LiveTable], clock: Clock) -> None:
        """Publish through a gate; `tables` are the devices by the prefix of their topics, as they are now."""
        self.published = 0
        self._sent, self._arrived = Lag(clock.monotonic_s), Lag(clock.monotonic_s)
        self._gate, self._doubts, self._tables, self._clock = gate, doubts, tables, clock
        self._base_us = clock.now_us()
        gate.live_view(self)

    def lags(self) -> tuple[LagHealth, LagHealth]:
        """Times from the sample to the hand-over to the socket, and to the broker's acknowledgement."""
        return self._sent.health(), self._arrived.health()

    def room(self) -> int:
        """How many more messages broker and link take now; reported values that find no other one waiting may take `RESERVED`
        more, so nothing is taken below -RESERVED."""
        gate = self._gate
        if not gate.connected or gate.careful or gate.unsent_bytes > MOST_UNSENT_BYTES:
            return -RESERVED
        most = BESIDE_RECORDS if gate.records >= MANY_RECORDS else MOST_IN_FLIGHT
        return most - (gate.inflight - gate.records)

    def publish(self, batch: Sequence[tuple[LiveTable, list[int]]]) -> bool:
        """Publish tags of devices, in one call for each way; False when nothing is accepted any more, and some may have
        left."""
        now_us = self._clock.now_us()
        self._sent.turn()
        outgoing: dict[tuple[int, bool], _Outgoing] = {}
        try:
            for one, places in batch:
                payloads, times, usual = one.messages(places)
                tokens = self._tokens(one, places, times, now_us)
                if self._doubts or not usual:
                    self._pass(one, places, payloads, tokens, outgoing)
                elif one.way is None:
                    for at, payload, token in zip(places, payloads, tokens, strict=True):
                        self._to(outgoing, one.way_of(at)).add(one.head(at), payload, token)
                else:
                    self._to(outgoing, one.way).add_all(one.heads(places), payloads, tokens)
            for (qos, retain), messages in outgoing.items():
                self._gate.post_many(messages.heads, messages.payloads, messages.tokens, qos=qos, retain=retain)
                self.published += len(messages.heads)
        except NexusError:
            return False
        return True

    @staticmethod
    def _to(outgoing: dict[tuple[int, bool], _Outgoing], way: tuple[int, bool]) -> _Outgoing:
        found = outgoing.get(way)
        if found is None:
            found = outgoing[way] = _Outgoing()
        return found

    def _tokens(self, one: LiveTable, places: list[int], times: list[int], now_us: int) -> list[int]:
        """One token per message; notes how old the samples are."""
        first_us = times[0]
        if one.repeats is None and one.every_us is None and times.count(first_us) == len(times):
            self._sent.add_same(now_us - first_us, len(places))
            highest = -1 - (self._ticks(first_us) << SLOT_BITS) - one.first
            return [highest - at for at in places]
        several_us = np.array(times, np.int64)
        ticks = np.maximum((several_us - self._base_us) // TICK_US + 1, 1) % TICKS
        if one.repeats is not None:
            repeated = one.repeats[places]
            ticks[repeated] = 0
            several_us = several_us[~repeated]
        if one.every_us is None:
            self._sent.add(now_us - several_us)
        else:  # they wait because the site wants it
            ticks[:] = 0
        one.sent(places, int(self._clock.monotonic_s() * 1e6))
        found: list[int] = (-1 - ((ticks << SLOT_BITS) + np.array(places) + one.first)).tolist()
        return found

    def _pass(
        self,
        one: LiveTable,
        places: list[int],
        payloads: list[bytes],
        tokens: list[int],
        outgoing: dict[tuple[int, bool], _Outgoing],
    ) -> None:
        """Look at each message: refused topics are left out, and large ones are published alone.

        Raises:
            NexusError: Nothing is accepted any more.
        """
        for at, payload, token in zip(places, payloads, tokens, strict=True):
            head = one.head(at)
            if self._doubts or len(head) - 2 + len(payload) > SMALLEST_BYTES:
                state = one.table.state(at)
                topic = state.topic
                if self._doubts.is_refused(topic):
                    continue
                data = payload
                if packet_bytes(topic, data) > SMALLEST_BYTES:
                    data = self._doubts.passable(state, data)
                if packet_bytes(topic, data) > SMALLEST_BYTES:
                    # Acknowledged whatever the setting says: otherwise nothing tells whether it was too large.
                    self._gate.post(topic, topic, data, retain=state.config.live_retain)
                    self.published += 1
                    continue
                payload = data
            self._to(outgoing, one.way_of(at)).add(head, payload, token)

    def acknowledged(self, tokens: Sequence[int]) -> None:
        """The broker has these messages."""
        self._arrived.turn()
        ticks = (-1 - np.array(tokens, np.int64)) >> SLOT_BITS
        ticks = ticks[ticks > 0]
        self._arrived.add(((self._ticks(self._clock.now_us()) - ticks) % TICKS) * TICK_US)

    def topics(self, tokens: Iterable[int]) -> list[str]:
        """The topics of these messages, each once."""
        names: dict[int, str] = {}
        for one in self._tables.values():
            prefix = one.table.prefix
            names.update({one.first + at: prefix + name for at, name in enumerate(one.table.names)})
        slots = [(-1 - token) & ((1 << SLOT_BITS) - 1) for token in tokens]
        return list(dict.fromkeys(names[slot] for slot in slots if slot in names))

    def _ticks(self, time_us: int) -> int:
        return max(1, (time_us - self._base_us) // TICK_US + 1) % TICKS
