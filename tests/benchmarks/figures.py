"""One figure of a benchmark: what was measured, the limit measured in the same run, their ratio, and the goal."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured value. A goal may bound the value, its ratio to the limit, or both; without one it informs.

    Attributes:
        name: What was measured.
        value: The measurement.
        unit: Its unit.
        limit: The bare limit measured in the same run, in the same unit, or None.
        limit_name: What the limit is.
        at_least, at_most: Bounds of the value.
        ratio_at_least, ratio_at_most: Bounds of value / limit.
        note: What else belongs to the figure.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    limit_name: str = ""
    at_least: float | None = None
    at_most: float | None = None
    ratio_at_least: float | None = None
    ratio_at_most: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Value / limit."""
        return self.value / self.limit if self.limit else None

    @property
    def target(self) -> str:
        """The goal in words; "" when there is none."""
        goals = (
            (">=", self.ratio_at_least, " x"),
            ("<=", self.ratio_at_most, " x"),
            (">=", self.at_least, f" {self.unit}"),
            ("<=", self.at_most, f" {self.unit}"),
        )
        return ", ".join(f"{sign} {_short(goal)}{unit}" for sign, goal, unit in goals if goal is not None)

    @property
    def met(self) -> bool | None:
        """Whether the goal was reached; None when there is none."""
        if not self.target:
            return None
        ratio = self.ratio or 0.0
        return (
            (self.ratio_at_least is None or ratio >= self.ratio_at_least)
            and (self.ratio_at_most is None or 0.0 < ratio <= self.ratio_at_most)
            and (self.at_least is None or self.value >= self.at_least)
            and (self.at_most is None or self.value <= self.at_most)
        )

    def line(self) -> str:
        """The figure as one line of the report."""
        limit = f"{_short(self.limit)} {self.unit} {self.limit_name}" if self.limit else ""
        ratio = f"{self.ratio:.2f} x" if self.ratio is not None else ""
        verdict = {True: "met", False: "MISSED", None: ""}[self.met]
        text = f"{self.name:<66} {_short(self.value):>9} {self.unit:<9} {ratio:>8} {limit:<34} {self.target:<22} {verdict:<6}"
        return f"{text} {self.note}".rstrip()


HEAD = f"{'figure':<66} {'value':>9} {'unit':<9} {'ratio':>8} {'limit in the same run':<34} {'target':<22}"


def report(figures: Iterable[Figure]) -> str:
    """The figures as a table."""
    return "\n".join(figure.line() for figure in figures)


def markdown(figures: Iterable[Figure]) -> str:
    """The figures as rows of the table in `docs/benchmarks.md`."""
    rows = []
    for one in figures:
        ratio = f"{one.ratio:.2f} × {one.limit_name} ({_short(one.limit)})" if one.limit else ""
        verdict = {True: "met", False: "**missed**", None: ""}[one.met]
        rows.append(f"| {one.name.strip()} | {_short(one.value)} {one.unit} | {ratio} | {one.target} | {verdict} |")
    return "\n".join(rows)


def machine() -> str:
    """The machine that the figures belong to."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        model = names[0] if names else model
    except OSError:
        pass
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{os.cpu_count()} shared cores, {model}, Python {platform.python_version()}, {platform.system()}{load}"


def _short(number: float | None) -> str:
    if number is None:
        return ""
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}" if number % 1 else f"{number:.0f}"
