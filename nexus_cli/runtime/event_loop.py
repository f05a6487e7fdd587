"""The event loop of a role: uvloop where it is installed, else asyncio's own. See docs/decisions/0065."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nexus_cli.settings import EventLoop


def loop_factory(wanted: EventLoop) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the loop; None for asyncio's own."""
    if wanted is EventLoop.ASYNCIO:
        return None
    try:
        import uvloop  # noqa: PLC0415 - an optional package without wheels for Windows
    except ImportError:
        return None
    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made
