"""Whole-process figures of the command line: `nexus --help`, and `nexus validate` of 41,000 tags."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.figures import Figure
from tests.benchmarks.plants import write_flat_site

EVENTS = """
import sys
from yaml._yaml import CParser
with open(sys.argv[1], "rb") as file:
    parser = CParser(file)
    while parser.check_event():
        parser.get_event()
"""


def seconds(command: list[str], *, runs: int) -> float:
    """Median wall time of a command, after one run that is not counted."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, check=False)
        times.append(time.perf_counter() - start)
        if done.returncode:
            raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    return statistics.median(times[1:])


def run() -> list[Figure]:
    """Measure both."""
    python = sys.executable
    figures = [
        Figure(
            name="nexus --help",
            value=seconds([python, "-m", "nexus_cli", "--help"], runs=7),
            unit="s",
            limit=seconds([python, "-c", "import click"], runs=7),
            limit_name="import click",
            ratio_at_most=3.0,
        )
    ]
    with tempfile.TemporaryDirectory() as folder:
        site = write_flat_site(Path(folder))
        figures.append(
            Figure(
                name=f"nexus validate, 41,000 tags, {site.stat().st_size / 1e6:.1f} MB",
                value=seconds([python, "-m", "nexus_cli", "validate", str(site)], runs=3),
                unit="s",
                limit=seconds([python, "-c", EVENTS, str(site)], runs=3),
                limit_name="bare event loop",
                ratio_at_most=3.0,
            )
        )
    return figures
