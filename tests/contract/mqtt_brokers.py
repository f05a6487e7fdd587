"""Brokers by several authors, each with one listener of a kind and a plain one beside it; a session on a real stream."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from nexus_cli.wire.message import Message
from nexus_cli.wire.mqtt.events import Accepted, Acknowledged, Event, Forgotten, Subscribed
from nexus_cli.wire.mqtt.packets import Options, Will
from nexus_cli.wire.mqtt.session import Session
from nexus_cli.wire.mqtt.state import State
from nexus_cli.wire.stream import Stream
from nexus_cli.wire.url import BrokerUrl
from nexus_cli.wire.websocket import WebSocket
from tests.node_peers import NODE_MODULES, node_with
from tests.servers import answers, free_port, mosquitto_program
from tests.waiting import PATIENCE_S, wait_until

AEDES = Path(__file__).parent / "peers" / "aedes_broker.mjs"
AMQTT = """
import asyncio, json, sys
from amqtt.broker import Broker
async def main():
    broker = Broker(json.loads(sys.argv[1]))
    await broker.start()
    await asyncio.Event().wait()
asyncio.run(main())
"""


@dataclasses.dataclass(frozen=True)
class Case:
    """A broker, how it is reached, and a version of MQTT."""

    broker: str
    transport: str
    level: int

    def __str__(self) -> str:
        return f"{self.broker}-{self.transport}-{'5' if self.level == 5 else '3.1.1'}"


# amqtt and aedes have no MQTT 5; Debian's mosquitto has no WebSockets; amqtt asks for no certificate.
CASES = [
    *(Case("mosquitto", transport, level) for transport in ("tcp", "tls", "mutual") for level in (4, 5)),
    *(Case("amqtt", transport, 4) for transport in ("tcp", "tls", "ws", "wss")),
    *(Case("aedes", transport, 4) for transport in ("tcp", "tls", "mutual", "ws")),
]


class Running:
    """A broker process.

    Attributes:
        case: Which.
        url: Its listener under test.
        plain: Port of its plain listener.
        tls: For a client of the listener under test.
    """

    def __init__(self, case: Case, folder: Path) -> None:
        self.case = case
        self.plain = free_port()
        port = self.plain if case.transport == "tcp" else free_port()
        scheme = {"tcp": "mqtt", "tls": "mqtts", "mutual": "mqtts"}.get(case.transport, case.transport)
        path = "/mqtt" if scheme in ("ws", "wss") else ""
        self.url = BrokerUrl(scheme=scheme, host="127.0.0.1", port=port, path=path)
        authority = trustme.CA()
        server, client = authority.issue_cert("127.0.0.1"), authority.issue_cert(common_name="a")
        self.chain, self.key, self.ca = folder / "chain.pem", folder / "key.pem", folder / "ca.pem"
        self.chain.write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
        server.private_key_pem.write_to_path(str(self.key))
        authority.cert_pem.write_to_path(str(self.ca))
        self.tls: ssl.SSLContext | None = None
        if self.url.tls:
            self.tls = ssl.create_default_context(cafile=str(self.ca))
            if case.transport == "mutual":
                client.configure_cert(self.tls)
        self._folder = folder

    def command(self) -> list[str]:
        """What starts it."""
        port, kind = self.url.port, self.case.transport
        if self.case.broker == "aedes":
            node = node_with("aedes")
            node_with("ws")
            return [node, str(AEDES), str(port), kind, str(self.chain), str(self.key), str(self.ca)]
        if self.case.broker == "amqtt":
            pytest.importorskip("amqtt")
            import json

            listener: dict[str, Any] = {"type": "ws" if self.url.websocket else "tcp", "bind": f"127.0.0.1:{port}"}
            if self.url.tls:
                listener |= {"ssl": True, "certfile": str(self.chain), "keyfile": str(self.key)}
            listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.plain}"}}
            if port != self.plain:
                listeners["other"] = listener
            plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
            return [sys.executable, "-c", AMQTT, json.dumps({"listeners": listeners, "plugins": plugins})]
        program = mosquitto_program()
        if program is None:
            pytest.skip("mosquitto is not installed")
        lines = [f"listener {self.plain} 127.0.0.1", "user root", "allow_anonymous true", "set_tcp_nodelay true"]
        if port != self.plain:
            lines += [f"listener {port} 127.0.0.1", f"certfile {self.chain}", f"keyfile {self.key}"]
        if kind == "mutual":
            lines += [f"cafile {self.ca}", "require_certificate true"]
        path = self._folder / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n")
        return [program, "-c", str(path)]

    @contextlib.contextmanager
    def started(self) -> Iterator[Running]:
        """Running, for the length of a block."""
        environment = os.environ | {"NODE_PATH": NODE_MODULES, "PLAIN_PORT": str(self.plain)}
        with (self._folder / "broker.log").open("wb") as log:
            process = subprocess.Popen(self.command(), stdout=log, stderr=log, env=environment)
        try:
            wait_until(lambda: answers(self.plain) and answers(self.url.port), what=str(self.case))
            yield self
        finally:
            process.kill()
            process.wait(10)


class Line:
    """A session on a stream to a broker.

    Attributes:
        session: See there.
        messages: Those that have come.
        acknowledged, forgotten: Tokens, in order.
        present: The broker had the session; None before its CONNACK.
        closed: The stream is.
    """

    def __init__(self, running: Running, state: State | None = None, **keys: Any) -> None:
        keys.setdefault("clean", state is None)
        options = Options(client_id="a", level=running.case.level, **keys)
        self._loop = asyncio.get_running_loop()
        self.session = Session(options, now_s=self._loop.time(), state=state)
        self.messages: list[Message] = []
        self.acknowledged: list[Any] = []
        self.forgotten: list[Any] = []
        self.subscribed: dict[int, tuple[int, ...]] = {}
        self.others: list[Event] = []
        self.present: bool | None = None
        self.closed = False
        self._running = running
        self._moved = asyncio.Event()
        self.stream = Stream(
            WebSocket(running.url) if running.url.websocket else None,
            on_opened=self.flush,
            on_bytes=self._received,
            on_room=self.flush,
            on_closed=self._closed,
        )

    async def open(self) -> Line:
        """Connect and wait for the CONNACK."""
        url = self._running.url
        tls = self._running.tls
        await self._loop.create_connection(
            lambda: self.stream, url.host, url.port, ssl=tls, server_hostname=url.host if tls else None
        )
        await self.until(lambda: self.present is not None or self.closed)
        assert self.present is not None, self.others
        return self

    def flush(self) -> None:
        """Send what waits."""
        if data := self.session.take(self._loop.time()):
            self.stream.write(data)

    def _received(self, data: bytes) -> None:
        for event in self.session.receive(data, self._loop.time()):
            if isinstance(event, Message):
                self.messages.append(event)
            elif isinstance(event, Acknowledged):
                self.acknowledged += event.tokens
            elif isinstance(event, Forgotten):
                self.forgotten += event.tokens
            elif isinstance(event, Subscribed):
                self.subscribed[event.number] = event.codes
            elif isinstance(event, Accepted):
                self.present = event.session_present
            else:
                self.others.append(event)
        self.flush()
        self._moved.set()

    def _closed(self, error: Exception | None) -> None:
        self.closed = True
        self._moved.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for events."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._moved.clear()
                await self._moved.wait()

    async def at_least(self, count: int) -> None:
        """Wait for so many acknowledgements on this connection."""
        await self.until(lambda: len(self.acknowledged) >= count)

    async def subscribe(self, *filters: tuple[str, int]) -> tuple[int, ...]:
        """Subscribe; gives the codes."""
        number = self.session.subscribe(filters)
        self.flush()
        await self.until(lambda: number in self.subscribed)
        return self.subscribed[number]

    async def close(self) -> None:
        """DISCONNECT, and wait for the end."""
        self.session.disconnect()
        self.flush()
        self.stream.close()
        await self.until(lambda: self.closed)

    async def cut(self) -> None:
        """End the connection without a DISCONNECT."""
        self.stream.abort()
        await self.until(lambda: self.closed)


WILL = Will(topic="will", payload=b"gone", qos=1, retain=False)


@contextlib.asynccontextmanager
async def line(running: Running, **keys: Any) -> AsyncIterator[Line]:
    """A clean session for the length of a block."""
    one = await Line(running, **keys).open()
    try:
        yield one
    finally:
        if not one.closed:
            await one.close()
