"""One connection to amqtt: the messages that wait for it, and the order in which it ends."""

from __future__ import annotations

import asyncio
from typing import Any

from amqtt.adapters import StreamWriterAdapter
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler

LOOK_S = 0.005


class Handler(BrokerProtocolHandler):
    """amqtt's handler of a connection; it never misses the end of one, nor the messages before that.

    Attributes:
        messages: Messages that its socket has not accepted yet, or that are not acknowledged.
        size_bytes: Size of their payloads.
        ended: Set when nothing of this connection runs any more.
    """

    def __init__(self, *arguments: Any, **keys: Any) -> None:
        super().__init__(*arguments, **keys)
        self.messages = self.size_bytes = 0
        self.ended = asyncio.Event()
        self._gone: asyncio.Future[DisconnectPacket | None] = asyncio.get_running_loop().create_future()

    async def mqtt_publish(self, topic: str, data: bytes | bytearray, *arguments: Any, **keys: Any) -> Any:
        """As amqtt's, but counted while it runs."""
        self.messages += 1
        self.size_bytes += len(data)
        try:
            return await super().mqtt_publish(topic, data, *arguments, **keys)
        finally:
            self.messages -= 1
            self.size_bytes -= len(data)

    async def start(self) -> None:
        """As amqtt's, which makes the future for the end last: a client that left before was waited for forever."""
        self._disconnect_waiter = self._gone
        await super(BrokerProtocolHandler, self).start()

    async def wait_disconnect(self) -> DisconnectPacket | None:
        """Wait for the end of the connection, and until its messages are passed on: amqtt acknowledges them before that,
        and drops those that still wait when the client leaves."""
        packet = await self._gone
        while self.session is not None and not self.session.delivered_message_queue.empty():  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(LOOK_S)
        return packet

    def abort(self) -> None:
        """Close the socket at once: a polite close waits for a client that reads nothing."""
        if isinstance(self.writer, StreamWriterAdapter):
            self.writer._writer.transport.abort()
