"""`python -m tests.chaos.figures REPORT.json ...` writes the figures of runs into docs/chaos.md."""

from __future__ import annotations

import json
import platform
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "chaos.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
HEAD = (
    "site",
    "seed",
    "minutes",
    "faults",
    "rows",
    "values in a row",
    "explained",
    "commands",
    "lives judged for leaks",
    "broken laws",
)


def table(reports: Sequence[Mapping[str, Any]]) -> str:
    """One line a run."""
    lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    return "\n".join([*lines, *(f"| {' | '.join(_cells(report))} |" for report in reports)])


def _cells(report: Mapping[str, Any]) -> list[str]:
    arguments, figures = report["arguments"], report["figures"]
    kinds = Counter(fault["kind"] for fault in report["faults"] if not fault["skipped"])
    broken = [f"{facts['breaches']:,} {law}" for law, facts in report["laws"].items() if facts["breaches"]]
    return [
        f"{arguments['site']}, {figures['tags']:,} tags",
        str(arguments["seed"]),
        f"{arguments['minutes']:g}",
        f"{sum(kinds.values())}: {_counted(kinds)}",
        f"{figures['rows']:,}",
        f"{figures['values in a row']:,}",
        _counted(figures["values explained"]),
        _counted(figures["commands"]),
        _counted(figures["lives judged for leaks"]),
        ", ".join(broken) or "none",
    ]


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items())) or "none"


def written(page: str, reports: Sequence[Mapping[str, Any]]) -> str:
    """The page with these figures instead of those that it had."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}."
    return f"{before}{BEGIN}\n\n{table(reports)}\n\n{machine}\n\n{END}{after}"


def main(argv: list[str]) -> int:
    """Write the page."""
    reports = [json.loads(Path(name).read_text()) for name in argv]
    PAGE.write_text(written(PAGE.read_text(), reports))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
