"""One client session: what may be sent, what must be answered, and when the broker counts as lost. Pure.

Bytes and the time go in (`receive`, `tick`), bytes and events come out (`take`, the lists that are returned). A session
that is not clean keeps its `State`, which the session of the next connection takes over.

Source: MQTT 3.1.1, 3 and 4; MQTT 5.0, 3 and 4. Clauses are named where a rule is held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from nexus_cli.wire.message import Message
from nexus_cli.wire.mqtt import packets, properties, reasons
from nexus_cli.wire.mqtt.data import MalformedError, two
from nexus_cli.wire.mqtt.events import Accepted, Acknowledged, Closed, Forgotten, Refused, Rejected, Subscribed
from nexus_cli.wire.mqtt.packets import Options

LARGEST_NUMBER: Final = 65_535
Event = Accepted | Refused | Message | Acknowledged | Rejected | Forgotten | Subscribed | Closed
_MALFORMED = 0x81


class State:
    """What outlives a connection of a session that is not clean (3.1.1, 3.1.2.4).

    Attributes:
        open: Packet identifier → token, of publishes that are not acknowledged, in order.
        kept: Packet identifier → its PUBLISH, to send again.
        released: Those of QoS 2 whose PUBREC has come.
        received: Identifiers of QoS 2 messages that were delivered and not released yet.
        last: Packet identifier given last.
    """

    __slots__ = ("kept", "last", "open", "received", "released")

    def __init__(self) -> None:
        """Begin empty."""
        self.open: dict[int, Any] = {}
        self.kept: dict[int, bytes] = {}
        self.released: set[int] = set()
        self.received: set[int] = set()
        self.last = 0


class Session:
    """One connection's worth of a session.

    Attributes:
        accepted: True from the CONNACK on.
        closed: True once it is over.
        undecodable: Messages left out because their topic is no UTF-8, which the standard forbids (1.5.3) and some
            brokers pass on.
        limits: What the broker announced of itself (properties of its CONNACK, MQTT 5).
    """

    def __init__(self, options: Options, *, now_s: float, state: State | None = None) -> None:
        """Begin with the CONNECT.

        Args:
            options: See there.
            now_s: Monotonic seconds, as everywhere here.
            state: Of the connection before; only where `options.clean` is False.

        Raises:
            ValueError: A name in the options is too long or holds a null.
        """
        self.accepted = self.closed = False
        self.undecodable = 0
        self.limits: dict[str, Any] = {}
        self._options, self._level = options, options.level
        self._state = State() if state is None or options.clean else state
        self._open = self._state.open
        self._keep = not options.clean
        self._out: list[bytes] = [packets.connect(options)]
        self._parts: list[bytes] = []
        self._held = self._needed = 0
        self._queue: deque[tuple[str, bytes, bool, int, Any, properties.Values | None]] = deque()
        self._asked: dict[int, int] = {}
        self._window = LARGEST_NUMBER
        self._keepalive_s = float(options.keepalive_s)
        self._sent_s = self._received_s = now_s
        self._pinged_s: float | None = None

    @property
    def inflight(self) -> int:
        """Publishes that are not acknowledged yet, those included that wait for the broker's window."""
        return len(self._open) + len(self._queue)

    @property
    def wants_to_send(self) -> bool:
        """Whether `take` has something."""
        return bool(self._out)

    def take(self, now_s: float) -> bytes:
        """Everything that is to be sent now."""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self._sent_s = now_s
        return data

    # --- asking -------------------------------------------------------------------------------------------------

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        token: Any = None,
        values: properties.Values | None = None,
    ) -> None:
        """Send a message.

        Args:
            topic: Without wildcards.
            payload: Any bytes.
            qos: 0 to 2.
            retain: Whether the broker keeps it as the topic's last one.
            token: Comes back in `Acknowledged`, `Rejected` or `Forgotten`; without meaning at QoS 0.
            values: Properties, MQTT 5.

        Raises:
            ValueError: The topic can't be said, the packet is larger than the broker takes, or it announced that it
                does not take this QoS or retained messages (MQTT 5).
        """
        if qos and (len(self._open) >= self._window or self._queue):
            self._allow(topic, payload, qos, retain)
            self._queue.append((topic, payload, retain, qos, token, values))
            return
        self._send(topic, payload, retain, qos, token, values)

    def _send(
        self, topic: str, payload: bytes, retain: bool, qos: int, token: Any, values: properties.Values | None
    ) -> None:
        if self.limits:
            self._allow(topic, payload, qos, retain)
        number = self._number() if qos else 0
        data = packets.publish(topic, payload, qos=qos, retain=retain, number=number, level=self._level, values=values)
        if qos:
            self._open[number] = token
            if self._keep or qos == 2:
                self._state.kept[number] = data
        self._out.append(data)

    def _allow(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        limits = self.limits
        if qos > limits.get("maximum_qos", 2):
            raise ValueError(f"the broker takes QoS {limits['maximum_qos']} at most")
        if retain and not limits.get("retain_available", 1):
            raise ValueError("the broker keeps no retained messages")
        most = limits.get("maximum_packet_size", 0)
        if most and len(topic.encode()) + len(payload) + 16 > most:
            raise ValueError(f"the broker takes packets of {most} bytes at most")

    def _number(self) -> int:
        """The next packet identifier that is free (2.3.1)."""
        number = self._state.last
        while True:
            number = number % LARGEST_NUMBER + 1
            if number not in self._open and number not in self._asked:
                self._state.last = number
                return number

    def subscribe(self, subscriptions: Sequence[tuple[str, int]], *, values: properties.Values | None = None) -> int:
        """Subscribe filters, each with its QoS (MQTT 5: its options byte); gives the packet identifier of the answer.

        Raises:
            ValueError: None are given, or one is empty, too long, or holds a null (3.8.3, 4.7.3).
        """
        if not subscriptions or any(not name for name, _ in subscriptions):
            raise ValueError("a subscription needs a filter")
        number = self._number()
        self._out.append(packets.subscribe(subscriptions, number=number, level=self._level, values=values))
        self._asked[number] = len(subscriptions)
        return number

    def unsubscribe(self, filters: Sequence[str]) -> int:
        """Take subscriptions back; gives the packet identifier of the answer."""
        if not filters:
            raise ValueError("an unsubscription needs a filter")
        number = self._number()
        self._out.append(packets.unsubscribe(filters, number=number, level=self._level))
        self._asked[number] = len(filters) if self._level == 5 else 0
        return number

    def disconnect(self, *, code: int = 0) -> None:
        """Leave: the broker drops our will (3.14). Nothing may be sent afterwards."""
        if not self.closed:
            self._out.append(packets.disconnect(level=self._level, code=code))
            self.closed = True

    # --- time ---------------------------------------------------------------------------------------------------

    def tick(self, now_s: float) -> list[Event]:
        """Keep alive (3.1.2.10): a ping when either side was silent for so long; lost when nothing comes back.

        To be called about once a second.
        """
        if not self._keepalive_s or not self.accepted or self.closed:
            return []
        if self._pinged_s is not None:
            if now_s - self._pinged_s >= self._keepalive_s / 2:
                return [self._end(f"the broker said nothing for {now_s - self._received_s:.0f} s")]
        elif now_s - min(self._sent_s, self._received_s) >= self._keepalive_s:
            self._out.append(packets.PING)
            self._pinged_s = now_s
        return []

    # --- what the broker sends ----------------------------------------------------------------------------------

    def receive(self, data: bytes, now_s: float) -> list[Event]:
        """Take what came, split anywhere; gives what it says, in order. A breach of the standard ends the session."""
        if self.closed:
            return []
        self._received_s, self._pinged_s = now_s, None
        if self._parts:
            self._parts.append(data)
            self._held += len(data)
            if self._held < self._needed:
                return []
            data = b"".join(self._parts)
            self._parts.clear()
        events: list[Event] = []
        try:
            self._split(data, events)
        except MalformedError as error:
            events.append(self._end(f"what the broker sent is no MQTT: {error}", code=_MALFORMED))
        return events

    def _split(self, data: bytes, events: list[Event]) -> None:
        at, size = 0, len(data)
        opened, level = self._open, self._level
        taken: list[Any] = []
        while size - at >= 2 and not self.closed:
            first, length, body = data[at], data[at + 1], at + 2
            if length > 127:
                found = _long(data, at + 1, size)
                if found is None:
                    self._needed = size - at + 1
                    break
                length, body = found
            end = body + length
            if end > size:
                if end - at > self._options.maximum_packet:
                    raise MalformedError(f"a packet of {end - at} bytes is larger than we take")
                self._needed = end - at
                break
            if first == 0x40 and length == 2 and self.accepted:  # PUBACK, by far the most frequent
                number = data[body] << 8 | data[body + 1]
                if number in opened and number not in self._state.released:
                    taken.append(opened.pop(number))
                    if self._keep:
                        self._state.kept.pop(number, None)
            elif first >> 4 == packets.PUBLISH and self.accepted:
                message = self._message(first, data, body, end, level)
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
            at = end
        if taken:
            events.append(Acknowledged(taken))
        if at < size and not self.closed:
            self._parts.append(data[at:])
            self._held = size - at
            self._needed = max(self._needed, 2)
        if self._queue:
            self._fill()

    def _fill(self) -> None:
        while self._queue and len(self._open) < self._window:
            topic, payload, retain, qos, token, values = self._queue.popleft()
            self._send(topic, payload, retain, qos, token, values)

    def _message(self, first: int, data: bytes, at: int, end: int, level: int) -> Message | None:
        """A PUBLISH (3.3): what is to be delivered of it; its answer is queued."""
        qos = first >> 1 & 3
        if end - at < 2:
            raise MalformedError("a PUBLISH is cut short")
        start = at + 2
        at = start + (data[at] << 8 | data[at + 1])
        after = at + 2 if qos else at
        if after > end:
            raise MalformedError("a PUBLISH is cut short")
        name = data[start:at]
        fresh = True
        if qos == 1:
            self._out.append(b"\x40\x02" + data[at:after])
        elif qos == 2:
            number = data[at] << 8 | data[at + 1]
            fresh = number not in self._state.received  # delivered once (4.3.3)
            self._state.received.add(number)
            self._out.append(b"\x50\x02" + data[at:after])
        elif qos == 3:
            raise MalformedError("QoS 3 does not exist (3.3.1.2)")
        elif first & 8:
            raise MalformedError("a message of QoS 0 says that it comes again (3.3.1.1)")
        if qos and data[at:after] == b"\x00\x00":
            raise MalformedError("packet identifier 0 (2.3.1)")
        if level == 5:
            values, after = properties.read(data[:end], after)
            if "topic_alias" in values:
                raise MalformedError("a topic alias, and we announced that we take none (3.3.2.3.4)")
        if not name:
            raise MalformedError("a message without a topic (4.7.3)")
        if not fresh:
            return None
        try:
            topic = name.decode()
        except UnicodeDecodeError:
            self.undecodable += 1
            return None
        return Message(topic, data[after:end], qos, bool(first & 1))

    def _other(self, first: int, body: bytes, events: list[Event]) -> None:
        kind, flags = first >> 4, first & 15
        if flags != (packets.RELEASE_FLAGS if kind == packets.PUBREL else 0):
            raise MalformedError(f"packet {kind} with flags {flags} (2.2.2)")
        if not self.accepted:
            # The first packet of a broker is its CONNACK, or it hangs up (3.2).
            if kind != packets.CONNACK:
                raise MalformedError("it does not begin with a CONNACK")
            self._answered(body, events)
        elif kind in (packets.PUBACK, packets.PUBREC, packets.PUBCOMP):
            self._progress(kind, body, events)
        elif kind == packets.PUBREL:
            number, _ = two(body, 0)
            self._state.received.discard(number)
            self._out.append(packets.answer(packets.PUBCOMP, number))
        elif kind in (packets.SUBACK, packets.UNSUBACK):
            self._subscribed(kind, body, events)
        elif kind == packets.PINGRESP:
            if body:
                raise MalformedError("a PINGRESP with a body (3.13)")
        elif kind == packets.DISCONNECT and self._level == 5:
            code, reason = self._code_of(body, 0)
            events.append(self._end(f"the broker ended the connection: {reasons.name(code, level=5, reason=reason)}"))
        else:
            raise MalformedError(f"packet {kind} is not for a client")

    def _answered(self, body: bytes, events: list[Event]) -> None:
        if len(body) < 2 or body[0] > 1 or (self._level == 4 and len(body) != 2):
            raise MalformedError("a CONNACK that can't be read (3.2)")
        present, code = bool(body[0]), body[1]
        found: dict[str, Any] = {}
        # A broker of version 3.1.1 answers a CONNECT of version 5 in its own form.
        if self._level == 5 and len(body) > 2:
            found, _ = properties.read(body, 2)
        if code:
            self.closed = True
            level = 4 if code < reasons.FAILURE else 5
            events.append(Refused(code, reasons.name(code, level=level, reason=found.get("reason_string", ""))))
            return
        if present and not self._keep:
            raise MalformedError("a session is present, and a clean one was asked for (3.2.2.2)")
        self.accepted, self.limits = True, found
        self._window = min(LARGEST_NUMBER, found.get("receive_maximum", LARGEST_NUMBER))
        if not self._window:
            raise MalformedError("a receive maximum of 0 (3.2.2.3.3)")
        self._keepalive_s = float(found.get("server_keep_alive", self._options.keepalive_s))
        events.append(Accepted(present, found))
        self._resume(present, events)

    def _resume(self, present: bool, events: list[Event]) -> None:
        """What an earlier connection left open: sent again in order (4.4), or gone with the broker's session."""
        state = self._state
        if present:
            for number in self._open:
                if number in state.released:
                    self._out.append(packets.answer(packets.PUBREL, number))
                elif number in state.kept:
                    data = state.kept[number]
                    self._out.append(bytes((data[0] | 0x08,)) + data[1:])
        elif self._open:
            tokens = list(self._open.values())
            self._open.clear()
            events.append(Forgotten(tokens))
        if not present:
            state.kept.clear()
            state.released.clear()
            state.received.clear()

    def _progress(self, kind: int, body: bytes, events: list[Event]) -> None:
        number, at = two(body, 0)
        code, reason = self._code_of(body, at) if len(body) > at else (0, "")
        state = self._state
        if kind == packets.PUBREC and code < reasons.FAILURE:
            if number in self._open:
                state.released.add(number)
                state.kept.pop(number, None)
            missing = 0 if number in self._open or self._level == 4 else 0x92
            self._out.append(packets.answer(packets.PUBREL, number, code=missing, level=self._level))
            return
        if number not in self._open or (kind == packets.PUBCOMP) != (number in state.released):
            return  # answered before, or by a broker that has mixed something up: nothing to wait for
        token = self._open.pop(number)
        state.kept.pop(number, None)
        state.released.discard(number)
        if code >= reasons.FAILURE:
            events.append(Rejected(token, code, reasons.name(code, level=5, reason=reason)))
        else:
            events.append(Acknowledged([token]))

    def _subscribed(self, kind: int, body: bytes, events: list[Event]) -> None:
        number, at = two(body, 0)
        if self._level == 5:
            _, at = properties.read(body, at)
        codes = tuple(body[at:])
        wanted = self._asked.pop(number, None)
        if wanted is None:
            return
        if len(codes) != wanted:
            raise MalformedError(f"{len(codes)} answers to {wanted} filters (3.9.3)")
        events.append(Subscribed(number, codes))

    def _code_of(self, body: bytes, at: int) -> tuple[int, str]:
        """Reason code and reason string; nothing is success (3.4.2.1)."""
        if self._level == 4:
            raise MalformedError("an answer of MQTT 3.1.1 has two bytes")
        if at >= len(body):
            return 0, ""
        code = body[at]
        found = properties.read(body, at + 1)[0] if at + 1 < len(body) else {}
        return code, str(found.get("reason_string", ""))

    def _end(self, why: str, *, code: int = 0) -> Closed:
        if code and self._level == 5:
            self._out.append(packets.disconnect(level=5, code=code))
        self.closed = True
        return Closed(why)


def _long(data: bytes, at: int, size: int) -> tuple[int, int] | None:
    """A remaining length of two to four bytes, and where it ends; None while it is not all there (2.2.3)."""
    value = shift = 0
    for index in range(at, min(at + 4, size)):
        one = data[index]
        value |= (one & 127) << shift
        if one < 128:
            return value, index + 1
        shift += 7
    if size >= at + 4:
        raise MalformedError("a length has more than four bytes (2.2.3)")
    return None
