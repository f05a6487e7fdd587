"""How a client's commands are sent: by the function that `POST /commands` has, so that one set of rules holds for both."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.wire.command import Response


class Writer(Protocol):
    """Sends a command for a caller, and waits for its answer."""

    async def __call__(
        self,
        caller: Caller,
        *,
        path: str,
        value: Any,
        expect: Any = msgspec.UNSET,
        reason: str = "",
        timeout_s: float = 10.0,
    ) -> Response:
        """Raises NexusError when it was not sent."""
        ...
