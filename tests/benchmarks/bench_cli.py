"""Whole-process figures of the command line: `nexus --help`; `validate`, `fmt` and 10,000 mistakes of 41,000 tags."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

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


MISTAKES = 10_000


def seconds(command: list[str], *, runs: int, codes: frozenset[int] = frozenset({0})) -> float:
    """Median wall time of a command that ends with one of these codes, after one run that is not counted."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, check=False)
        times.append(time.perf_counter() - start)
        if done.returncode not in codes:
            raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    return statistics.median(times[1:])


def run() -> list[Figure]:
    """Measure them all."""
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
        figures += of_large_sites(python, write_flat_site(Path(folder)))
    return figures


def of_large_sites(python: str, site: Path, *, mistakes: int = MISTAKES, runs: int = 3) -> list[Figure]:
    """`validate` beside the bare parser; `fmt`, and `validate` of a file with mistakes, beside `validate`."""
    validate = [python, "-m", "nexus_cli", "validate"]
    right_s = seconds([*validate, str(site)], runs=runs)
    wrong = site.with_name("wrong.yaml")
    wrong.write_text(with_mistakes(site.read_text(), mistakes))
    beside: dict[str, Any] = {"unit": "s", "limit": right_s, "limit_name": "nexus validate of the right file"}
    return [
        Figure(
            name=f"nexus validate, 41,000 tags, {site.stat().st_size / 1e6:.1f} MB",
            value=right_s,
            unit="s",
            limit=seconds([python, "-c", EVENTS, str(site)], runs=runs),
            limit_name="bare event loop",
            ratio_at_most=3.0,
        ),
        Figure(
            name="nexus fmt --check of the same file",
            value=seconds([python, "-m", "nexus_cli", "fmt", "--check", str(site)], runs=runs, codes=frozenset({0, 1})),
            ratio_at_most=3.0,
            **beside,
        ),
        Figure(
            name=f"nexus validate, {mistakes:,} mistakes in it",
            value=seconds([*validate, str(wrong)], runs=runs, codes=frozenset({1})),
            **beside,
        ),
    ]


def with_mistakes(text: str, count: int) -> str:
    """The site with a type that there is not in so many tags."""
    return text.replace("type: float32", "type: flaot32", count)
