"""Asks a real broker over a socket: an MQTT 5 client that waits for each answer, so that no answer belongs to another."""

from __future__ import annotations

import itertools
import socket
from types import TracebackType

GRANTED = 0x80
"""Reason codes from here on are refusals (MQTT 5 §2.4)."""
NOT_AUTHORIZED = 0x87
TIMEOUT_S = 90.0


class Refused(Exception):
    """The broker did not let the client in; the reason code is its argument."""


class Asker:
    """One connection; connects again after a broker has closed it for a refusal.

    Args:
        port: On loopback.
        user, password: "" for an anonymous client.
        client_id: As it is sent.
        closes: The broker ends a connection behind the answer to a PUBLISH that it refuses (HiveMQ does).

    Attributes:
        heard: (topic, payload) of what arrived.
    """

    def __init__(self, port: int, user: str, password: str, client_id: str, *, closes: bool = False) -> None:
        self._port, self._user, self._password, self._client_id = port, user, password, client_id
        self._closes = closes
        self._numbers = itertools.cycle(range(1, 65_000))
        self.heard: list[tuple[str, bytes]] = []
        self._connect()

    def __enter__(self) -> Asker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def publish(self, topic: str, payload: bytes = b"x", *, qos: int = 1, retain: bool = False) -> bool:
        """Publish with QoS 1 or 2; whether the broker took it."""
        number = next(self._numbers)
        body = _text(topic) + number.to_bytes(2, "big") + b"\0" + payload
        kind, answer = self._ask(0x30 | qos << 1 | int(retain), body, 4 if qos == 1 else 5, number)
        if kind and qos == 2 and _reason(answer) < GRANTED:
            self._ask(0x62, number.to_bytes(2, "big"), 7, number)
        return bool(kind) and _reason(answer) < GRANTED

    def subscribe(self, filter_: str, *, qos: int = 1) -> bool:
        """Whether the broker granted the subscription."""
        number = next(self._numbers)
        kind, answer = self._ask(0x82, number.to_bytes(2, "big") + b"\0" + _text(filter_) + bytes([qos]), 9, number)
        return bool(kind) and answer[-1] < GRANTED

    def unsubscribe(self, filter_: str) -> None:
        """Give a subscription up."""
        number = next(self._numbers)
        self._ask(0xA2, number.to_bytes(2, "big") + b"\0" + _text(filter_), 11, number)

    def fence(self) -> None:
        """Wait until the broker has answered a PINGREQ."""
        self._ask(0xC0, b"", 13, None)

    def _ask(self, head: int, body: bytes, wanted: int, number: int | None) -> tuple[int, bytes]:
        """Kind 0 when the broker closed the connection instead; then there is a new one."""
        try:
            self._send(head, body)
            while True:
                kind, answer = self._read()
                if kind == wanted and (number is None or int.from_bytes(answer[:2], "big") == number):
                    self._settle(kind, answer)
                    return kind, answer
        except (ConnectionError, EOFError):
            self._socket.close()
            self._connect()
            return 0, b""

    def _settle(self, kind: int, answer: bytes) -> None:
        if self._closes and kind in (4, 5) and _reason(answer) == NOT_AUTHORIZED:
            try:
                while True:
                    self._read()
            except (ConnectionError, EOFError):
                self._socket.close()
                self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = b""
        flags = 0x02 | (0xC0 if self._user else 0)
        login = _text(self._user) + _text(self._password) if self._user else b""
        # A receive maximum of 65,535 and no expiry: nothing outlives the connection.
        self._send(0x10, _text("MQTT") + bytes([5, flags]) + b"\0\0\0" + _text(self._client_id) + login)
        try:
            kind, answer = self._read()
        except (ConnectionError, EOFError):
            raise Refused(-1) from None
        if kind != 2 or answer[1]:
            self._socket.close()
            raise Refused(answer[1] if len(answer) > 1 else -1)

    def _send(self, head: int, body: bytes) -> None:
        length, rest = b"", len(body)
        while True:
            rest, digit = divmod(rest, 128)[0], rest % 128
            length += bytes([digit | (0x80 if rest else 0)])
            if not rest:
                break
        self._socket.sendall(bytes([head]) + length + body)

    def _read(self) -> tuple[int, bytes]:
        while True:
            head, body = self._packet()
            if head >> 4 != 3:
                if head >> 4 == 14:
                    raise EOFError
                return head >> 4, body
            self._hear(head, body)

    def _hear(self, head: int, body: bytes) -> None:
        end = 2 + int.from_bytes(body[:2], "big")
        topic, rest = body[2:end].decode(), body[end:]
        if head & 0x06:
            number, rest = rest[:2], rest[2:]
            self._send(0x40 if head & 0x02 else 0x50, number)
        length, start = _length(rest, 0)
        self.heard.append((topic, rest[start + length :]))

    def _packet(self) -> tuple[int, bytes]:
        while len(self._data) < 2 or (size := self._size()) is None or len(self._data) < size[0]:
            received = self._socket.recv(65_536)
            if not received:
                raise EOFError
            self._data += received
        whole, start = size
        packet, self._data = self._data[:whole], self._data[whole:]
        return packet[0], packet[start:]

    def _size(self) -> tuple[int, int] | None:
        try:
            length, start = _length(self._data, 1)
        except IndexError:
            return None
        return start + length, start


def _length(data: bytes, start: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[start] & 0x7F) << shift
        start, shift = start + 1, shift + 7
        if data[start - 1] < 0x80:
            return value, start


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def _reason(answer: bytes) -> int:
    return answer[2] if len(answer) > 2 else 0
