"""Counts what a broker delivers, in a process of its own and cheaply: no acknowledgement, no decoding but of the topic.

A client of any library takes a sizable share of a core at 40,000 messages a second, on the machine that is measured.
This one reads packets from the socket, counts their topics, and finds the sample's time in the payload.

Source: MQTT 3.1.1, 3.1 to 3.3, 3.8 and 2.2.3.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from tests.benchmarks.field import START_S, process

LARGEST_LAG_MS = 60_000
_TIME = b'"timestamp":'
_TAKE_BYTES = 1 << 18
_PAUSE_S = 0.002
"""Between two reads of the socket: many messages at once cost half of what each costs alone. Lags may be longer by that."""


@dataclass(slots=True)
class Counts:
    """What came since the start of the count.

    Attributes:
        topics: Messages by topic; retained ones are not counted.
        lags_ms: Messages by milliseconds from the time in the payload to the arrival (0 to LARGEST_LAG_MS).
        cpu_s: What the counting cost, seconds.
    """

    topics: dict[bytes, int] = field(default_factory=lambda: defaultdict(int))
    lags_ms: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    cpu_s: float = 0.0

    @property
    def messages(self) -> int:
        """Of all topics."""
        return sum(self.topics.values())

    def under(self, prefix: bytes) -> int:
        """Messages of the topics that begin so."""
        return sum(count for topic, count in self.topics.items() if topic.startswith(prefix))

    def lag_ms(self, percent: float) -> int | None:
        """A percentile of the lags; None without any."""
        left = sum(self.lags_ms.values()) * percent / 100
        for lag in sorted(self.lags_ms):
            left -= self.lags_ms[lag]
            if left <= 0:
                return lag
        return None


def count(data: bytes, counts: Counts, *, now_ms: float) -> int:
    """Count the whole PUBLISH packets of what was received.

    Args:
        data: From the begin of a packet on.
        counts: Is added to.
        now_ms: When it arrived, milliseconds since 1970.

    Returns:
        Bytes that were used; the rest is a packet that is not whole yet.
    """
    at, size = 0, len(data)
    topics, lags = counts.topics, counts.lags_ms
    while size - at >= 2:
        first, length, body, shift = data[at], data[at + 1], at + 2, 7
        if length > 127:
            length &= 127
            while True:
                if body >= size:
                    return at
                more = data[body]
                body += 1
                length |= (more & 127) << shift
                shift += 7
                if more < 128:
                    break
        end = body + length
        if end > size:
            return at
        if first & 0xF1 == 0x30:  # PUBLISH, not retained
            until = body + 2 + (data[body] << 8 | data[body + 1])
            topics[data[body + 2 : until]] += 1
            found = data.find(_TIME, until, end)
            if found >= 0:
                begin = found + 12
                lag = int(now_ms - int(data[begin : begin + 13]))
                lags[min(max(lag, 0), LARGEST_LAG_MS)] += 1
        at = end
    return at


def packet(kind: int, body: bytes) -> bytes:
    """An MQTT packet: its first byte and what follows the length."""
    size, length = len(body), b""
    while True:
        size, low = size >> 7, size & 127
        length += bytes((low | (128 if size else 0),))
        if not size:
            return bytes((kind,)) + length + body


def text(value: str) -> bytes:
    """A string as MQTT writes it."""
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


def connect_packet(client_id: str) -> bytes:
    """A CONNECT of MQTT 3.1.1: a clean session, no user, no keep-alive."""
    return packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + text(client_id))


def listen(pipe: Connection, port: int, filters: Sequence[str]) -> None:
    """Subscribe with QoS 0 and count until the pipe says so; a process of its own."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(connect_packet("tally"))
        wanted = b"".join(text(one) + b"\x00" for one in filters)
        sock.sendall(packet(0x82, b"\x00\x01" + wanted))
        receiver = _Receiver(sock)
        threading.Thread(target=receiver.run, daemon=True).start()
        pipe.send("ready")
        while pipe.recv() == "next":
            pipe.send(receiver.take())


class _Receiver:
    """Counts in a thread of its own, so that the pipe is answered meanwhile."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._counts, self._cpu_s = sock, Counts(), 0.0
        self._lock = threading.Lock()

    def run(self) -> None:
        """Until the socket ends."""
        rest = b""
        with contextlib.suppress(OSError):
            while data := self._sock.recv(_TAKE_BYTES):
                rest += data
                now_ms = time.time() * 1e3
                with self._lock:
                    rest = rest[count(rest, self._counts, now_ms=now_ms) :]
                time.sleep(_PAUSE_S)

    def take(self) -> Counts:
        """What came since the last call."""
        with self._lock:
            found, self._counts = self._counts, Counts()
        used, self._cpu_s = self._cpu_s, time.process_time()
        return Counts(dict(found.topics), dict(found.lags_ms), self._cpu_s - used)


class Tally:
    """The process from outside."""

    def __init__(self, pipe: Connection) -> None:
        """Over its pipe."""
        self._pipe = pipe

    def take(self) -> Counts:
        """What came since the last call."""
        self._pipe.send("next")
        found: Counts = self._pipe.recv()
        return found


@contextmanager
def tallying(port: int, filters: Sequence[str]) -> Iterator[Tally]:
    """A process that counts what the broker at `port` delivers."""
    with process(listen, port, list(filters)) as pipe:
        if not pipe.poll(START_S):
            raise TimeoutError("the count did not start")
        pipe.recv()
        yield Tally(pipe)
