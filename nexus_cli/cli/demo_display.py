"""How `nexus demo` shows its progress: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nexus_cli.cli.console import colour_wanted, note, rich_console
from nexus_cli.cli.views.tail import TailView
from nexus_cli.project.demo import Reporter
from nexus_cli.project.live_value import Live

TITLES = {
    "devices": "devices as real servers",
    "runtime": "broker, database and roles",
    "plan": "plan",
    "apply": "apply",
    "values": "live values",
    "rows": "rows in the historian",
}


@contextmanager
def reporting() -> Iterator[Reporter]:
    """Report progress on stderr for the length of a block."""
    if sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _lines()


def _lines() -> Reporter:
    view = TailView(colour=False)
    quarters: dict[str, int] = {}

    def step(name: str, state: str, detail: str) -> None:
        if name in TITLES:
            note(f"{TITLES[name]}: {detail or '...'}")
        elif state in ("running", "backoff"):
            note(f"  {name}: {state}" + (f" ({detail})" if detail and state == "backoff" else ""))

    def progress(name: str, done: int, total: int) -> None:
        quarter = 4 * done // max(total, 1)
        if quarters.get(name, 0) != quarter:
            quarters[name] = quarter
            note(f"  {done} of {total}")

    def live(value: Live) -> None:
        note("  " + view.line(value))

    return Reporter(step=step, progress=progress, live=live)


@contextmanager
def _bars() -> Iterator[Reporter]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn  # noqa: PLC0415 - rich: only on a terminal
    from rich.text import Text  # noqa: PLC0415 - rich: only on a terminal

    columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description:28}"), BarColumn(bar_width=24))
    bars = Progress(
        *columns, MofNCompleteColumn(), TextColumn("{task.fields[detail]}"), console=rich_console(stderr=True)
    )
    tasks: dict[str, Any] = {}
    view = TailView(colour=colour_wanted(sys.stderr))

    def step(name: str, state: str, detail: str) -> None:
        if name not in TITLES:
            if "runtime" in tasks:
                bars.update(tasks["runtime"], detail=f"{name} {state}")
        elif name not in tasks:
            tasks[name] = bars.add_task(TITLES[name], total=1, detail=detail)
        else:
            total = bars.tasks[tasks[name]].total or 1
            bars.update(tasks[name], completed=total, detail=detail)

    def progress(name: str, done: int, total: int) -> None:
        bars.update(tasks[name], completed=done, total=total)

    def live(value: Live) -> None:
        bars.console.print(Text.from_ansi("  " + view.line(value)))

    with bars:
        yield Reporter(step=step, progress=progress, live=live)
