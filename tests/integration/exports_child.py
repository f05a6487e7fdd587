"""A process that exports, and ends by SIGKILL at a step that its arguments name.

Arguments: database URL, home folder, export, step. With `worker` as the export it is a whole worker.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from nexus_cli.archive import exported
from nexus_cli.archive.folder import Sink
from nexus_cli.database import exports
from nexus_cli.database.connect import open_pool
from nexus_cli.runtime.worker import exporting
from nexus_cli.runtime.worker.exporting import Exporting
from nexus_cli.runtime.worker.worker import run_worker
from nexus_cli.settings import Settings
from tests.integration.archive_child import AFTER, BEFORE, patched
from tests.integration.exports_world import job_of
from tests.postgres import settings_for
from tests.servers import free_port

STEPS: dict[str, tuple[Any, str, str]] = {
    "begun": (exports, "begin", AFTER),
    "head written": (Sink, "write", AFTER),
    "rows written": (exported, "_read", AFTER),
    "file there": (exports, "settle", BEFORE),
    "settled": (exports, "settle", AFTER),
    "tidying": (exporting, "remove_export", BEFORE),
}


async def main(settings: Settings, export: str, step: str) -> None:
    where, name, when = STEPS[step]
    setattr(where, name, patched(getattr(where, name), when))
    if export == "worker":
        await run_worker(replace(settings, broker_url=f"mqtt://127.0.0.1:{free_port()}"))
        return
    pool = await open_pool(settings)
    await Exporting(settings, pool=pool).export(job_of(export))


if __name__ == "__main__":
    url, home, export, step = sys.argv[1:]
    asyncio.run(main(replace(settings_for(url, Path(home).parent), home=Path(home)), export, step))
