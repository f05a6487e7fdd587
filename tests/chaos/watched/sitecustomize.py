"""On PYTHONPATH of a role in a run: a clock that can be set, and a file that says how many tasks its event loop has.

The clock is the one of `tests/e2e/stepped_clock`. The file that NEXUS_TEST_TASKS names holds `PID TASKS`.
"""

import asyncio
import os
import weakref
from pathlib import Path

import tests.e2e.stepped_clock.sitecustomize  # noqa: F401 - its import sets the clock

EVERY_S = 5.0
_FILE = os.environ.get("NEXUS_TEST_TASKS", "")
_run_forever = asyncio.BaseEventLoop.run_forever
_seen: weakref.WeakSet[asyncio.BaseEventLoop] = weakref.WeakSet()


def _count(loop: asyncio.BaseEventLoop) -> None:
    beside = Path(f"{_FILE}.new")
    beside.write_text(f"{os.getpid()} {len(asyncio.all_tasks(loop))}")
    beside.replace(_FILE)
    loop.call_later(EVERY_S, _count, loop)


def _counted(loop: asyncio.BaseEventLoop) -> None:
    if loop not in _seen:
        _seen.add(loop)
        loop.call_soon(_count, loop)
    _run_forever(loop)


if _FILE:
    asyncio.BaseEventLoop.run_forever = _counted  # type: ignore[method-assign, assignment]
