"""What the processes of a runtime used: CPU and memory by part, and counters from their metrics."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping

import psutil

from tests.e2e.runtime import Runtime

_SAMPLE = re.compile(r"^(\w+)(?:\{[^}]*\})? (\S+)$")


def parts_of(runtime: Runtime) -> dict[str, psutil.Process]:
    """The processes of a runtime by name: its own, the broker and the database server."""
    found = {name: psutil.Process(process.pid) for name, process in runtime.processes.items()}
    if runtime.broker.process is not None:
        found["broker"] = psutil.Process(runtime.broker.process.pid)
    if runtime.database.process is not None:
        found["database"] = psutil.Process(runtime.database.process.pid)
    return found


def cpu_s(parts: Mapping[str, psutil.Process]) -> dict[str, float]:
    """CPU seconds so far by part, children that live included."""
    taken = {}
    for name, process in parts.items():
        times = [process.cpu_times()]
        for child in process.children(recursive=True):
            try:
                times.append(child.cpu_times())
            except psutil.NoSuchProcess:
                continue
        # What ended children used is in the parent's; the database's workers live longer than a measurement.
        taken[name] = sum(one.user + one.system for one in times) + times[0].children_user + times[0].children_system
    return taken


def machine_cpu_s() -> float:
    """CPU seconds of everything on this machine since it started, idle time and waiting for disks left out."""
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")))


def resident_mb(parts: Mapping[str, psutil.Process]) -> dict[str, float]:
    """Resident memory by part, in MB, without children."""
    return {name: process.memory_info().rss / 1e6 for name, process in parts.items()}


def counters(runtime: Runtime, role: str) -> dict[str, float]:
    """A role's metrics, summed over their labels."""
    url = f"http://127.0.0.1:{runtime.ports[role]}/metrics"
    with urllib.request.urlopen(url, timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    found: dict[str, float] = {}
    for line in lines:
        matched = _SAMPLE.match(line)
        if matched:
            found[matched[1]] = found.get(matched[1], 0.0) + float(matched[2])
    return found


def gateway_counters(runtime: Runtime) -> dict[str, float]:
    """The metrics of all gateways together."""
    total: dict[str, float] = {}
    for gateway in runtime.gateways:
        for name, value in counters(runtime, gateway).items():
            total[name] = total.get(name, 0.0) + value
    return total


def change(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """How much each counter rose."""
    return {name: value - before.get(name, 0.0) for name, value in after.items()}
