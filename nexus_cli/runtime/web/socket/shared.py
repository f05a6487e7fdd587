"""What the clients of one web's WebSocket share."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.socket.encoded_values import EncodedValues
from nexus_cli.runtime.web.socket.selections import Selections
from nexus_cli.wire.web_socket import Hello, Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What each client asks.

    Attributes:
        instance: Name of this web; turns are its own.
        encoded: Rows by `Codec.number`.
    """

    parts: WebParts
    instance: str
    encoded: tuple[EncodedValues, ...]
    selections: Selections

    def hello(self) -> Hello:
        """The first message of a client."""
        parts = self.parts
        return Hello(
            web=self.instance,
            turn=parts.cache.turn,
            deployment=parts.keeper.view.number,
            time=parts.clock.wall_us(),
        )

    def missing(self) -> Missing:
        """What does not answer now."""
        detail = {}
        if self.parts.keeper.problem:
            detail["database"] = self.parts.keeper.problem
        client = self.parts.client
        if not client.connected:
            detail["broker"] = client.problem.message if client.problem is not None else "the broker is away"
        return Missing(parts=list(detail), detail=detail)
