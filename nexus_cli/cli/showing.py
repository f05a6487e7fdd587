"""Shows arriving values on a thread, so that a slow terminal or pipe does not keep the caller from receiving."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
MOST = 200


class Showing(Generic[T]):
    """A bounded queue before a function that may block. Overflow policy: `put` waits."""

    def __init__(self, show: Callable[[list[T]], None], *, most: int = MOST) -> None:
        """Show by a function, which gets the values since its last call.

        Args:
            show: Called on a thread, one call at a time.
            most: Values that may wait for it.
        """
        self._show, self._most = show, most
        self._ready: list[T] = []
        self._come, self._gone = asyncio.Event(), asyncio.Event()
        self._ended = False

    async def put(self, one: T) -> None:
        """Have something shown; waits for room."""
        while len(self._ready) >= self._most:
            self._gone.clear()
            await self._gone.wait()
        self._ready.append(one)
        self._come.set()

    def end(self) -> None:
        """No more values follow: `run` ends once everything is shown."""
        self._ended = True
        self._come.set()

    async def run(self) -> None:
        """Show until `end`. Raises what the function raises."""
        while self._ready or not self._ended:
            self._come.clear()
            if not self._ready:
                await self._come.wait()
                continue
            ready, self._ready = self._ready, []
            self._gone.set()
            await asyncio.to_thread(self._show, ready)
