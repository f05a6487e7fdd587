"""A process that archives a day, or does the upkeep, and ends by SIGKILL at a step that its arguments name.

Arguments: database URL, folder of the archive, day, step, time of the upkeep. With `worker` as the day it is a whole worker.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from nexus_cli.archive import days, parquet
from nexus_cli.database import archive_days, kept_series, retention
from nexus_cli.database.connect import UPKEEP, close, open_connection
from nexus_cli.database.retention import keep_up
from nexus_cli.database.sample_class import find_class
from nexus_cli.model.resources import ArchiveConfig
from nexus_cli.runtime.worker.worker import run_worker
from nexus_cli.settings import Settings
from tests.postgres import SITE, settings_for
from tests.servers import free_port

BEFORE, AFTER = "before", "after"
ARCHIVING: dict[str, tuple[Any, str, str]] = {
    "begun": (archive_days, "begin", AFTER),
    "rows counted": (days, "rows_of_day", AFTER),
    "first rows written": (parquet.Part, "write", AFTER),
    "file ended": (parquet.Part, "close", AFTER),
    "file there": (days, "sha256_of", BEFORE),
    "digest read back": (days, "sha256_of", AFTER),
    "rows compared": (parquet.Comparer, "ended", AFTER),
    "fenced": (archive_days, "fence", AFTER),
    "manifest there": (days._Attempt, "_write_manifest", AFTER),
    "settled": (archive_days, "settle", AFTER),
    "committed": (days._Attempt, "_tidy", BEFORE),
}
UPKEEPING: dict[str, tuple[Any, str, str]] = {
    "looked": (retention._Round, "_gone", AFTER),
    "detached": (retention._Round, "_drop", BEFORE),
    "marked": (retention, "mark_dropped", AFTER),
    "dropped": (retention._Round, "_drop", AFTER),
}
CHUNKS: dict[str, tuple[Any, str, str]] = {
    "chunk marked": (retention, "mark_dropped", AFTER),
    "chunk dropped": (kept_series, "drop_chunk", AFTER),
    "chunk refilled": (retention, "drop_but_protected", AFTER),
}
"""Upkeep with TimescaleDB."""


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def patched(real: Callable[..., Any], when: str) -> Callable[..., Any]:
    if asyncio.iscoroutinefunction(real):

        async def awaited(*args: Any, **more: Any) -> Any:
            if when == BEFORE:
                die()
            await real(*args, **more)
            die()

        return awaited

    def called(*args: Any, **more: Any) -> Any:
        if when == BEFORE:
            die()
        real(*args, **more)
        die()

    return called


async def main(settings: Settings, root: str, day: str, step: str, now: str) -> None:
    where, name, when = (ARCHIVING | UPKEEPING | CHUNKS)[step]
    setattr(where, name, patched(getattr(where, name), when))
    if day == "worker":
        await run_worker(replace(settings, broker_url=f"mqtt://127.0.0.1:{free_port()}"))
        return
    conn = await open_connection(settings, limits=UPKEEP)
    try:
        if step in UPKEEPING | CHUNKS:
            await keep_up(conn, site=SITE, now=datetime.fromisoformat(now))
            return
        made = await find_class(conn, "fast", site=SITE)
        assert made is not None
        await days.archive_day(conn, ArchiveConfig(to=root), made=made, day=date.fromisoformat(day))
    finally:
        await close(conn)


if __name__ == "__main__":
    url, root, day, step, now = sys.argv[1:]
    asyncio.run(main(settings_for(url, Path(root).parent), root, day, step, now))
