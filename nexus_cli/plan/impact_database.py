"""What a change of a retention class does to its tables: rollups and compression."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.diagnostics.wording import duration
from nexus_cli.plan.change import Attributes

PLANE = "database"


def policies(before: Attributes, after: Attributes) -> Iterator[tuple[str, str]]:
    """Plane and text for each rollup that comes or goes, and for compression that changes."""
    old, new = list(before.get("rollups") or ()), list(after.get("rollups") or ())
    if made := [each for each in new if each not in old]:
        yield PLANE, f"rollups of {', '.join(made)} are made, of the samples that are there, too"
    if gone := [each for each in old if each not in new]:
        yield PLANE, f"rollups of {', '.join(gone)} are dropped; they can be made again from the samples that are kept"
    was, now = before.get("compress_after_ms"), after.get("compress_after_ms")
    if was != now:
        yield (
            PLANE,
            "chunks are no longer compressed" if now is None else f"chunks are compressed after {duration(int(now))}",
        )
