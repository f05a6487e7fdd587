"""MQTT over a WebSocket: one binary stream, whatever the frames are. The protocol is the library's.

Source: MQTT 3.1.1 and 5.0, 6 "Using WebSocket as a network transport"; RFC 6455.
"""

from __future__ import annotations

from typing import cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from nexus_cli.wire.lost import LostError
from nexus_cli.wire.url import BrokerUrl


class WebSocket:
    """The client's side of one WebSocket.

    Attributes:
        opened: True once the server has agreed.
    """

    def __init__(self, url: BrokerUrl) -> None:
        """Prepare the request for an address."""
        self.opened = False
        self._protocol = ClientProtocol(parse_uri(str(url)), subprotocols=[Subprotocol("mqtt")], max_size=None)

    def hello(self) -> bytes:
        """The request that opens it."""
        self._protocol.send_request(self._protocol.connect())
        return self.outgoing()

    def outgoing(self) -> bytes:
        """What the protocol itself has to say: answers to pings, the closing handshake."""
        return b"".join(self._protocol.data_to_send())

    def wrap(self, data: bytes) -> bytes:
        """Bytes of the stream as a frame."""
        self._protocol.send_binary(data)
        return self.outgoing()

    def close(self) -> bytes:
        """The closing handshake, where it was opened."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
        return self.outgoing()

    def receive(self, data: bytes) -> bytes:
        """What came, as bytes of the stream.

        Raises:
            LostError: The server refused, closed, or breaks the protocol.
        """
        self._protocol.receive_data(data)
        found = []
        for event in self._protocol.events_received():
            if not isinstance(event, Frame):
                continue
            if event.opcode is Opcode.TEXT:
                raise LostError("the server sent text over a WebSocket that carries MQTT")
            if event.opcode in (Opcode.BINARY, Opcode.CONT):
                found.append(bytes(event.data))
        refused = self._protocol.handshake_exc
        if refused is not None:
            raise LostError(f"it is no WebSocket for MQTT: {_words(refused)}")
        self.opened = self._protocol.state is not State.CONNECTING
        if not found and self._protocol.state in (State.CLOSING, State.CLOSED):
            raise LostError("the broker closed the WebSocket")
        return b"".join(found)


def _words(error: Exception) -> str:
    return " ".join(str(cast(InvalidHandshake, error)).split())
