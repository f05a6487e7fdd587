"""Purges as text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.cli.views.jobs import columns
from nexus_cli.diagnostics.wording import counted
from nexus_cli.wire.control_purges import ForgottenSeries, Purge, PurgePreview

SHOWN = 20
"""Series that are listed; more are counted."""


def preview_text(found: PurgePreview, *, zone: tzinfo | None) -> str:
    """What would go: a line a series, then the sum, and what stays."""
    going = [each for each in found.series if not each.protected]
    kept = [each for each in found.series if each.protected]
    lines = []
    if going:
        lines = columns(
            ("series", "samples", "oldest", "newest"), [_cells(each, zone) for each in going[:SHOWN]]
        ).split("\n")
    if len(going) > SHOWN:
        lines.append(f"… and {len(going) - SHOWN:,} more (--format json shows all)")
    known = sum(each.samples or 0 for each in going)
    unknown = sum(each.samples is None for each in going)
    more = f", and those of {unknown:,} that could not be counted in time" if unknown else ""
    lines.append(f"{_series(len(going))} with {counted(known, 'sample')}{more}")
    if days := max((each.archived_days for each in going), default=0):
        lines.append(f"{counted(days, 'archived day')} may hold samples of them and keep them: `nexus archive list`")
    if kept:
        lines.append(f"stays: {_series(len(kept))} protected by `keep: always` ({kept[0].path}{_more(kept)})")
    if found.living:
        lines.append(f"stays: {_series(len(found.living))} of declared tags ({found.living[0]}{_more(found.living)})")
    return "\n".join(lines)


def purge_text(found: Purge, *, zone: tzinfo | None) -> str:
    """One purge, one fact a line."""
    left = f", {found.left:,} left: declared again or protected" if found.left else ""
    facts = {
        "id": found.id,
        "who": found.who,
        "why": found.why,
        "selectors": " ".join(found.selectors),
        "state": found.state,
        "reason": found.reason,
        "removed": f"{found.removed:,} of {_series(found.series)}{left}; {counted(found.samples, 'sample')}",
        "created": clock_text(found.created, zone=zone),
        "begun": "" if found.begun is None else clock_text(found.begun, zone=zone),
        "ended": "" if found.ended is None else clock_text(found.ended, zone=zone),
    }
    return "\n".join(f"{name:<9}  {value}" for name, value in facts.items() if value)


def purges_text(found: Sequence[Purge], *, zone: tzinfo | None) -> str:
    """One line a purge, the newest first."""
    if not found:
        return "no purges"
    head = ("id", "state", "series", "samples", "who", "created", "selectors")
    return columns(
        head,
        [
            (
                each.id,
                each.state,
                f"{each.removed:,}/{each.series:,}",
                f"{each.samples:,}",
                each.who,
                clock_text(each.created, zone=zone),
                " ".join(each.selectors)[:60],
            )
            for each in found
        ],
    )


def _cells(found: ForgottenSeries, zone: tzinfo | None) -> tuple[str, ...]:
    times = ("" if each is None else clock_text(each, zone=zone) for each in (found.first, found.last))
    return (found.path, "not counted" if found.samples is None else f"{found.samples:,}", *times)


def _series(number: int) -> str:
    return f"{number:,} series"


def _more(names: Sequence[object]) -> str:
    return f" and {len(names) - 1:,} more" if len(names) > 1 else ""
