"""What a CONNACK of MQTT 5 says, and the sentence that becomes of a closed connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.abilities import Abilities, _answer, ask, explain, require_able
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.mqtt.packets import Options
from nexus_cli.wire.mqtt.session import Session
from nexus_cli.wire.url import parse_broker_url
from tests.waiting import PATIENCE_S

CLOSED = NexusError("The broker does not answer.", code="NX6010", cause="the broker closed the connection")
EARLY = NexusError("The broker does not answer.", code="NX6010", cause="the broker closed it before it accepted us")


def _connack(code: int = 0, properties: bytes = b"") -> bytes:
    body = bytes([0, code, len(properties)]) + properties
    return bytes([0x20, len(body)]) + body


@contextlib.contextmanager
def _broker(answers: dict[int, bytes]) -> Iterator[Settings]:
    """Answers a CONNECT by its protocol level, and closes where it has no answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client:
                        client.settimeout(5)
                        answer = answers.get(client.recv(4096)[8], b"")
                        client.sendall(answer)
                        if answer:
                            client.recv(10)

        threading.Thread(target=serve, daemon=True).start()
        yield Settings(broker_url=f"mqtt://127.0.0.1:{server.getsockname()[1]}", broker_user="me")
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("properties", "word"),
    [
        (b"\x25\x00", "it keeps no retained messages"),
        (b"\x24\x00", "it takes QoS 0 at most"),
        (b"\x24\x01", "it takes QoS 1 at most"),
        (b"\x27\x00\x00\x01\x2c", "packets of 300 bytes"),
        (b"\x28\x00", "no subscription with +"),
        (b"\x13\x00\x0f\x26\x00\x01a\x00\x02bc\x12\x00\x01x\x25\x00", "it keeps no retained messages"),
    ],
)
async def test_what_a_broker_cant_do_is_said_in_one_sentence(properties: bytes, word: str) -> None:
    with _broker({5: _connack(0, properties), 4: b"\x20\x02\x00\x00"}) as settings:
        with pytest.raises(NexusError) as caught:
            await require_able(settings)
        assert caught.value.code == "NX6015" and word in caught.value.message
        told = await explain(settings, CLOSED)
        assert told is not None and word in told.message


async def test_a_broker_that_can_all_and_one_that_says_nothing_pass() -> None:
    for answer in (_connack(0, b"\x21\x00\x14\x27\x00\x10\x00\x00"), b"\x20\x02\x00\x01", b"", b"HTTP/1.1 400\r\n\r\n"):
        with _broker({5: answer, 4: b"\x20\x02\x00\x00"}) as settings:
            await require_able(settings)
            assert await explain(settings, CLOSED) is CLOSED


async def test_a_broker_of_mqtt_5_alone_is_named() -> None:
    with _broker({5: _connack()}) as settings:
        told = await explain(settings, EARLY)
        assert told is not None and "MQTT 5 only" in told.message and told.code == "NX6015"
    with _broker({5: _connack(), 4: b"\x20\x02\x00\x00"}) as settings:
        assert await explain(settings, EARLY) is EARLY, "it was starting, and takes 3.1.1 by now"


async def test_nobody_there_is_what_it_was() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert await explain(Settings(broker_url=f"mqtt://127.0.0.1:{port}"), CLOSED) is CLOSED


@pytest.mark.parametrize(
    ("user", "password", "level", "flags"),
    [("me", "", 5, 0x82), ("me", "secret", 5, 0xC2), ("", "secret", 5, 0x02), ("", "", 4, 0x02)],
)
def test_what_is_asked_with(user: str, password: str, level: int, flags: int) -> None:
    # 3.1: fixed header, "MQTT", level, flags (user name, password, clean start), a keep-alive of 10 s, no properties.
    with socket.create_server(("127.0.0.1", 0)) as server:
        received: list[bytes] = []

        def serve() -> None:
            client, _ = server.accept()
            with client:
                received.append(client.recv(4096))
                client.sendall(_connack(0, b"\x24\x01") if level == 5 else b"\x20\x02\x00\x00")
                received.append(client.recv(4096))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = parse_broker_url(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        answer = ask(url, Settings(broker_user=user, broker_password=password), level=level)
        thread.join(10)
    assert answer == (0, Abilities(maximum_qos=1) if level == 5 else Abilities())
    head = b"\x00\x04MQTT" + bytes((level, flags)) + b"\x00\x0a" + (b"\x00" if level == 5 else b"")
    assert received[0][2 : 2 + len(head)] == head
    assert received[1] == b"\xe0\x00", "it leaves"


@pytest.mark.parametrize("level", [4, 5])
@given(data=st.binary(min_size=1, max_size=40))
def test_any_bytes_are_an_answer_or_none(level: int, data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"\x20" + data)
        theirs.shutdown(socket.SHUT_WR)
        try:
            code, abilities = _answer(ours, Session(Options(client_id="ask", level=level), now_s=0.0))
        except (ValueError, ConnectionError):
            return
    assert 0 <= code <= 255 and isinstance(abilities, Abilities)


async def test_a_role_that_is_cut_off_says_why() -> None:
    with _broker({5: _connack(0, b"\x25\x00"), 4: b"\x20\x02\x00\x00"}) as settings:
        client, stop = BrokerClient(settings=settings, client_id="role"), asyncio.Event()

        async def publish() -> None:
            with contextlib.suppress(NexusError):
                await client.publish("a/b", b"x" * 20, retain=True)

        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            group.create_task(client.run(stop, subscriptions=[], on_message=lambda _: None, on_connected=publish))
            while client.problem is None or client.problem.code != "NX6015":
                await asyncio.sleep(0.01)
            stop.set()
        assert "retained" in client.problem.message
