"""The reason for which a broker closes connections."""

from __future__ import annotations

import asyncio

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Cut
from nexus_cli.settings import Settings
from nexus_cli.wire.abilities import explain

ASK_AGAIN_S = 60.0
"""How long a reason holds."""


class WhyClosed:
    """Asks a broker that closes connections for its reason: when the cause changes, and now and then."""

    def __init__(self) -> None:
        """Nothing is asked yet."""
        self._cause, self._again_s = "", 0.0
        self._reason: NexusError | None = None

    async def of(self, error: NexusError, settings: Settings, cut: Cut) -> NexusError:
        """The reason behind an NX6010, else the error itself. The cut ends the wait for it."""
        now_s = asyncio.get_running_loop().time()
        if error.cause != self._cause or now_s > self._again_s:
            self._cause, self._again_s = error.cause, now_s + ASK_AGAIN_S
            self._reason = None
            async with cut:
                self._reason = await explain(settings, error)
        return self._reason or error
