"""Whole-process figures of the command line: `nexus --help`; `validate`, `fmt` and 10,000 mistakes of 41,000 tags.

What the cache saves is measured in processor time, each case beside the event loop of the same round: first run, after
one edit, and again without one, for a site that is one file and for one that is forty.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure
from tests.benchmarks.plants import change_a_device, write_flat_site, write_split_site

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
        home = Path(folder)
        for name in ("flat", "split", "cache"):
            (home / name).mkdir()
        flat, split = write_flat_site(home / "flat"), write_split_site(home / "split")
        with as_installed(home):
            figures += of_the_cache(python, "one file", flat, flat, limit=flat, cache=home / "cache")
            lines = split.parent / "lines/line-20.yaml"
            figures += of_the_cache(python, "40 files", split, lines, limit=flat, cache=home / "cache")
            figures += of_large_sites(python, flat)
    return figures


@contextmanager
def as_installed(home: Path) -> Iterator[None]:
    """Bytecode is kept, as that of an installed program is, and the cache is in a folder of its own."""
    given = {"PYTHONPYCACHEPREFIX": str(home / "bytecode"), "XDG_CACHE_HOME": str(home / "cache")}
    before = {name: os.environ.pop(name, None) for name in (*given, "PYTHONDONTWRITEBYTECODE")}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def processor_s(command: list[str]) -> float:
    """Processor time of a command that ends with 0."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{command} ended with {child.returncode}")
    return used.ru_utime + used.ru_stime


def of_the_cache(
    python: str, name: str, site: Path, changed: Path, *, limit: Path, cache: Path, rounds: int = 3
) -> list[Figure]:
    """`validate` of one site: first, after an edit of a file, unchanged, and without the cache; interleaved."""
    validate = [python, "-m", "nexus_cli", "validate", str(site)]
    taken: dict[str, list[float]] = {}
    processor_s(validate)
    for number in range(rounds):
        shutil.rmtree(cache, ignore_errors=True)
        taken.setdefault("events", []).append(processor_s([python, "-c", EVENTS, str(limit)]))
        taken.setdefault("first run", []).append(processor_s(validate))
        change_a_device(changed, 510, f"0.{number + 6}")
        taken.setdefault("after an edit of one file", []).append(processor_s(validate))
        taken.setdefault("unchanged", []).append(processor_s(validate))
        taken.setdefault("--no-cache", []).append(processor_s([*validate, "--no-cache"]))
    loop_s = statistics.median(taken.pop("events"))
    goals = {"first run": 2.5, "after an edit of one file": 0.5}
    return [
        Figure(
            name=f"nexus validate, 41,000 tags in {name}, {what}",
            value=statistics.median(times),
            unit="s",
            limit=loop_s,
            limit_name="bare event loop",
            ratio_at_most=goals.get(what),
            note="processor time",
        )
        for what, times in taken.items()
    ]


def of_large_sites(python: str, site: Path, *, mistakes: int = MISTAKES, runs: int = 3) -> list[Figure]:
    """`validate` beside the bare parser; `fmt`, and `validate` of a file with mistakes, beside `validate`."""
    validate = [python, "-m", "nexus_cli", "validate", "--no-cache"]
    right_s = seconds([*validate, str(site)], runs=runs)
    wrong = site.with_name("wrong.yaml")
    wrong.write_text(with_mistakes(site.read_text(), mistakes))
    beside: dict[str, Any] = {"unit": "s", "limit": right_s, "limit_name": "nexus validate of the right file"}
    return [
        Figure(
            name=f"nexus validate --no-cache, 41,000 tags, {site.stat().st_size / 1e6:.1f} MB",
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
