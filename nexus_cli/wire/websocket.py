"""MQTT over a WebSocket: one stream of bytes, whatever the frames are. The protocol is the `websockets` library's.

Source: MQTT 3.1.1 and 5.0, 6 "Using WebSocket as a network transport"; RFC 6455.
"""

from __future__ import annotations

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidURI
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from nexus_cli.wire.lost import LostError
from nexus_cli.wire.mqtt.packets import LARGEST_PACKET
from nexus_cli.wire.url import BrokerUrl


class WebSocket:
    """The client's side of one WebSocket, without input and output.

    Attributes:
        opened: True once the server has accepted the handshake.
    """

    def __init__(self, url: BrokerUrl) -> None:
        """Prepare the request for an address.

        Raises:
            LostError: The address can't be that of a WebSocket.
        """
        self.opened = False
        try:
            address = parse_uri(str(url))
        except (InvalidURI, ValueError) as error:
            raise LostError(str(error)) from None
        self._protocol = ClientProtocol(address, subprotocols=[Subprotocol("mqtt")], max_size=LARGEST_PACKET)

    def hello(self) -> bytes:
        """The request that opens it."""
        self._protocol.send_request(self._protocol.connect())
        return self.outgoing()

    def outgoing(self) -> bytes:
        """What the protocol itself sends: answers to pings, the closing handshake."""
        return b"".join(self._protocol.data_to_send())

    def wrap(self, data: bytes) -> bytes:
        """Bytes of the stream as a frame."""
        self._protocol.send_binary(data)
        return self.outgoing()

    def close(self) -> bytes:
        """The closing handshake, where the WebSocket was opened."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
        return self.outgoing()

    def receive(self, data: bytes) -> bytes:
        """Received bytes, as bytes of the stream.

        Raises:
            LostError: The server refused, closed, or breaks the protocol.
        """
        self._protocol.receive_data(data)
        found = []
        for event in self._protocol.events_received():
            if not isinstance(event, Frame):
                continue
            if event.opcode is Opcode.TEXT:
                raise LostError("the server sent text over a WebSocket that carries MQTT (6.0)")
            if event.opcode in (Opcode.BINARY, Opcode.CONT):
                found.append(bytes(event.data))
        if self._protocol.handshake_exc is not None:
            raise LostError(
                f"the server offers no WebSocket for MQTT: {' '.join(str(self._protocol.handshake_exc).split())}"
            )
        if self._protocol.parser_exc is not None:
            raise LostError(f"the server breaks the WebSocket protocol: {self._protocol.parser_exc}")
        self.opened = self._protocol.state is State.OPEN
        if not found and self._protocol.state in (State.CLOSING, State.CLOSED):
            raise LostError("the broker closed the WebSocket")
        return b"".join(found)
