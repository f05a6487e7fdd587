"""MQTT over a WebSocket: frames are a stream of bytes; the server's side is the library's own (RFC 6455)."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from nexus_cli.wire.lost import LostError
from nexus_cli.wire.stream import Stream, plain_cause
from nexus_cli.wire.url import parse_broker_url
from nexus_cli.wire.websocket import WebSocket


def pair() -> tuple[WebSocket, ServerProtocol, bytes]:
    """Either side after the request, and the answer that accepts it."""
    ours, server = (
        WebSocket(parse_broker_url("ws://broker:80/mqtt")),
        ServerProtocol(subprotocols=[Subprotocol("mqtt")]),
    )
    server.receive_data(ours.hello())
    (request,) = server.events_received()
    assert isinstance(request, Request)
    assert request.path == "/mqtt" and request.headers["Sec-WebSocket-Protocol"] == "mqtt", "[MQTT-6.0.0-3]"
    server.send_response(server.accept(request))
    return ours, server, b"".join(server.data_to_send())


def opened() -> tuple[WebSocket, ServerProtocol]:
    ours, server, answer = pair()
    assert ours.receive(answer) == b"" and ours.opened
    return ours, server


def test_frames_are_a_stream_whatever_their_borders() -> None:
    ours, server, answer = pair()
    server.send_binary(b"\x20\x02", fin=False)
    server.send_ping(b"p")
    server.send_continuation(b"\x00", fin=False)
    server.send_continuation(b"\x00\xd0", fin=True)
    server.send_binary(b"")
    server.send_binary(b"\x00" + bytes(70_000))
    raw = answer + b"".join(server.data_to_send())
    found = b"".join(ours.receive(raw[at : at + 1]) for at in range(len(answer)))
    assert found == b"" and ours.opened
    found = b"".join(ours.receive(raw[at : at + 997]) for at in range(len(answer), len(raw), 997))
    assert found == b"\x20\x02\x00\x00\xd0\x00" + bytes(70_000)
    server.receive_data(ours.outgoing())
    assert [one.opcode for one in server.events_received() if isinstance(one, Frame)] == [Opcode.PONG]


def test_the_answer_and_the_first_bytes_in_one_piece() -> None:
    ours, server, answer = pair()
    server.send_binary(b"\x20\x02\x00\x00")
    assert ours.receive(answer + b"".join(server.data_to_send())) == b"\x20\x02\x00\x00"


def test_what_we_send_is_binary_and_masked() -> None:
    ours, server = opened()
    raw = ours.wrap(b"\xc0\x00")
    assert raw[0] == 0x82 and raw[1] & 0x80, "RFC 6455, 5.2 and 5.3; [MQTT-6.0.0-1]"
    server.receive_data(raw)
    assert [bytes(one.data) for one in server.events_received() if isinstance(one, Frame)] == [b"\xc0\x00"]
    server.receive_data(ours.close())
    assert server.close_rcvd is not None and server.close_rcvd.code == 1000


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\x81\x01x", "sent text"),
        (b"\x88\x02\x03\xe8", "closed the WebSocket"),
        (b"\xf2\x01x", "breaks the WebSocket protocol"),  # reserved bits
        (b"\x80\x01x", "breaks the WebSocket protocol"),  # a continuation of nothing
        (b"\x82\x7f\x00\x00\x00\x00\x20\x00\x00\x00", "breaks the WebSocket protocol"),  # 512 MiB: at its head
    ],
)
def test_what_ends_it(raw: bytes, said: str) -> None:
    ours, _ = opened()
    with pytest.raises(LostError, match=said):
        ours.receive(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
        b"\x20\x02\x00\x00 no http\r\n\r\n",
    ],
)
def test_a_server_that_offers_none(raw: bytes) -> None:
    ours, _, _ = pair()
    with pytest.raises(LostError, match="no WebSocket for MQTT"):
        ours.receive(raw)
    assert not ours.opened


class Transport(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.high = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high or 0


def test_a_stream_is_open_after_the_handshake_and_pings_do_not_fill_a_full_one() -> None:
    calls: list[object] = []
    ours, server, answer = pair()
    stream = Stream(
        ours,
        on_opened=lambda: calls.append("opened"),
        on_bytes=calls.append,
        on_room=lambda: calls.append("room"),
        on_closed=lambda error: calls.append(str(error)),
    )
    transport = Transport()
    stream.connection_made(transport)
    assert calls == [] and transport.high == 64 * 1024 * 1024
    server.send_binary(b"\x20\x02\x00\x00")
    stream.data_received(answer + b"".join(server.data_to_send()))
    assert calls == ["opened", b"\x20\x02\x00\x00"]
    stream.pause_writing()
    server.send_ping(b"p")
    before = transport.written
    stream.data_received(b"".join(server.data_to_send()))
    assert calls[2:] == ["the broker does not read what it is sent"] and transport.written == before
    stream.resume_writing()
    assert calls[3:] == ["room"] and not stream.full


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1883)"), "[Errno 111] Connection refused"),
        (
            OSError(
                "Multiple exceptions: [Errno 101] Connect call failed ('::1', 1, 0, 0), [Errno 111] Connect call failed ('h', 1)"
            ),
            "[Errno 111] Connection refused",
        ),
        (socket.gaierror(-2, "Name or service not known"), "[Errno -2] Name or service not known"),
        (ssl.SSLError(1, "[SSL] wrong version number"), "[SSL] wrong version number"),
        (OSError(), "OSError"),
        (ValueError("odd"), "odd"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="the numbers are Linux's")
def test_a_cause_is_in_the_systems_words(error: Exception, said: str) -> None:
    assert said in plain_cause(error) and "Connect call" not in plain_cause(error)
