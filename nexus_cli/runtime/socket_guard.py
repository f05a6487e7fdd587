"""Limits of a WebSocket connection: one that does not read, or is gone, ends; and what it sends is read as fast as it is handled.

uvicorn answers pings whether the client reads or not, and closes a connection only once its client has read everything.

See docs/decisions/0079.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from nexus_cli.runtime import http_guard

LARGEST_MESSAGE = 256 * 1024
"""Limit of a client's message, in bytes; a larger one closes the connection with 1009."""
PING_S = 20.0
"""A ping is sent so often, in seconds; a client that does not answer as long is gone."""
NOT_TEXT = 1007
"""Close code (RFC 6455 §7.4.1)."""


class GuardedSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket with a deadline for each pause of its client."""

    _answer_timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._stop_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads more slowly than is written: nothing is read of it meanwhile, or it could make us answer."""
        super().pause_writing()
        self.transport.pause_reading()
        if self._answer_timer is None:
            self._answer_timer = self.loop.call_later(http_guard.ANSWER_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The client continues to read."""
        self._stop_timer()
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    async def receive(self) -> Any:
        """The next message of the client."""
        found = await super().receive()
        if self._answer_timer is not None:
            self.transport.pause_reading()
        return found

    async def send(self, message: Any) -> None:
        """A message of the application; it may not know yet that the connection is over."""
        await self.writable.wait()
        if self.close_sent and self.handshake_complete and self.initial_response is None:
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True  # it was refused: else uvicorn logs each refusal as an error of ours

    def keepalive_timeout(self) -> None:
        """The client answered no ping."""
        super().keepalive_timeout()
        self.loop.call_later(http_guard.LINGER_S, self.transport.abort)

    def shutdown(self) -> None:
        """The server stops."""
        super().shutdown()
        self.loop.call_later(http_guard.LINGER_S, self.transport.abort)

    def handle_cont(self, event: Frame) -> None:
        """A further part of a message; empty ones would fill a list."""
        if event.data or event.fin:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """A whole message."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.fail(NOT_TEXT)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    @property
    def is_slow(self) -> bool:
        """True while its client does not read."""
        return self._answer_timer is not None

    def _stop_timer(self) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None
