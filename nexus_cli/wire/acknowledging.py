"""The publishes of one connection that wait for the broker's acknowledgement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.lost import fail
from nexus_cli.wire.mqtt.events import Acknowledged

OnAcknowledged = Callable[[list[Any]], None]
"""Called with the tokens of `Connection.send` that the broker has acknowledged, in its order, once per read of the socket."""


class Acknowledging:
    """Ends the futures that wait, and gathers all other tokens until they are handed over together."""

    def __init__(self, on_acknowledged: OnAcknowledged | None) -> None:
        """Begin empty."""
        self._on_acknowledged = on_acknowledged
        self._waiting: set[asyncio.Future[None]] = set()
        self._tokens: list[Any] = []

    def wait(self, future: asyncio.Future[None]) -> None:
        """The future is the token of something that was sent; it ends with the acknowledgement, or the connection."""
        self._waiting.add(future)

    def acknowledged(self, event: Acknowledged) -> None:
        """The broker has taken some."""
        if not self._waiting:  # no future waits: `send` and `send_many` alone
            self._tokens += event.tokens
            return
        for token in event.tokens:
            if not isinstance(token, asyncio.Future):
                self._tokens.append(token)
                continue
            self._waiting.discard(token)
            if not token.done():
                token.set_result(None)

    def rejected(self, future: asyncio.Future[None], error: NexusError) -> None:
        """The broker has refused one."""
        self._waiting.discard(future)
        fail([future], error)

    def hand_over(self) -> None:
        """Give the tokens that were acknowledged since the last call. Raises what their taker raises."""
        tokens, self._tokens = self._tokens, []
        if tokens and self._on_acknowledged is not None:
            self._on_acknowledged(tokens)

    def lost(self, error: NexusError) -> None:
        """The connection has ended."""
        fail(self._waiting, error)
        self._waiting.clear()
