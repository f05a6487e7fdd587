"""Whether the simulator of a mock serves. Loads no driver."""

from __future__ import annotations

from pathlib import Path

from nexus_cli.local.processes import identify


async def simulator_serves(home: Path) -> str:
    """An empty text while a simulator of this folder serves, else why not."""
    try:
        pid = int((home / "mock" / "simulator.pid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return "does not serve yet"
    return "" if identify(pid) is not None else "does not serve yet"
