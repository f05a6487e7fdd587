"""The 1,000-device plant on two gateways: polls kept and missed, rows a second, and who used the cores for it.

Broker, database, historian, control, two gateways and the simulators run on the same cores; the simulators' share is
told apart. A thread notes how long the machine itself stood still meanwhile.
Run alone: `python -m tests.benchmarks.bench_plant [SECONDS] [--profile]` (the profile is of one gateway).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nexus_cli.exit_codes import Exit
from tests.benchmarks.figures import Figure, machine
from tests.benchmarks.processes import change, counters, cpu_s, gateway_counters, parts_of, resident_mb
from tests.benchmarks.stillness import Stillness
from tests.e2e.runtime import Runtime

SITE = Path(__file__).parents[2] / "sites" / "plant-1000"
GATEWAYS = ("gw-a", "gw-b")
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

    def __init__(self, folder: Path, *, profile: Path | None = None) -> None:
        super().__init__(folder, site="bench/plant-1000", gateways=GATEWAYS)
        self.profile = profile

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

    def apply_plant(self) -> None:
        """Apply it; on a busy machine a device may not have answered yet."""
        command = [sys.executable, "-m", "nexus_cli", "apply", "site.yaml", "--yes"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment("cli"), capture_output=True, text=True, timeout=180
        )
        if done.returncode not in (Exit.OK, Exit.PARTLY):
            raise RuntimeError(f"apply ended with {done.returncode}: {done.stderr[-2000:]}")

    def rows(self) -> int:
        """Samples stored so far, as the historian counts them."""
        return int(counters(self, "historian")["nexus_historian_rows_total"])


def measure(plant: Plant, *, seconds: float) -> list[Figure]:
    """Let it settle, then watch."""
    time.sleep(SETTLE_S)
    parts = parts_of(plant)
    before, rows, cpu, began = gateway_counters(plant), plant.rows(), cpu_s(parts), time.monotonic()
    with Stillness() as machine_still:
        time.sleep(seconds)
    after, rows_after, cpu_after, took = gateway_counters(plant), plant.rows(), cpu_s(parts), time.monotonic() - began
    rose = change(before, after)
    used = {name: (cpu_after[name] - cpu[name]) / took for name in parts}
    return _figures(
        rose, (rows_after - rows) / took, took, used, resident_mb(parts), plant.status(GATEWAYS[0]), machine_still
    )


def _figures(
    rose: dict[str, float],
    rows: float,
    took: float,
    used: dict[str, float],
    memory: dict[str, float],
    status: Any,
    still: Stillness,
) -> list[Figure]:
    cycles = rose["nexus_link_cycles_total"]
    missed, skipped = rose["nexus_link_missed_cycles_total"], rose["nexus_link_skipped_cycles_total"]
    own = sum(share for name, share in used.items() if name != "simulators")
    left = (
        f"of {cycles + missed + skipped:,.0f} in {took:.0f} s; the machine itself stood still {still.pauses} times, "
        f"at most {still.longest_s:.2f} s"
    )
    samples = rose["nexus_gateway_samples_total"] / took
    figures = [
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
        Figure(name="  CPU without simulators", value=own, unit="cores", at_most=float(os.cpu_count() or 1)),
    ]
    figures += [
        Figure(name=f"    {name}", value=used[name] * 100, unit="% of one", note=f"{memory[name]:,.0f} MB resident")
        for name in sorted(used, key=lambda one: -used[one])
    ]
    return figures


def run(*, seconds: float = 60.0, profile: Path | None = None) -> list[Figure]:
    """Start the plant, apply, watch, stop."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_site(home)
        plant = Plant(home, profile=profile)
        try:
            plant.start_field()
            plant.start()
            began = time.monotonic()
            plant.apply_plant()
            applied = Figure(name="plant: first apply, verified", value=time.monotonic() - began, unit="s")
            return [applied, *measure(plant, seconds=seconds)]
        finally:
            plant.stop()


if __name__ == "__main__":
    numbers = [float(one) for one in sys.argv[1:] if one.isdigit()]
    wanted = Path("gateway.pyisession") if "--profile" in sys.argv else None
    print(machine())
    for figure in run(seconds=numbers[0] if numbers else 60.0, profile=wanted):
        print(figure.line())
