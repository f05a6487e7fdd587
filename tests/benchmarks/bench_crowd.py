"""The 1,000-device plant with web, alone and with a crowd: twenty pages and 1,000 WebSocket clients of 20 tags at 1 s.

Turns without the crowd and with it follow each other in one run, so that what else the machine does counts for both: no more polls may
be missed with it. `NEXUS_BENCH_DEVICES` takes fewer devices (100 to 1,000, in hundreds), as many of each kind in proportion.
Run alone: python -m tests.benchmarks crowd
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_cli.project.text import load
from tests.benchmarks import bench_plant
from tests.benchmarks.figures import Figure
from tests.benchmarks.plants import apply_site
from tests.benchmarks.processes import change, cpu_s, gateway_counters, parts_of, resident_mb
from tests.servers import free_port

CLIENTS, PAGES = 1_000, 20
DEVICES = int(os.environ.get("NEXUS_BENCH_DEVICES", "1000"))
TURNS, TURN_S, SETTLE_S = 3, 20.0, 4.0
END_S = 20.0
_LINE = re.compile(r"^      line-\d+:$", re.MULTILINE)


class Plant(bench_plant.Plant):
    """The plant with the role web."""

    more_principals = ("nexus.web",)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.roles = (*self.roles, "web")
        self.ports["web"] = free_port()

    @property
    def token(self) -> str:
        """That of the command line."""
        found: str = json.loads((self.home / "credentials.json").read_text())["api"]["nexus.cli"]
        return found


def write_site(folder: Path, devices: int) -> Path:
    """The plant with so many devices, and a file with the paths of their tags; gives the latter."""
    bench_plant.write_site(folder)
    for file in (folder / "areas").iterdir():
        text = file.read_text(encoding="utf-8")
        starts = [found.start() for found in _LINE.finditer(text)] + [len(text)]
        file.write_text(text[: starts[min(max(devices // 100, 1), len(starts) - 1)]], encoding="utf-8")
    loaded = load(folder).value
    if loaded is None:
        raise RuntimeError("the site of the benchmark has errors")
    paths = folder / "paths.txt"
    found = [f"{path}/{name}" for path, device in loaded.snapshot.of_kind("device") for name in device["tags"]]
    paths.write_text("\n".join(found), encoding="utf-8")
    return paths


class Crowd:
    """The clients' process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, line: str) -> dict[str, Any]:
        """One line, and its answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # pipes were asked for
        stdin.write(line + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise RuntimeError("the clients have ended")
        found: dict[str, Any] = json.loads(answer)
        return found


@contextmanager
def crowd(plant: Plant, paths: Path) -> Iterator[Crowd]:
    """Every client is connected and has its values while the block runs."""
    arguments = [str(plant.ports["web"]), bench_plant.NAME, str(CLIENTS), str(PAGES), str(paths)]
    command = [sys.executable, "-m", "tests.benchmarks.crowd_clients", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        clients = Crowd(process)
        try:
            clients.ask(plant.token)
            yield clients
        finally:
            assert process.stdin is not None  # as above
            process.stdin.close()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one turn counted; `came` is of the clients, empty without them."""

    cycles: float
    missed: float
    skipped: float
    web: float
    came: dict[str, Any]


def turn(plant: Plant, clients: Crowd | None) -> Turn:
    """Watch for a while."""
    time.sleep(SETTLE_S)
    web = {"web": parts_of(plant)["web"]}
    if clients is not None:
        clients.ask("")
    before, used, began = gateway_counters(plant), cpu_s(web), time.monotonic()
    time.sleep(TURN_S)
    came = {} if clients is None else clients.ask("")
    rose, took = change(before, gateway_counters(plant)), time.monotonic() - began
    return Turn(
        cycles=rose["nexus_link_cycles_total"],
        missed=rose["nexus_link_missed_cycles_total"],
        skipped=rose["nexus_link_skipped_cycles_total"],
        web=(cpu_s(web)["web"] - used["web"]) / took,
        came=came,
    )


def measure(plant: Plant, paths: Path, tags: int) -> list[Figure]:
    """Turns without and with."""
    time.sleep(bench_plant.SETTLE_S)
    alone, together = [], []
    for _ in range(TURNS):
        alone.append(turn(plant, None))
        with crowd(plant, paths) as clients:
            together.append(turn(plant, clients))
    missed, before = (sum(each.missed + each.skipped for each in turns) for turns in (together, alone))
    polls, polls_before = (sum(each.cycles for each in turns) for turns in (together, alone))
    web, web_before = (statistics.median(each.web for each in turns) * 100 for turns in (together, alone))
    came = together[-1].came
    each_turn = ", ".join(
        f"{one.missed + one.skipped:.0f}/{two.missed + two.skipped:.0f}"
        for one, two in zip(alone, together, strict=True)
    )
    return [
        Figure(
            name=f"crowd: polls missed with {PAGES} pages and {CLIENTS:,} clients, {tags:,} tags",
            value=missed,
            unit="polls",
            at_most=before,
            note=f"of {polls + missed:,.0f}; without them {before:.0f} of {polls_before + before:,.0f}; each turn {each_turn}",
        ),
        Figure(
            name="  web with them",
            value=web,
            unit="% of one",
            at_most=100,
            note=f"without {web_before:.0f} %; {resident_mb(parts_of(plant))['web']:,.0f} MB resident",
        ),
        Figure(
            name="  messages a client of 20 tags",
            value=came["client_s"],
            unit="/s",
            note=f"the slowest {came['least_s']:.2f}/s; a page {came['page_s']:.1f}/s; {came['rows_s']:,.0f} values/s in all",
        ),
    ]


def run() -> list[Figure]:
    """For `python -m tests.benchmarks`."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        paths = write_site(home, DEVICES)
        plant = Plant(home)
        try:
            plant.start_field()
            plant.start()
            apply_site(plant)
            plant.wait_ready("web")
            return measure(plant, paths, len(paths.read_text(encoding="utf-8").split()))
        finally:
            plant.stop()
