"""The 1,000-device plant on two gateways: polls kept and missed, rows and live messages, and who used the cores for it.

Broker, database, historian, control, two gateways, the simulators and a subscriber that counts the live messages of
each tag run on the same cores; the shares of simulators and subscriber are listed apart. A thread notes how long
the machine itself was paused meanwhile.
Run alone: `python -m tests.benchmarks.bench_plant [SECONDS] [--profile] [--live-rate N]` (the profile is of one
gateway; 300 seconds are for the record).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure, machine, report
from tests.benchmarks.plants import apply_site
from tests.benchmarks.processes import (
    change,
    counters,
    cpu_s,
    gateway_counters,
    machine_cpu_s,
    parts_of,
    resident_mb,
)
from tests.benchmarks.stillness import Stillness
from tests.benchmarks.tally import Counts, Tally, tallying
from tests.e2e.runtime import Runtime

SITE = Path(__file__).parents[2] / "sites" / "plant-1000"
GATEWAYS = ("gw-a", "gw-b")
NAME = "bench/plant-1000"
TAGS = 41_000
"""Each moves at every poll, once a second."""
ELSE = "other programs of the machine"
OTHERS = ("simulators", "subscriber", ELSE)
SETTLE_S = 15.0
PROFILED = """
import sys
from pyinstrument import Profiler
from nexus_cli.cli.main import main
target, sys.argv[1:] = sys.argv[1], sys.argv[2:]
profiler = Profiler(interval=0.002, async_mode="disabled")
profiler.start()
try:
    main()
finally:
    profiler.stop().save(target)
"""


def write_site(folder: Path) -> None:
    """A copy of the plant."""
    shutil.copytree(SITE, folder, dirs_exist_ok=True)


class Plant(Runtime):
    """The runtime with the plant's simulators in one process of their own."""

    def __init__(self, folder: Path, *, profile: Path | None = None, live_rate: int | None = None) -> None:
        super().__init__(folder, site=NAME, gateways=GATEWAYS)
        self.profile = profile
        self.broker.options = ("max_queued_messages 200000",)
        if live_rate is not None:
            self.extra_environment |= {name: {"NEXUS_LIVE_RATE": str(live_rate)} for name in GATEWAYS}

    def start_part(self, part: str) -> None:
        """As everywhere; the first gateway under the profiler when one is wanted."""
        if part != GATEWAYS[0] or self.profile is None:
            super().start_part(part)
            return
        self.spawn(part, [sys.executable, "-c", PROFILED, str(self.profile), "run", "gateway", "--name", part])

    def start_field(self, *, deadline_s: float = 90.0) -> None:
        """Start the simulators and wait until they serve."""
        self.spawn("simulators", [sys.executable, "-m", "nexus_cli", "sim", "site.yaml"])
        until = time.monotonic() + deadline_s
        while "tags served" not in self.log("simulators"):
            if time.monotonic() > until:
                raise RuntimeError("the simulators do not serve: " + self.log("simulators")[-2000:])
            time.sleep(0.2)

    def rows(self) -> int:
        """Samples stored so far, as the historian counts them."""
        return int(counters(self, "historian")["nexus_historian_rows_total"])


def measure(plant: Plant, tally: Tally, *, seconds: float) -> list[Figure]:
    """Let it settle, then watch."""
    time.sleep(SETTLE_S)
    parts = parts_of(plant)
    before, rows, cpu, began = gateway_counters(plant), plant.rows(), cpu_s(parts), time.monotonic()
    tally.take()
    machine_before = machine_cpu_s()
    with Stillness() as machine_still:
        time.sleep(seconds)
    counts, everything = tally.take(), (machine_cpu_s() - machine_before) / seconds
    after, rows_after, cpu_after, took = gateway_counters(plant), plant.rows(), cpu_s(parts), time.monotonic() - began
    rose = change(before, after)
    used = {name: (cpu_after[name] - cpu[name]) / took for name in parts} | {"subscriber": counts.cpu_s / took}
    memory = resident_mb(parts)
    used[ELSE] = max(everything - sum(used.values()), 0.0)
    return [
        *_figures(rose, (rows_after - rows) / took, took, plant.status(GATEWAYS[0]), machine_still),
        *live_figures(counts, seconds=seconds),
        *_shares(used, memory),
    ]


def live_figures(counts: Counts, *, seconds: float, tags: int = TAGS) -> list[Figure]:
    """What a subscriber of every tag got in so many seconds."""
    most = max(int(seconds) - 1, 1)  # the window may begin and end within a tag's second
    every = sum(count >= most for count in counts.topics.values())
    least = min(counts.topics.values(), default=0) if len(counts.topics) >= tags else 0
    figures = [
        Figure(
            name="  live messages at a subscriber",
            value=counts.messages / seconds,
            unit="msg/s",
            limit=float(tags),
            limit_name="values that changed",
            ratio_at_least=0.99,
            note=f"{least} to {max(counts.topics.values(), default=0)} of {seconds:.0f} a tag",
        ),
        Figure(
            name="  tags that were live every second",
            value=every,
            unit="tags",
            limit=float(tags),
            limit_name="tags",
            ratio_at_least=1.0,
        ),
    ]
    lag = counts.lag_ms(99)
    if lag is not None:
        note = f"p50 {counts.lag_ms(50)}, p95 {counts.lag_ms(95)}, worst {max(counts.lags_ms)}"
        figures.append(Figure(name="  sample to a live subscriber, p99", value=lag, unit="ms", note=note))
    return figures


def _figures(
    rose: dict[str, float],
    rows: float,
    took: float,
    status: Any,
    still: Stillness,
) -> list[Figure]:
    cycles = rose["nexus_link_cycles_total"]
    missed, skipped = rose["nexus_link_missed_cycles_total"], rose["nexus_link_skipped_cycles_total"]
    left = (
        f"of {cycles + missed + skipped:,.0f} in {took:.0f} s; the machine itself stood still {still.pauses} times, "
        f"at most {still.longest_s:.2f} s"
    )
    samples = rose["nexus_gateway_samples_total"] / took
    return [
        Figure(name="plant: polls missed", value=missed, unit="polls", at_most=0, note=left),
        Figure(
            name="plant: polls skipped in a device's back-off",
            value=skipped,
            unit="polls",
            at_most=0,
            note=f"{rose['nexus_link_errors_total']:.0f} errors, {rose['nexus_link_timeouts_total']:.0f} time-outs",
        ),
        Figure(name="  values read or reported", value=rose["nexus_link_values_total"] / took, unit="tags/s"),
        Figure(
            name="  rows stored",
            value=rows,
            unit="rows/s",
            limit=samples,
            limit_name="samples recorded",
            ratio_at_least=0.98,
            note=f"first gateway has {status['outbox']['uncommitted']} frames without receipt",
        ),
        Figure(
            name="  live values published",
            value=rose["nexus_gateway_live_published_total"] / took,
            unit="msg/s",
            limit=samples,
            limit_name="samples recorded",
            note=f"{rose['nexus_gateway_live_conflated_total'] / took:,.0f}/s conflated",
        ),
    ]


def _shares(used: dict[str, float], memory: dict[str, float]) -> list[Figure]:
    own = sum(share for name, share in used.items() if name not in OTHERS)
    name = "  CPU without simulators and subscriber"
    return [
        Figure(name=name, value=own, unit="cores", at_most=float(os.cpu_count() or 1)),
        *(
            Figure(
                name=f"    {name}",
                value=used[name] * 100,
                unit="% of one",
                note=f"{memory[name]:,.0f} MB resident" if name in memory else "",
            )
            for name in sorted(used, key=lambda one: -used[one])
        ),
    ]


def run(*, seconds: float = 60.0, profile: Path | None = None, live_rate: int | None = None) -> list[Figure]:
    """Start the plant, apply, watch, stop."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_site(home)
        plant = Plant(home, profile=profile, live_rate=live_rate)
        try:
            plant.start_field()
            plant.start()
            began = time.monotonic()
            apply_site(plant)
            applied = Figure(name="plant: first apply, verified", value=time.monotonic() - began, unit="s")
            with tallying(plant.broker.port, [f"{NAME}/#"]) as tally:
                return [applied, *measure(plant, tally, seconds=seconds)]
        finally:
            plant.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_plant")
    parser.add_argument("seconds", nargs="?", type=float, default=60.0)
    parser.add_argument("--profile", action="store_true", help="of one gateway, into gateway.pyisession")
    parser.add_argument("--live-rate", type=int, help="NEXUS_LIVE_RATE of the gateways")
    given = parser.parse_args()
    print(machine())
    found = run(
        seconds=given.seconds,
        profile=Path("gateway.pyisession") if given.profile else None,
        live_rate=given.live_rate,
    )
    print(report(found))
