"""A broker of a few lines that a test scripts: it loses, resets or freezes a connection at any packet it sees or sends.

MQTT 3.1.1, QoS 0 to 2, retained messages, no sessions. Every packet in either direction is a moment; a test says at which
moment what happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from nexus_cli.settings import Settings

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 12, 13, 14


class Fate(StrEnum):
    """What becomes of the connection whose packet this is."""

    PASS = "pass"
    RESET = "reset"
    CLOSE = "close"
    FREEZE = "freeze"
    """The packet, and everything after it, is taken and never answered: a half-open connection."""
    DROP = "drop"
    """Only this packet is lost."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One packet: its number since the start, the number of its connection, where it goes, what it is."""

    number: int
    connection: int
    sent: bool
    kind: int
    client_id: str = ""
    topic: str = ""


def packet(kind: int, body: bytes, *, flags: int = 0) -> bytes:
    """A packet of the wire."""
    length, size = bytearray(), len(body)
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (0x80 if size else 0))
        if not size:
            return bytes([kind << 4 | flags]) + bytes(length) + body


@dataclass(eq=False)
class _Client:
    number: int
    writer: asyncio.StreamWriter
    client_id: str = ""
    filters: dict[str, int] = field(default_factory=dict)
    frozen: bool = False
    gone: bool = False
    next_mid: int = 1
    held: dict[int, tuple[str, bytes, bool]] = field(default_factory=dict)


class ScriptedBroker:
    """See the module.

    Attributes:
        decide: What becomes of each packet; passes all when left out.
        moments: Every packet so far.
        connections: Connections accepted so far.
        received: Publishes that were taken: topic and payload.
        refuse: Return code of CONNACK; 0 accepts.
    """

    def __init__(self, decide: Callable[[Moment], Fate] = lambda _: Fate.PASS) -> None:
        self.decide = decide
        self.moments: list[Moment] = []
        self.connections = 0
        self.received: list[tuple[str, bytes]] = []
        self.retained: dict[str, bytes] = {}
        self.refuse = 0
        self.port = 0
        self._clients: set[_Client] = set()
        self._tasks: set[asyncio.Task[object]] = set()

    def settings(self) -> Settings:
        """Settings that reach it."""
        return Settings(site="acme/chicago", broker_url=f"mqtt://127.0.0.1:{self.port}", principal="nexus.test")

    @property
    def alive(self) -> int:
        """Connections that are open."""
        return len(self._clients)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[ScriptedBroker]:
        """Listening, for the length of a block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for client in list(self._clients):
                self._end(client, Fate.CLOSE)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=10)

    def end_all(self, fate: Fate = Fate.RESET) -> None:
        """End every connection, as a broker does that is killed."""
        for client in list(self._clients):
            self._end(client, fate)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        client = _Client(self.connections, writer)
        self._clients.add(client)
        try:
            while not client.gone:
                first = (await reader.readexactly(1))[0]
                size, shift = 0, 0
                while True:
                    digit = (await reader.readexactly(1))[0]
                    size |= (digit & 127) << shift
                    shift += 7
                    if digit < 128:
                        break
                body = await reader.readexactly(size)
                self._take(client, first >> 4, first & 15, body)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._end(client, Fate.CLOSE)

    def _end(self, client: _Client, fate: Fate) -> None:
        self._clients.discard(client)
        if client.gone:
            return
        client.gone = True
        if fate is Fate.RESET:
            opened = client.writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.writer.transport.abort()
        else:
            client.writer.close()

    def _passes(self, client: _Client, kind: int, *, sent: bool, topic: str = "") -> bool:
        if client.gone or client.frozen:
            return False
        moment = Moment(len(self.moments) + 1, client.number, sent, kind, client.client_id, topic)
        self.moments.append(moment)
        fate = self.decide(moment)
        if fate is Fate.FREEZE:
            client.frozen = True
        elif fate in (Fate.RESET, Fate.CLOSE):
            self._end(client, fate)
        return fate is Fate.PASS

    def _send(self, client: _Client, kind: int, body: bytes, *, flags: int = 0, topic: str = "") -> None:
        if self._passes(client, kind, sent=True, topic=topic):
            client.writer.write(packet(kind, body, flags=flags))

    def _take(self, client: _Client, kind: int, flags: int, body: bytes) -> None:
        topic = body[2 : 2 + int.from_bytes(body[:2], "big")].decode() if kind == PUBLISH else ""
        if kind == CONNECT:
            at = 2 + int.from_bytes(body[:2], "big") + 4
            client.client_id = body[at + 2 : at + 2 + int.from_bytes(body[at : at + 2], "big")].decode()
        if not self._passes(client, kind, sent=False, topic=topic):
            return
        if kind == CONNECT:
            self._send(client, CONNACK, bytes([0, self.refuse]))
        elif kind == SUBSCRIBE:
            self._subscribe(client, body)
        elif kind == PUBLISH:
            self._publish(client, flags, body, topic)
        elif kind == PUBREL:
            mid = int.from_bytes(body[:2], "big")
            if mid in client.held:
                self._spread(*client.held.pop(mid))
            self._send(client, PUBCOMP, body[:2])
        elif kind == PUBREC:
            self._send(client, PUBREL, body[:2], flags=2)
        elif kind == PINGREQ:
            self._send(client, PINGRESP, b"")
        elif kind == DISCONNECT:
            self._end(client, Fate.CLOSE)

    def _subscribe(self, client: _Client, body: bytes) -> None:
        granted, at = bytearray(), 2
        fresh: list[str] = []
        while at < len(body):
            size = int.from_bytes(body[at : at + 2], "big")
            filter_ = body[at + 2 : at + 2 + size].decode()
            qos = body[at + 2 + size]
            at += 3 + size
            client.filters[filter_] = qos
            fresh.append(filter_)
            granted.append(qos)
        self._send(client, SUBACK, body[:2] + bytes(granted))
        for topic, payload in list(self.retained.items()):
            if any(matches(one, topic) for one in fresh):
                self._deliver(client, topic, payload, retain=True)

    def _publish(self, client: _Client, flags: int, body: bytes, topic: str) -> None:
        qos, retain = flags >> 1 & 3, bool(flags & 1)
        at = 2 + len(topic.encode())
        mid = body[at : at + 2] if qos else b""
        payload = body[at + len(mid) :]
        if qos == 2:
            client.held[int.from_bytes(mid, "big")] = (topic, payload, retain)
            self._send(client, PUBREC, mid)
            return
        self._spread(topic, payload, retain)
        if qos:
            self._send(client, PUBACK, mid)

    def _spread(self, topic: str, payload: bytes, retain: bool) -> None:
        self.received.append((topic, payload))
        if retain:
            self.retained[topic] = payload
        for client in list(self._clients):
            if any(matches(one, topic) for one in client.filters):
                self._deliver(client, topic, payload, retain=False)

    def _deliver(self, client: _Client, topic: str, payload: bytes, *, retain: bool) -> None:
        qos = max((qos for one, qos in client.filters.items() if matches(one, topic)), default=0)
        qos = min(qos, 1)
        mid = b""
        if qos:
            client.next_mid = client.next_mid % 65_535 + 1
            mid = client.next_mid.to_bytes(2, "big")
        name = topic.encode()
        body = len(name).to_bytes(2, "big") + name + mid + payload
        self._send(client, PUBLISH, body, flags=qos << 1 | retain, topic=topic)


def matches(filter_: str, topic: str) -> bool:
    """Whether an MQTT filter takes a topic; a shared subscription counts as its filter."""
    filter_ = re.sub(r"^\$share/[^/]+/", "", filter_)
    wanted, levels = filter_.split("/"), topic.split("/")
    for at, one in enumerate(wanted):
        if one == "#":
            return True
        if at >= len(levels) or one not in ("+", levels[at]):
            return False
    return len(wanted) == len(levels)
