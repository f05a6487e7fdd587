"""On PYTHONPATH of a role in a run: a clock that can be set, and a file that says how many tasks its event loop has.

The clock is the one of `tests/e2e/stepped_clock`. The file that NEXUS_TEST_TASKS names holds `PID TASKS`.
"""

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import tests.e2e.stepped_clock.sitecustomize  # noqa: F401 - its import sets the clock

EVERY_S = 5.0
_FILE = os.environ.get("NEXUS_TEST_TASKS", "")
_run = asyncio.Runner.run


def _count(loop: asyncio.AbstractEventLoop) -> None:
    beside = Path(f"{_FILE}.new")
    beside.write_text(f"{os.getpid()} {len(asyncio.all_tasks(loop))}")
    beside.replace(_FILE)
    loop.call_later(EVERY_S, _count, loop)


def _counted(runner: asyncio.Runner, main: Coroutine[Any, Any, Any], **more: Any) -> Any:
    loop = runner.get_loop()  # any loop: uvloop's share no code with asyncio's
    loop.call_soon(loop.call_soon, _count, loop)  # in the second turn: main has made its first tasks in the first one
    return _run(runner, main, **more)


if _FILE:
    asyncio.Runner.run = _counted  # type: ignore[method-assign, assignment]
