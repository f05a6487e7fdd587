"""The archive as text and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from nexus_cli.cli.views.sizes import size_text
from nexus_cli.database.archive_days import ArchivedDay
from nexus_cli.model.calendar import iso

if TYPE_CHECKING:
    from nexus_cli.archive.keeping import Checked, Restored

_HEAD = ("class", "day", "state", "rows", "files", "size", "")


def days_text(found: Sequence[ArchivedDay], *, zone: tzinfo | None) -> str:
    """One line a day, and what is to be known of it."""
    if not found:
        return "nothing is archived"
    rows = [
        (each.class_, str(each.day), each.state, f"{each.rows}", *_files(each), _note(each, zone)) for each in found
    ]
    widths = [max(len(row[at]) for row in (_HEAD, *rows)) for at in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (_HEAD, *rows)]
    return "\n".join(line.rstrip() for line in lines)


def _files(day: ArchivedDay) -> tuple[str, str]:
    files = day.manifest.get("files", ())
    return str(len(files)), size_text(sum(each["size"] for each in files))


def _note(day: ArchivedDay, zone: tzinfo | None) -> str:
    if day.error:
        return " ".join(day.error.split())[:160]
    return f"held until {iso(day.hold_until, zone)}" if day.held and day.hold_until is not None else ""


def day_json(day: ArchivedDay) -> dict[str, Any]:
    """One day as JSON; times in ISO 8601, UTC."""
    return {
        "class": day.class_,
        "day": str(day.day),
        "state": day.state,
        "rows": day.rows,
        "files": day.manifest.get("files", []),
        "error": day.error,
        **{
            name: None if moment is None else moment.isoformat()
            for name, moment in (
                ("verified", day.verified),
                ("dropped", day.dropped),
                ("hold_until", day.hold_until if day.held else None),
            )
        },
    }


def checked_text(found: Sequence[Checked]) -> str:
    """What is damaged, and a sentence."""
    lines = [
        f"{each.retention}  {each.day}  {problem}" + ("; it is archived again" if each.again else "")
        for each in found
        for problem in each.problems
    ]
    bad = sum(1 for each in found if each.problems)
    whole = f"{len(found) - bad} of {len(found)} days are whole, {sum(each.rows for each in found)} rows"
    return "\n".join([*lines, whole])


def restored_text(found: Sequence[Restored], *, until: str) -> str:
    """One line a day, and until when they are held."""
    lines = []
    for each in found:
        if each.unknown:
            lines.append(
                f"{each.retention}  {each.day}  left out: no such class is declared; declare it, apply, restore again"
            )
            continue
        skipped = f", {each.skipped} of series that are not known here" if each.skipped else ""
        lines.append(f"{each.retention}  {each.day}  {each.added} of {each.rows} rows added{skipped}")
    return "\n".join([*lines, f"held until {until}"])
