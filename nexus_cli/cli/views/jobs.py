"""Jobs as text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

from nexus_cli.wire.jobs import Job, JobStats

_HEAD = ("id", "kind", "state", "tries", "created", "due", "reason")
_STATS = ("kind", "queued", "planned", "running", "failed", "oldest", "done", "again", "given up", "p50", "p95")


def jobs_text(found: Sequence[Job], *, zone: tzinfo | None) -> str:
    """One line a job, the newest first."""
    if not found:
        return "no jobs"
    rows = [
        (
            str(each.id),
            each.kind,
            each.state,
            str(each.attempts),
            _clock(each.created, zone),
            _clock(each.due, zone) if each.state == "queued" else "",
            " ".join(each.reason.split())[:120],
        )
        for each in found
    ]
    return columns(_HEAD, rows)


def stats_text(stats: JobStats) -> str:
    """One line a kind; what ended is of the last minutes that the last line names."""
    if not stats.kinds:
        return "no jobs"
    rows = [
        (
            each.kind,
            *(str(count) for count in (each.queued, each.planned, each.running, each.failed)),
            f"{each.oldest_s:.1f} s" if each.queued else "",
            *(str(count) for count in (each.done, each.tried_again, each.given_up)),
            f"{each.p50_ms:g} ms" if each.done else "",
            f"{each.p95_ms:g} ms" if each.done else "",
        )
        for each in stats.kinds
    ]
    return f"{columns(_STATS, rows)}\ndone, again, given up, p50, p95: last {stats.span_s // 60} minutes"


def _clock(time_us: int, zone: tzinfo | None) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).astimezone(zone).strftime("%m-%d %H:%M:%S")


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A head and rows, each column as wide as its widest cell."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return "\n".join(line.rstrip() for line in lines)
