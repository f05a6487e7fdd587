"""The result of `nexus tail --record` as text."""

from __future__ import annotations

from nexus_cli.cli.views.sizes import size_text
from nexus_cli.project.record import RecordResult


def recorded_text(found: RecordResult, file: str) -> str:
    """One line for a recording, with what is not in it."""
    parts = [f"{found.messages:,} messages, {size_text(found.size_bytes)} in {found.took_s:.1f} s: {file}"]
    if found.dropped:
        parts.append(f"{found.dropped:,} dropped: the disk did not keep up, or larger than 32 MiB")
    if found.lost:
        parts.append(f"the connection was lost {found.lost} times; the file says when")
    return "\n".join(parts)
