"""What a change of a retention class or of the archive does to the database."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.diagnostics.wording import duration
from nexus_cli.plan.change import Action, Attributes, Change

PLANE = "database"


def retention_lines(change: Change) -> Iterator[tuple[str, str]]:
    before, after = change.before or {}, change.after or {}
    if change.action is Action.CREATE:
        yield "database", f"table for class {change.name}, samples kept {duration(int(after.get('keep_ms', 0)))}"
    elif change.action is Action.FORGET:
        yield "database", f"the table stays; samples are kept {duration(int(before.get('keep_ms', 0)))} as before"
    elif before.get("keep_ms") != after.get("keep_ms"):
        yield (
            "database",
            f"samples kept {duration(int(before.get('keep_ms', 0)))} -> {duration(int(after.get('keep_ms', 0)))}",
        )
    if change.action is Action.UPDATE:
        yield from _policies(before, after)
    if change.action is not Action.FORGET:
        yield from _archived(change.name, before, after)


def _archived(name: str, before: Attributes, after: Attributes) -> Iterator[tuple[str, str]]:
    old, new = before.get("archive_after_ms"), after.get("archive_after_ms")
    if new is not None and old is None:
        yield (
            "database",
            f"days of class {name} go to the archive {duration(int(new))} after they end, before they are dropped",
        )
    elif old is not None and new is None:
        yield "database", f"class {name} is no longer archived: what is not there yet is dropped when its time is over"
        yield "database", f"what the archive has of class {name} stays there"
    elif old != new and old is not None and new is not None:
        yield (
            "database",
            f"days of class {name} go to the archive after {duration(int(new))} instead of {duration(int(old))}",
        )
    kept, keep = before.get("archive_keep_ms"), after.get("archive_keep_ms")
    if kept != keep and new is not None:
        span = "for ever" if keep is None else f"for {duration(int(keep))}"
        yield "database", f"the archive keeps days of class {name} {span}"


def archive_lines(change: Change) -> Iterator[tuple[str, str]]:
    before, after = change.before or {}, change.after or {}
    if change.action is Action.CREATE:
        yield (
            "database",
            f"old days go to {after.get('to')}; nothing of an archived class is dropped before it is there",
        )
    elif change.action is Action.FORGET:
        yield "database", f"nothing goes to {before.get('to')} any more; what is there stays"
    elif before.get("to") != after.get("to") or before.get("endpoint") != after.get("endpoint"):
        yield (
            "database",
            f"new days go to {after.get('to')}; move the days at {before.get('to')} there first",
        )


def _policies(before: Attributes, after: Attributes) -> Iterator[tuple[str, str]]:
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
