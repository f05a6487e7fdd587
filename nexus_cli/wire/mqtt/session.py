"""One client session: what may be sent, what must be answered, and when the broker counts as lost. Pure.

Bytes and the time go in (`receive`, `tick`), bytes and events come out (`take`, the lists that are returned). A session
that is not clean keeps its `State` for the session of the next connection.

Source: MQTT 3.1.1, 3 and 4; MQTT 5.0, 3 and 4. The code cites the clause that it implements; clauses of both versions have
the same number unless a version is named.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from nexus_cli.wire.message import Message
from nexus_cli.wire.mqtt import answers, packets, properties, reasons
from nexus_cli.wire.mqtt.assembly import Assembly
from nexus_cli.wire.mqtt.data import PROTOCOL_ERROR, MalformedError, partial_variable
from nexus_cli.wire.mqtt.events import Accepted, Acknowledged, Closed, Event, Oversized, Refused
from nexus_cli.wire.mqtt.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Options
from nexus_cli.wire.mqtt.sending import LARGEST_NUMBER, MOST_OPEN, Sending
from nexus_cli.wire.mqtt.state import State

BULK: Final = 32
"""Bytes of a read from which on it is looked at as a whole: nothing but acknowledgements, by far the most frequent."""


class Session(Sending):
    """One connection of a session.

    Attributes:
        accepted: True from the CONNACK on.
        closed: True once it is over.
        undecodable: Messages dropped because their topic is not UTF-8, which the standard forbids (1.5.3) and some brokers
            pass on.
        limits: Properties of the CONNACK, MQTT 5.
    """

    def __init__(self, options: Options, *, now_s: float, state: State | None = None) -> None:
        """Begin with the CONNECT.

        Args:
            options: See there.
            now_s: Monotonic seconds, as everywhere here.
            state: Of the connection before; only where `options.clean` is False.

        Raises:
            ValueError, KeyError: See `packets.connect`.
        """
        super().__init__(options, now_s=now_s, state=state)
        self.undecodable = 0
        self._assembly = Assembly()
        self._most_received = int(options.properties.get("receive_maximum", LARGEST_NUMBER))
        self._keepalive_s = float(options.keepalive_s)
        self._received_s = now_s
        self._pinged_s: float | None = None
        self._pings: deque[Any] = deque()

    # --- time ---------------------------------------------------------------------------------------------------

    def tick(self, now_s: float) -> list[Event]:
        """Keep alive (3.1.2.10): ping before one side was silent for that long; end when no answer comes.

        To be called about once a second: the ping leaves up to a second early, so that it is not late.
        """
        keepalive_s = self._keepalive_s
        if not keepalive_s or not self.accepted or self.closed:
            return []
        if self._pinged_s is not None:
            if now_s - self._pinged_s >= keepalive_s / 2:
                return [self._end(f"the broker sent nothing for {now_s - self._received_s:.0f} s")]
        elif now_s - min(self._sent_s, self._received_s) >= max(keepalive_s - 1.0, keepalive_s / 2):
            self.fence(None, now_s)
        return []

    def fence(self, token: Any, now_s: float) -> None:
        """Ping (3.12); at the answer the token counts as acknowledged, None gives no event.

        A broker takes the packets of a connection in their order, so it has then taken what was sent before, QoS 0 included.
        The standard does not say so: it is good for measuring and for back-pressure, and no proof of delivery.
        """
        self._out.append(packets.PING)
        self._pings.append(token)
        if self._pinged_s is None:
            self._pinged_s = now_s

    # --- what the broker sends ----------------------------------------------------------------------------------

    def receive(self, data: bytes, now_s: float) -> list[Event]:
        """Take bytes of the broker, split anywhere; gives their events in order. A breach of the standard ends the session."""
        if self.closed:
            return []
        self._received_s, self._pinged_s = now_s, None
        data = self._assembly.take(data)
        events: list[Event] = []
        if data[:2] == b"\x40\x02" and len(data) >= BULK and self.accepted and (taken := self._acknowledged(data)):
            events.append(Acknowledged(taken))
            data = data[4 * len(taken) :]
        if data:
            try:
                self._split(data, events)
            except MalformedError as error:
                why = f"the broker sent bytes that are not MQTT {'5' if self._level == 5 else '3.1.1'}: {error}"
                events.append(self._end(why, code=error.code))
        if self._queue or self._again:
            self._fill(events)
        return events

    def _split(self, data: bytes, events: list[Event]) -> None:
        """Every whole packet; the rest is kept."""
        at, size, needed = 0, len(data), 2
        opened, exact, accepted, largest = self._open, self._exact, self.accepted, self._options.maximum_packet
        taken: list[Any] = []
        if not accepted and data[0] != packets.CONNACK << 4:
            raise MalformedError("the first packet is not a CONNACK (3.2)", code=PROTOCOL_ERROR)
        try:
            while size - at >= 2:
                first, length, body = data[at], data[at + 1], at + 2
                if length > 127:
                    if body < size and data[body] < 128:  # two bytes, by far the most frequent
                        length = length & 127 | data[body] << 7
                        body += 1
                    elif (found := partial_variable(data, at + 1, size)) is None:
                        needed = size - at + 1
                        break
                    else:
                        length, body = found
                end = body + length
                if end - at > largest:
                    if taken:
                        events.append(Acknowledged(taken))
                        taken = []
                    needed = self._oversized(data, at, body, end, events)
                    if needed:
                        break
                    at = min(end, size)
                    continue
                if end > size:
                    needed = end - at
                    break
                if first == 0x40 and length == 2 and accepted:  # PUBACK, by far the most frequent
                    number = data[body] << 8 | data[body + 1]
                    if number in opened:
                        if number in exact:
                            raise MalformedError("a PUBACK for a message of QoS 2 (4.3.3)", code=PROTOCOL_ERROR)
                        taken.append(opened.pop(number))
                        if self._keep:
                            self._state.kept.pop(number, None)
                elif first >> 4 == PUBLISH and accepted:
                    message = self._message(first, data, body, end)
                    if message is not None:
                        if taken:
                            events.append(Acknowledged(taken))
                            taken = []
                        events.append(message)
                else:
                    if taken:
                        events.append(Acknowledged(taken))
                        taken = []
                    self._other(first, data[body:end], events)
                    accepted = self.accepted
                    if self.closed:
                        return
                at, needed = end, 2
        finally:
            if taken:
                events.append(Acknowledged(taken))
        if at < size:
            self._assembly.keep(data[at:], needed=needed)

    def _oversized(self, data: bytes, at: int, body: int, end: int, events: list[Event]) -> int:
        """A packet larger than `maximum_packet`: drop a message of 3.1.1, once its head is here; gives the bytes needed for it."""
        first = data[at]
        if first >> 4 != PUBLISH or self._level == 5 or not self.accepted:
            raise MalformedError(f"a packet of {end - at} bytes is too large", code=reasons.PACKET_TOO_LARGE)
        size = len(data)
        if size < body + 2:
            return body + 2 - at
        stop = body + 2 + (data[body] << 8 | data[body + 1]) + (2 if first & 6 else 0)
        if size < min(stop, end):
            return min(stop, end) - at
        message = self._message(first, data, body, end)
        if message is not None:
            events.append(Oversized(message.topic, end - at))
        self._assembly.skip(max(0, end - size))
        return 0

    def _message(self, first: int, data: bytes, at: int, end: int) -> Message | None:
        """A PUBLISH (3.3); queues its answer. None when it was delivered before or its topic can't be decoded."""
        if end - at < 2:
            raise MalformedError("a PUBLISH is cut short")
        qos, start = first >> 1 & 3, at + 2
        stop = start + (data[at] << 8 | data[at + 1])
        after = stop + 2 if qos else stop
        if after > end:
            raise MalformedError("a PUBLISH is cut short")
        if qos == 3 or (not qos and first & packets.DUP):
            raise MalformedError("a PUBLISH with flags that do not exist (3.3.1)")
        if qos and not (data[stop] or data[stop + 1]):
            raise MalformedError("packet identifier 0 (2.3.1)")
        if start == stop:
            raise MalformedError("a message without a topic (4.7.3)", code=PROTOCOL_ERROR)
        number = data[stop:after]
        if self._level == 5:
            values, after = properties.read(data, after, end, properties.IN_PUBLISH)
            if "topic_alias" in values:  # none was announced (3.3.2.3.4)
                raise MalformedError("a topic alias", code=reasons.TOPIC_ALIAS_INVALID)
        fresh = True
        if qos == 1:
            self._out.append(b"\x40\x02" + number)
        elif qos == 2:
            fresh = self._fresh(int.from_bytes(number, "big"))
            self._out.append(b"\x50\x02" + number)
        try:
            topic = data[start:stop].decode()
        except UnicodeDecodeError:
            self.undecodable += fresh
            return None
        return Message(topic, data[after:end], qos, bool(first & 1)) if fresh else None

    def _fresh(self, number: int) -> bool:
        """Whether a message of QoS 2 was not delivered yet (4.3.3)."""
        received = self._state.received
        if number in received:
            return False
        if len(received) >= self._most_received:
            raise MalformedError("more messages of QoS 2 than we announced", code=reasons.RECEIVE_MAXIMUM_EXCEEDED)
        received.add(number)
        return True

    def _other(self, first: int, body: bytes, events: list[Event]) -> None:
        """Any packet but PUBLISH and the short PUBACK."""
        kind, flags = first >> 4, first & 15
        if flags != (packets.FLAGS if kind == PUBREL else 0):
            raise MalformedError(f"a packet of type {kind} with flags {flags} (2.2.2)")
        if not self.accepted:
            self._answered(body, events)
        elif kind in (PUBACK, PUBREC, PUBCOMP):
            self._progress(kind, answers.answer(body, level=self._level), events)
        elif kind == PUBREL:
            number = answers.answer(body, level=self._level).number
            code = 0 if number in self._state.received else reasons.IDENTIFIER_NOT_FOUND
            self._state.received.discard(number)
            self._out.append(packets.answer(PUBCOMP, number, code=code, level=self._level))
        elif kind in (packets.SUBACK, packets.UNSUBACK):
            self._subscribed(kind, body, events)
        elif kind == packets.PINGRESP:
            if body:
                raise MalformedError("a PINGRESP with a body (3.13)")
            token = self._pings.popleft() if self._pings else None
            if token is not None:
                events.append(Acknowledged([token]))
        elif kind == packets.DISCONNECT and self._level == 5:
            _, code, reason = answers.disconnect(body)
            events.append(self._end(f"the broker ended the connection: {reasons.name(code, level=5, reason=reason)}"))
        else:
            raise MalformedError(f"a packet of type {kind}, which a broker does not send here", code=PROTOCOL_ERROR)

    def _answered(self, body: bytes, events: list[Event]) -> None:
        present, code, found = answers.connack(body, level=self._level)
        if code:
            self.closed = True
            level = 4 if code < reasons.FAILURE else 5
            events.append(Refused(code, reasons.name(code, level=level, reason=found.get("reason_string", ""))))
            return
        if present and not self._keep:
            raise MalformedError("a session is present after a clean start (3.2.2.2)", code=PROTOCOL_ERROR)
        self.accepted, self.limits = True, found
        self._window = min(MOST_OPEN, found.get("receive_maximum", MOST_OPEN))
        self._keepalive_s = float(found.get("server_keep_alive", self._options.keepalive_s))
        events.append(Accepted(present, found))
        self._resume(present, events)

    def _end(self, why: str, *, code: int = 0) -> Closed:
        """The end that we decide. Version 5 sends the reason (4.13); 3.1.1 closes without a word (4.8)."""
        if code and self._level == 5:
            self._out.append(packets.disconnect(level=5, code=code))
        self.closed, self._ready = True, False
        return Closed(why)
