"""A broker of one client, without a socket: what a session sends is read by the letter of the standard, and answered.

It shares no code with the engine. It keeps its session over connections, and raises where a client must not send what it sends.

Source: MQTT 3.1.1 and 5.0, 2 to 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field


def packet(first: int, body: bytes) -> bytes:
    """A fixed header and its body."""
    length, size = bytearray(), len(body)
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (0x80 if size else 0))
        if not size:
            return bytes((first,)) + bytes(length) + body


@dataclass
class ModelBroker:
    """See the module.

    Attributes:
        level: 4 or 5.
        receive_maximum: What a CONNACK of version 5 announces; 0 announces nothing.
        delivered: Payloads that were published, once per delivery: QoS, topic, payload.
        open: What was sent to the client and is not finished: number → packet, b"" once its PUBREC has come.
        unreleased: Numbers of QoS 2 messages that were taken and not released.
        connected: The CONNECT has come.
        unfinished: Numbers of this connection's PUBLISH packets that were not answered to the end.
    """

    level: int = 4
    receive_maximum: int = 0
    delivered: list[tuple[int, str, bytes]] = field(default_factory=list)
    open: dict[int, bytes] = field(default_factory=dict)
    unreleased: set[int] = field(default_factory=set)
    connected: bool = False
    known: bool = False
    unfinished: set[int] = field(default_factory=set)
    out: bytearray = field(default_factory=bytearray)
    _held: bytearray = field(default_factory=bytearray)
    _last: int = 0

    def __post_init__(self) -> None:
        if self.level == 4:
            self.receive_maximum = 0  # 3.1.1 has none

    def lose(self, *, forget: bool = False) -> None:
        """The connection ends; a broker that forgets has lost the session too."""
        self.connected = False
        self._held.clear()
        self.out.clear()
        self.unfinished.clear()
        if forget:
            self.known = False
            self.open.clear()
            self.unreleased.clear()

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Send a message to the client; one of QoS 1 or 2 waits for a connection."""
        body = len(topic.encode()).to_bytes(2, "big") + topic.encode()
        none = b"\x00" if self.level == 5 else b""
        if not qos:
            if self.connected:
                self.out += packet(0x30, body + none + payload)
            return
        self._last = self._last % 65_535 + 1
        made = packet(0x30 | qos << 1, body + self._last.to_bytes(2, "big") + none + payload)
        self.open[self._last] = made
        if self.connected:
            self.out += made

    def receive(self, data: bytes) -> None:
        """Bytes of the client."""
        self._held += data
        while (found := self._next()) is not None:
            self._take(*found)

    def _next(self) -> tuple[int, bytes] | None:
        size = 0
        for at, one in enumerate(self._held[1:5]):
            size |= (one & 127) << 7 * at
            if one < 128:
                end = 2 + at + size
                if len(self._held) < end:
                    return None
                first, body = self._held[0], bytes(self._held[2 + at : end])
                del self._held[:end]
                return first, body
        assert len(self._held) < 5, "a length of more than four bytes"
        return None

    def _take(self, first: int, body: bytes) -> None:
        kind = first >> 4
        number = int.from_bytes(body[:2], "big")
        if kind == 1:
            assert not self.connected and body[:7] == b"\x00\x04MQTT" + bytes((self.level,))
            assert not body[7] & 2, "a session is to be kept"
            self._accept()
            return
        assert self.connected, "the first packet is a CONNECT"
        if kind == 3:
            self._publish(first, body)
        elif kind == 4:
            assert first == 0x40 and number and len(body) == 2
            self.open.pop(number, None)
        elif kind == 5:
            assert first == 0x50 and number
            if number in self.open:
                self.open[number] = b""
            self.out += packet(0x62, body[:2])
        elif kind == 6:
            assert first == 0x62 and number
            self.unreleased.discard(number)
            self.unfinished.discard(number)
            self.out += packet(0x70, body[:2])
        elif kind == 7:
            assert first == 0x70 and number
            self.open.pop(number, None)
        else:
            assert (first, body) == (0xC0, b""), f"a packet {first:02x}"
            self.out += packet(0xD0, b"")

    def _accept(self) -> None:
        found = b""
        if self.level == 5:
            found = b"\x03\x21" + self.receive_maximum.to_bytes(2, "big") if self.receive_maximum else b"\x00"
        self.out += packet(0x20, bytes((self.known, 0)) + found)
        self.connected = self.known = True
        for number, made in self.open.items():  # in order (4.6)
            self.out += bytes((made[0] | 8,)) + made[1:] if made else packet(0x62, number.to_bytes(2, "big"))

    def _publish(self, first: int, body: bytes) -> None:
        qos, size = first >> 1 & 3, int.from_bytes(body[:2], "big")
        topic, at = body[2 : 2 + size].decode(), 2 + size
        number = int.from_bytes(body[at : at + 2], "big") if qos else 0
        at += 2 if qos else 0
        if self.level == 5:
            assert body[at] == 0
            at += 1
        payload = body[at:]
        if qos:
            assert number, "a packet identifier is never 0"
            self.unfinished.add(number)
            assert not self.receive_maximum or len(self.unfinished) <= self.receive_maximum, "the receive maximum"
        if qos < 2:
            self.delivered.append((qos, topic, payload))
        if qos == 1:
            self.unfinished.discard(number)
            self.out += packet(0x40, number.to_bytes(2, "big"))
        elif qos == 2:
            if number not in self.unreleased:  # method A of 4.3.3
                self.unreleased.add(number)
                self.delivered.append((qos, topic, payload))
            else:
                assert first & 8, "only what is sent again may have the number of an unreleased message"
            self.out += packet(0x50, number.to_bytes(2, "big"))
