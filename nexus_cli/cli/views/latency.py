"""The result of `nexus latency` as text."""

from __future__ import annotations

from nexus_cli.cli.console import style
from nexus_cli.cli.views.escaped import escaped
from nexus_cli.wire.latency_health import LatencyRow, LatencyTable

NUMBERS = ("count", "p50", "p95", "p99", "max")


def render_latency(found: LatencyTable, *, colour: bool) -> str:
    """A line for each operation and window; a process and an operation are named once."""
    found = escaped(found)
    if not found.rows:
        return "\n".join(["nothing that answers has latencies", *_missing(found, colour)])
    rows: list[tuple[str, ...]] = [("process", "operation", "window", *NUMBERS)]
    before: tuple[str, str] = ("", "")
    for row in found.rows:
        process = f"{row.role} {row.name}" if row.name != row.role else row.role
        rows.append(
            (
                process if process != before[0] else "",
                row.operation if (process, row.operation) != before else "",
                row.window,
                *_numbers(row),
            )
        )
        before = process, row.operation
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ["  ".join(_cell(text, widths[at], at) for at, text in enumerate(row)).rstrip() for row in rows]
    return "\n".join([style(lines[0], "dim", enabled=colour), *lines[1:], *_missing(found, colour)])


def _missing(found: LatencyTable, colour: bool) -> list[str]:
    return [style(one, "warning", enabled=colour) for one in found.missing]


def _cell(text: str, width: int, at: int) -> str:
    return text.ljust(width) if at < 3 else text.rjust(width)


def _numbers(row: LatencyRow) -> tuple[str, ...]:
    if not row.count:
        return ("0", *("-" for _ in NUMBERS[1:]))
    return (f"{row.count:,}", *map(time_text, (row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms)))


def time_text(ms: float) -> str:
    """A time with three digits: `0.85 µs`, `412 µs`, `3.25 ms`, `1.2 s`, `4,210 s`."""
    for factor, unit in ((1000.0, "µs"), (1.0, "ms")):
        if ms * factor < 999.5:
            return f"{ms * factor:.3g} {unit}"
    return f"{ms / 1000:.3g} s" if ms < 999_500 else f"{ms / 1000:,.0f} s"
