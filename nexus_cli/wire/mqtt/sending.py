"""The sending half of a session: packet identifiers, the broker's window and limits, acknowledgements, what is sent again.

Source: MQTT 3.1.1, 3 and 4; MQTT 5.0, 3 and 4.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from nexus_cli.wire.mqtt import answers, packets, properties, reasons
from nexus_cli.wire.mqtt.data import PROTOCOL_ERROR, MalformedError, write_variable
from nexus_cli.wire.mqtt.events import Acknowledged, Event, Forgotten, Rejected, Subscribed
from nexus_cli.wire.mqtt.packets import PUBACK, PUBCOMP, PUBREC, PUBREL, Options
from nexus_cli.wire.mqtt.state import Queued, State

LARGEST_NUMBER: Final = 65_535
"""Packet identifiers are 1 to this (2.3.1)."""
MOST_ASKED: Final = 256
"""Most SUBSCRIBE and UNSUBSCRIBE packets without an answer (policy: refuse)."""
MOST_OPEN: Final = LARGEST_NUMBER - MOST_ASKED
"""Most PUBLISH packets without an acknowledgement, so that a packet identifier is always free; more of them wait."""

MOST_EXACT: Final = 10
"""Most open publishes of QoS 2 in 3.1.1, where a broker can't announce a receive maximum; more of them wait. mosquitto 2.0
acknowledges and drops any message of a client that has `max_inflight_messages` (20) of QoS 2 unreleased."""


class Sending:
    """What a session sends; `Session` adds what it receives.

    Attributes:
        accepted: True from the CONNACK on.
        closed: True once it is over.
        limits: Properties of the CONNACK, MQTT 5.
    """

    def __init__(self, options: Options, *, now_s: float, state: State | None = None) -> None:
        """See `Session`."""
        self.accepted = self.closed = False
        self.limits: properties.Values = {}
        self._options, self._level = options, options.level
        self._keep = not options.clean
        self._state = State() if state is None or options.clean else state
        self._open, self._exact, self._queue = self._state.open, self._state.exact, self._state.queue
        self._again: deque[int] = deque()
        self._ready = False  # accepted, and nothing waits: a publish may be sent at once
        self._out: list[bytes] = [packets.connect(options)]
        self._asked: dict[int, tuple[int, int]] = {}
        self._window = MOST_OPEN
        self._exact_window = MOST_EXACT if self._level == 4 else MOST_OPEN
        self._sent_s = now_s

    @property
    def inflight(self) -> int:
        """Publishes that are not acknowledged yet, and those that wait for the CONNACK or the broker's window."""
        return len(self._open) + len(self._queue)

    @property
    def unsent(self) -> int:
        """Packets for `take`; those of one `publish_many` count as one."""
        return len(self._out)

    def take(self, now_s: float) -> bytes:
        """Everything that is to be sent now."""
        if not self._out:
            return b""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self._sent_s = now_s
        return data

    # --- what we send -------------------------------------------------------------------------------------------

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
        """Send a message, or queue it until the CONNACK has come and the broker's window has room (5.0, 4.9).

        Args:
            topic: Without wildcards.
            payload: Any bytes.
            qos: 0 to 2.
            retain: Whether the broker keeps it as the topic's last message.
            token: Comes back in `Acknowledged`, `Rejected` or `Forgotten`; without meaning at QoS 0.
            values: Properties, MQTT 5.

        Raises:
            ValueError: See `packets.publish`; the session is over; or the broker announced that it does not accept such a
                message (MQTT 5).
        """
        if self._ready and (not qos or self._room(qos)):
            number = self._number() if qos else 0
            data = packets.publish(
                topic, payload, qos=qos, retain=retain, number=number, level=self._level, values=values
            )
            if self.limits:
                self._check(len(data), qos, retain)
            self._begin(number, data, qos, token)
            return
        if self.closed:
            raise ValueError("the session is over")
        data = packets.publish(topic, payload, qos=qos, retain=retain, number=0, level=self._level, values=values)
        if self.accepted:
            self._check(len(data), qos, retain)
        self._queue.append(Queued(data, qos, retain, token))
        self._ready = False

    def publish_many(
        self, heads: Sequence[bytes], payloads: Sequence[bytes], tokens: Sequence[Any], *, qos: int, retain: bool
    ) -> None:
        """Send many messages at the cost of one look at the window; the same bytes and answers as `publish` for each.

        Args:
            heads: Topics, by `packets.topic_head`.
            payloads: One per topic, same order.
            tokens: One per topic, same order; without meaning at QoS 0.
            qos: 0 or 1.
            retain: As in `publish`.

        Raises:
            ValueError: As `publish`. Messages before the one at fault are sent.
        """
        count = len(heads)
        numbers = self._numbers(count) if qos == 1 and self._ready else None
        if self.limits or self._keep or qos > 1 or not self._ready or (qos and numbers is None):
            for head, payload, token in zip(heads, payloads, tokens, strict=True):
                self.publish(head[2:].decode(), payload, qos=qos, retain=retain, token=token)
            return
        if numbers is not None:
            self._open.update(zip(numbers, tokens, strict=True))
            self._state.last = numbers[-1]
            between = _two_bytes(numbers, behind=b"\x00" if self._level == 5 else b"")
        else:
            between = [b"\x00" if self._level == 5 else b""] * count
        first, short = 0x30 | qos << 1 | retain, packets.SHORT
        fixed, parts = packets.publish_heads(first), list[bytes]()
        for head, number, payload in zip(heads, between, payloads, strict=True):
            size = len(head) + len(number) + len(payload)
            start = fixed[size] if size <= short else bytes((first,)) + write_variable(size)
            parts += (start, head, number, payload)
        self._out.append(b"".join(parts))

    def _numbers(self, count: int) -> range | None:
        """The next packet identifiers, when all of them are free and the broker's window has room for all."""
        first = self._state.last % LARGEST_NUMBER + 1
        numbers = range(first, first + count)
        free = not self._asked and len(self._open) + count <= self._window and numbers.stop <= LARGEST_NUMBER + 1
        return numbers if count and free and self._open.keys().isdisjoint(numbers) else None

    def _room(self, qos: int) -> bool:
        return len(self._open) < self._window and (qos == 1 or len(self._exact) < self._exact_window)

    def _begin(self, number: int, data: bytes, qos: int, token: Any) -> None:
        if qos:
            self._open[number] = token
            if self._keep:
                self._state.kept[number] = data
            if qos == 2:
                self._exact.add(number)
        self._out.append(data)

    def _check(self, size: int, qos: int, retain: bool) -> None:
        breach = self._breach(size, qos, retain)
        if breach is not None:
            raise ValueError(breach[1])

    def _breach(self, size: int, qos: int, retain: bool) -> tuple[int, str] | None:
        """Which announced limit of the broker excludes a publish (5.0, 3.2.2.3): reason code and words."""
        limits = self.limits
        if qos > limits.get("maximum_qos", 2):
            return reasons.QOS_NOT_SUPPORTED, f"the broker accepts QoS {limits['maximum_qos']} at most"
        if retain and not limits.get("retain_available", 1):
            return reasons.RETAIN_NOT_SUPPORTED, "the broker keeps no retained messages"
        if size > (most := limits.get("maximum_packet_size", size)):
            return reasons.PACKET_TOO_LARGE, f"the broker accepts packets of {most} bytes at most"
        return None

    def _number(self) -> int:
        """The next packet identifier that is free (2.3.1); `MOST_OPEN` and `MOST_ASKED` leave one."""
        number = self._state.last % LARGEST_NUMBER + 1
        while number in self._open or number in self._asked:
            number = number % LARGEST_NUMBER + 1
        self._state.last = number
        return number

    def subscribe(self, subscriptions: Sequence[tuple[str, int]], *, values: properties.Values | None = None) -> int:
        """Subscribe filters, each with its QoS (MQTT 5: its options byte); gives the packet identifier of the answer.

        Raises:
            ValueError: See `packets.subscribe` and `publish`; or `MOST_ASKED` packets wait for an answer.
        """
        number = self._question()
        data = packets.subscribe(subscriptions, number=number, level=self._level, values=values)
        return self._ask(number, data, packets.SUBACK, len(subscriptions))

    def unsubscribe(self, filters: Sequence[str]) -> int:
        """End subscriptions; gives the packet identifier of the answer.

        Raises:
            ValueError: As `subscribe`.
        """
        number = self._question()
        data = packets.unsubscribe(filters, number=number, level=self._level)
        return self._ask(number, data, packets.UNSUBACK, len(filters) if self._level == 5 else 0)

    def _question(self) -> int:
        if self.closed:
            raise ValueError("the session is over")
        if len(self._asked) >= MOST_ASKED:
            raise ValueError(f"{MOST_ASKED} subscriptions wait for their answers")
        return self._number()

    def _ask(self, number: int, data: bytes, kind: int, count: int) -> int:
        self._check(len(data), 0, False)
        self._out.append(data)
        self._asked[number] = (kind, count)
        return number

    def disconnect(self, *, code: int = 0) -> None:
        """End the session; the broker drops the will (3.14), unless the code of MQTT 5 is 4."""
        if not self.closed:
            self._out.append(packets.disconnect(level=self._level, code=code))
            self.closed, self._ready = True, False

    # --- what the broker answers --------------------------------------------------------------------------------

    def _resume(self, present: bool, events: list[Event]) -> None:
        """What earlier connections left open: sent again in order (4.4, 4.6), or lost with the broker's session."""
        state = self._state
        if present:
            self._out += [packets.answer(PUBREL, number) for number in state.released]
            self._again.extend(number for number in self._open if number not in state.released)
        elif tokens := state.forget():
            events.append(Forgotten(tokens))
        self._ready = True
        self._fill(events)

    def _acknowledged(self, data: bytes) -> list[Any]:
        """The tokens of a read that is nothing but short PUBACKs of open publishes, each once; none when it is not. A packet
        that is cut short at its end is left out."""
        count = len(data) // 4
        if self._exact or self._keep or data[: 4 * count : 4] != b"\x40" * count:
            return []
        if data[1 : 4 * count : 4] != b"\x02" * count:
            return []
        numbers = struct.unpack_from(f">{2 * count}H", data)[1::2]
        found = set(numbers)
        if len(found) < count or not self._open.keys() >= found:
            return []
        return list(map(self._open.pop, numbers))

    def _progress(self, kind: int, answer: answers.Answer, events: list[Event]) -> None:
        """PUBACK (long form), PUBREC or PUBCOMP. One for an unknown identifier ends nothing: it was answered before."""
        number, code, reason = answer
        state, known = self._state, answer.number in self._open
        if known and (kind != PUBACK) != (number in state.exact):
            raise MalformedError("an acknowledgement of another QoS (4.3)", code=PROTOCOL_ERROR)
        if kind == PUBREC and code < reasons.FAILURE:
            if known:
                state.released[number] = None
                state.kept.pop(number, None)
            missing = 0 if known else reasons.IDENTIFIER_NOT_FOUND
            self._out.append(packets.answer(PUBREL, number, code=missing, level=self._level))
            return
        if not known or (kind == PUBCOMP) != (number in state.released):
            return
        token = state.close(number)
        # A PUBCOMP with a code comes from a broker that has released the message before (5.0, 3.7.2.1).
        if code >= reasons.FAILURE and kind != PUBCOMP:
            events.append(Rejected(token, code, reasons.name(code, level=5, reason=reason)))
        else:
            events.append(Acknowledged([token]))

    def _subscribed(self, kind: int, body: bytes, events: list[Event]) -> None:
        number = int.from_bytes(body[:2], "big")
        expected, count = self._asked.get(number, (kind, -1))
        if expected != kind:
            raise MalformedError("a SUBACK for an UNSUBSCRIBE, or the reverse", code=PROTOCOL_ERROR)
        if count >= 0:
            found = answers.codes(body, level=self._level, count=count)
            del self._asked[number]
            events.append(Subscribed(number, found))

    def _fill(self, events: list[Event]) -> None:
        """Send what waits as far as the broker's window allows (5.0, 4.9): first what is sent again (4.4), then the rest."""
        if not self.accepted or self.closed:
            return
        while self._again and len(self._open) - len(self._again) < self._window:
            number = self._again.popleft()
            if number in self._state.kept:
                self._out.append(packets.repeated(self._state.kept[number]))
        while self._queue and not self._again:
            data, qos, retain, token = self._queue[0]
            if qos and not self._room(qos):
                break
            self._queue.popleft()
            breach = self._breach(len(data), qos, retain)
            if breach is not None:
                events += [Rejected(token, *breach)] if qos else []
            elif qos:
                number = self._number()
                self._begin(number, packets.numbered(data, number), qos, token)
            else:
                self._out.append(data)
        self._ready = not self._queue and not self._again


def _two_bytes(numbers: range, *, behind: bytes) -> list[bytes]:
    """Each number as two bytes, the high one first, with the same bytes behind it."""
    data = struct.pack(f">{len(numbers)}H", *numbers)
    found = [data[at : at + 2] for at in range(0, len(data), 2)]
    return [one + behind for one in found] if behind else found
