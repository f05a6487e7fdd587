"""One thread for blocking calls, so that calls run in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class WorkerThread:
    """A thread that runs calls one at a time, in order."""

    def __init__(self, name: str) -> None:
        """Name the thread; it starts with the first call."""
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function on the thread; returns its result or raises its exception."""
        return await asyncio.wrap_future(self._pool.submit(function, *args, **kwargs))

    def close(self) -> None:
        """End the thread after the queued calls."""
        self._pool.shutdown(wait=False)
