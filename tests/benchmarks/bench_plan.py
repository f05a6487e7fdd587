"""`nexus plan` of a recorded 41,000-tag site with ten changed devices, whole process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from nexus_cli.exit_codes import Exit
from tests.benchmarks.figures import Figure
from tests.benchmarks.plants import change_a_device, recorder
from tests.e2e.runtime import NEXUS, Runtime

CHANGES = 10
RUNS = 5
PEAK = """\
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def timed(runtime: Runtime, *arguments: str, expect: int = 0) -> tuple[float, str]:
    """Wall seconds of a command, and what it said."""
    began = time.perf_counter()
    said = runtime.nexus(*arguments, expect=expect)
    return time.perf_counter() - began, said


def change_site(path: Path) -> None:
    """Give one tag of ten devices, spread over the site, another deadband."""
    text = path.read_text(encoding="utf-8")
    for number in range(CHANGES):
        old = f"deadband: 0.5, poll: 1s, description: measured value 7 of device {number * 97}}}"
        assert text.count(old) == 1
        text = text.replace(old, old.replace("0.5", "0.75"))
    path.write_text(text, encoding="utf-8")


def _after_an_edit(runtime: Runtime, site: Path, number: int) -> float:
    change_a_device(site, 510, f"0.{number + 3}")
    return timed(runtime, "plan", "site.yaml")[0]


def peak_mib(runtime: Runtime, *arguments: str) -> float:
    """Resident memory of a command at most, MiB. A process of its own waits for it: the system counts by parent."""
    watched = [sys.executable, "-c", PEAK, *NEXUS, *arguments]
    done = subprocess.run(
        watched, cwd=runtime.folder, env=runtime.environment("cli"), capture_output=True, text=True, check=True
    )
    return int(done.stdout) / 1024


def run() -> list[Figure]:
    """Record the site, change it, plan."""
    with recorder() as (runtime, site):
        # No gateway answers, so that the deployment ends partly: it is recorded all the same.
        runtime.nexus("apply", "site.yaml", "--yes", expect=Exit.PARTLY)
        empty_s = statistics.median(timed(runtime, "plan", "site.yaml", "--no-cache")[0] for _ in range(RUNS))
        validate_s = statistics.median(timed(runtime, "validate", "site.yaml", "--no-cache")[0] for _ in range(RUNS))
        timed(runtime, "plan", "site.yaml")
        warm_s = statistics.median(timed(runtime, "plan", "site.yaml")[0] for _ in range(RUNS))
        change_site(site)
        taken = [timed(runtime, "plan", "site.yaml", "--format", "json", "--no-cache") for _ in range(RUNS)]
        edited_s = statistics.median(_after_an_edit(runtime, site, number) for number in range(RUNS))
        memory = [peak_mib(runtime, name, "site.yaml", "--no-cache") for name in ("plan", "validate")]
        changed = sum(one["change"]["actions"] != ["no-op"] for one in json.loads(taken[-1][1])["resource_changes"])
        if changed != CHANGES:
            raise RuntimeError(f"{changed} changes were planned, not {CHANGES}")
    return [
        Figure(
            name=f"nexus plan, 41,000 tags, {CHANGES} changes",
            value=statistics.median(one[0] for one in taken),
            unit="s",
            limit=validate_s,
            limit_name="nexus validate",
            at_most=2.5,
        ),
        Figure(
            name="  nexus plan without changes", value=empty_s, unit="s", limit=validate_s, limit_name="nexus validate"
        ),
        Figure(
            name="  unchanged since the last plan",
            value=warm_s,
            unit="s",
            limit=validate_s,
            limit_name="nexus validate",
        ),
        Figure(
            name="  after an edit of the file", value=edited_s, unit="s", limit=validate_s, limit_name="nexus validate"
        ),
        Figure(
            name=f"  memory at most, {CHANGES} changes",
            value=memory[0],
            unit="MiB",
            limit=memory[1],
            limit_name="nexus validate",
        ),
    ]


if __name__ == "__main__":
    for figure in run():
        print(figure.line())
