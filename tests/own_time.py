"""Time that passes only while a test works or waits, so that a busy machine takes nothing from it.

A test that polls ten times a second and counts what was missed measures the machine as well: while other processes
hold the processor, its deadlines pass although nothing of its own is late. Here the loop's time is the processor time
of the loop's thread plus what it waited for, each wait up to the next timer at most. What the code under test does too
slowly is late as ever; what the machine takes away does not count.

A call that blocks the thread without using the processor does not count either: this loop is no proof that nothing
blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import selectors
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from nexus_cli.runtime.clock import SystemClock
from nexus_cli.wire.client import BrokerClient
from tests.own_clock import OwnTime

BROKER_PATIENCE_S = 3600


Wait = Callable[[Callable[[float | None], list[Any]], float | None], list[Any]]
"""Waits with a `select` for at most so many seconds, as the time of its loop wants it."""


class Selector(selectors.BaseSelector):
    """A selector whose waits are somebody else's."""

    def __init__(self, wait: Wait) -> None:
        self._inner, self._wait = selectors.DefaultSelector(), wait

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return self._wait(self._inner.select, timeout)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.get_key(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()


class OwnTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on its own time."""

    def __init__(self) -> None:
        """Begin."""
        self.own = OwnTime()
        super().__init__(Selector(self.own.wait))

    def time(self) -> float:
        """Seconds."""
        return self.own.now_s()


def own_clock(**options: Any) -> SystemClock:
    """A clock for a role in the running `OwnTimeLoop`; its wall clock runs with it. Further options are a role's own."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, OwnTimeLoop)
    offset_ns = time.time_ns() - int(loop.time() * 1e9)

    def monotonic_ns() -> int:
        return int(loop.time() * 1e9)

    return SystemClock(wall_ns=lambda: monotonic_ns() + offset_ns, monotonic_ns=monotonic_ns, **options)


def now_s() -> float:
    """Seconds on the time of the running loop, which is what a test of an `own_time` module measures with."""
    return asyncio.get_running_loop().time()


def set_aside() -> None:
    """What there is now, pytest's ten thousand tests and every imported module, the collector does not look at again:
    each of its full collections, of which hundreds of tests begin with one, took 0.3 s for it."""
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def own_time() -> Iterator[None]:
    """Bring what runs beside the loop in line with it: the clocks of gateways, the broker's patience, the collector.

    Garbage is collected before: what pytest and the simulated devices keep in this process takes the
    collector up to 0.3 s at once, which no gateway has.
    """
    if not gc.get_freeze_count():
        set_aside()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nexus_cli.runtime.gateway.gateway.SystemClock", own_clock)
        # The broker stays on the machine's time: a client that was not let run must not be taken for dead.
        patch.setitem(BrokerClient.__init__.__kwdefaults__, "keepalive_s", BROKER_PATIENCE_S)
        gc.collect()
        gc.disable()
        try:
            yield
        finally:
            gc.enable()
