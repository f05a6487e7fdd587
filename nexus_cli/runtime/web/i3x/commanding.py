"""What writing a value through i3X needs of the rest of web: a command to a tag, sent in the name of its caller."""

from __future__ import annotations

from typing import Protocol

from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.wire.command import Response
from nexus_cli.wire.sample import Value


class CommandSender(Protocol):
    """Sends one command and waits for its answer."""

    async def __call__(self, caller: Caller, path: str, value: Value, *, reason: str) -> Response:
        """The answer of the gateway; a command that got none in time is `unknown`.

        Args:
            caller: Who asks: its name is in the command and in the audit trail.
            path: `area/line/device/tag`.
            value: In the published unit.
            reason: For the audit trail.

        Raises:
            NexusError: It could not be sent.
        """
        ...
