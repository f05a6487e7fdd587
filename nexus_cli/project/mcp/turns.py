"""One call at a time where a call takes a core: reading a site's files, simulating a device."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.mcp.asking import Caller

WAIT_S = 20.0
SCOPE = "state:read"


class Turns:
    """Of all callers of a server."""

    def __init__(self) -> None:
        """Nothing runs."""
        self._turn = asyncio.Semaphore(1)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for our turn. Raises NexusError NX6946: it did not come within 20 s."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._turn.acquire()
        except TimeoutError:
            raise NexusError(
                "The files of the site are in use by another call.", code="NX6946", retriable=True
            ) from None
        try:
            yield
        finally:
            self._turn.release()


async def refuse_stranger(caller: Caller) -> None:
    """The site's files hold everything that is declared: over HTTP they are for those who may read the recorded state.

    Raises:
        NexusError: NX6403, the caller may not; NX6941 and others, it can't be looked up.
    """
    if caller.at_home:
        return
    said = await caller.web.get("/identity")
    if SCOPE not in said.get("scopes", []):
        raise NexusError(
            f"{said.get('principal', 'This caller')} may not read the site's files.",
            code="NX6403",
            cause=f"needs the scope {SCOPE}",
        )
