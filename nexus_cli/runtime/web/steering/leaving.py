"""When an answer that takes long is wanted no more: its client has left, or web stops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from starlette.types import Receive

from nexus_cli.diagnostics.groups import Cut

LOOK_S = 0.25
"""How soon a stop is seen."""


async def until_left(receive: Receive, stopping: Callable[[], bool], cut: Cut) -> None:
    """End a block once the client has left, or web stops.

    Args:
        receive: Of the request; its body has been read.
        stopping: True once web stops.
        cut: The block.
    """
    while not stopping():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                if (await receive())["type"] == "http.disconnect":
                    break
    cut.end()
