"""What a role under chaos says of its own loop: every task of it, under its process id."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.parts import SHIM

PROGRAM = """
import asyncio, os, sys, time
async def main():
    waiting = [asyncio.ensure_future(asyncio.sleep(60)) for _ in range(int(sys.argv[1]))]
    while not os.path.exists(os.environ["NEXUS_TEST_TASKS"]):
        await asyncio.sleep(0.01)
    print(os.getpid(), time.time() > 4_000_000_000)
asyncio.run(main())
"""


@pytest.mark.parametrize("tasks", [0, 25])
def test_the_shim_counts_tasks_and_sets_the_clock(tmp_path: Path, tasks: int) -> None:
    clock, file = tmp_path / "clock", tmp_path / "tasks"
    clock.write_text("3000000000")
    environment = {
        **os.environ,
        "NEXUS_TEST_CLOCK": str(clock),
        "NEXUS_TEST_TASKS": str(file),
        "PYTHONPATH": f"{SHIM}{os.pathsep}{Path(__file__).parents[3]}",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tasks)], env=environment, capture_output=True, text=True, check=True
    )
    pid, stepped = done.stdout.split()
    assert stepped == "True"
    assert file.read_text() == f"{pid} {tasks + 1}", "those of the program and its main one"
