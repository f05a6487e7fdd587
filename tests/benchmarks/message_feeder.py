"""Single messages as another system publishes them: QoS 1, ready made, in a process of its own, so that it is no bottleneck."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

from tests.benchmarks.field import START_S, process
from tests.benchmarks.tally import connect_packet, packet, text

WINDOW = 2_000
"""Messages without acknowledgement."""
CHUNK = 250
ACK_BYTES = 4
TAGS = 100


class Fed(NamedTuple):
    """What a feed took: when it began and ended (monotonic seconds), and CPU seconds."""

    began_s: float
    ended_s: float
    cpu_s: float


def device(number: int) -> str:
    """Name of an external device."""
    return f"d{number:03}"


def tag(number: int) -> str:
    """Name of a tag of an external device."""
    return f"v{number:03}"


def topic(prefix: str, at: int) -> str:
    """The topic of one value, TAGS of them under each device."""
    return f"{prefix}/{device(at // TAGS)}/{tag(at % TAGS)}"


def messages(prefix: str, *, topics: int, count: int, first_ms: int) -> Iterator[bytes]:
    """PUBLISH packets in turn over the topics; every value and every time of a topic is a new one."""
    names = [text(topic(prefix, at)) for at in range(topics)]
    for number in range(count):
        turn, at = divmod(number, topics)
        identifier = (number % 65_535 + 1).to_bytes(2, "big")
        payload = b'{"value":%d.%02d,"timestamp":%d}' % (20 + turn % 50, number % 100, first_ms + turn)
        yield packet(0x32, names[at] + identifier + payload)


def serve(pipe: Connection, port: int, prefix: str, topics: int) -> None:
    """Feed as often as the pipe says how many; a process of its own."""
    while (count := pipe.recv()) is not None:
        first_ms = int(time.time() * 1000) - 1000
        ready = list(messages(prefix, topics=topics, count=count, first_ms=first_ms))
        chunks = [b"".join(ready[at : at + CHUNK]) for at in range(0, count, CHUNK)]
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(connect_packet("feeder"))
            sock.recv(ACK_BYTES)
            began, cpu = time.monotonic(), time.process_time()
            _send(sock, chunks, count)
            pipe.send(Fed(began, time.monotonic(), time.process_time() - cpu))
            sock.sendall(b"\xe0\x00")


def _send(sock: socket.socket, chunks: list[bytes], count: int) -> None:
    """Until the broker has acknowledged every message."""
    sent = acknowledged = 0
    for chunk in chunks:
        sock.sendall(chunk)
        sent += CHUNK
        while sent - acknowledged / ACK_BYTES > WINDOW - CHUNK:
            acknowledged += len(sock.recv(1 << 16))
    while acknowledged < count * ACK_BYTES:
        acknowledged += len(sock.recv(1 << 16))


class Feeder:
    """The process from outside."""

    def __init__(self, pipe: Connection) -> None:
        """Over its pipe."""
        self._pipe = pipe

    def feed(self, count: int) -> Fed:
        """Publish so many messages; returns when the broker has them all."""
        self._pipe.send(count)
        if not self._pipe.poll(10 * START_S):
            raise TimeoutError("the broker did not take the feed")
        found: Fed = self._pipe.recv()
        return found


@contextmanager
def feeding(port: int, prefix: str, *, topics: int) -> Iterator[Feeder]:
    """A feeder below a topic."""
    with process(serve, port, prefix, topics) as pipe:
        yield Feeder(pipe)
