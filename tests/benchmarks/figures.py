"""One figure of a benchmark: what was measured, the limit measured in the same run, and their ratio."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured value.

    Attributes:
        name: What was measured.
        value: The measurement.
        unit: Its unit.
        limit: The bare limit measured in the same run, in the same unit, or None.
        limit_name: What the limit is.
        target: The goal in words, from the design.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    limit_name: str = ""
    target: str = ""

    def line(self) -> str:
        """The figure as one line of the report."""
        ratio = f"{self.value / self.limit:8.2f} x {self.limit_name} ({self.limit:,.3g} {self.unit})" if self.limit else ""
        return f"{self.name:<58} {self.value:>12,.4g} {self.unit:<10} {ratio:<52} target: {self.target}"


def machine() -> str:
    """The machine that the figures belong to."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        model = names[0] if names else model
    except OSError:
        pass
    return f"{os.cpu_count()} cores, {model}, Python {platform.python_version()}, {platform.system()} {platform.release()}"
