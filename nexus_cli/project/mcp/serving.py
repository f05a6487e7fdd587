"""How the server is reached: over its standard input and output, or over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from nexus_cli.project.mcp.asking import Asking
from nexus_cli.project.mcp.server import make_server


async def serve_stdio(asking: Asking, *, writable: Sequence[str]) -> None:
    """Serve one client until it closes our standard input."""
    async with asking.door:
        await make_server(asking, writable=writable).run_stdio_async()
