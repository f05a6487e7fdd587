"""Exports as text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.cli.views.jobs import columns
from nexus_cli.wire.web_exports import Export

_HEAD = ("id", "who", "state", "tags", "rows", "MB", "format", "created", "expires", "what")


def exports_text(found: Sequence[Export], *, zone: tzinfo | None) -> str:
    """One line an export, the newest first."""
    if not found:
        return "no exports"
    return columns(_HEAD, [_cells(each, zone) for each in found])


def export_text(found: Export, *, zone: tzinfo | None) -> str:
    """One export, one fact a line."""
    facts = {
        "id": found.id,
        "who": found.who,
        "state": found.state,
        "reason": found.reason,
        "what": _what(found),
        "from": _clock(found.start, zone),
        "to": _clock(found.end, zone),
        "tags": str(found.tags),
        "format": found.format,
        "created": _clock(found.created, zone),
        "begun": _clock(found.begun, zone),
        "ended": _clock(found.ended, zone),
        "expires": _clock(found.expires, zone),
        "rows": str(found.rows) if found.sha256 else "",
        "size": f"{found.size} bytes" if found.sha256 else "",
        "sha256": found.sha256,
    }
    return "\n".join(f"{name:<8}  {value}" for name, value in facts.items() if value)


def _cells(found: Export, zone: tzinfo | None) -> tuple[str, ...]:
    done = bool(found.sha256)
    return (
        found.id,
        found.who,
        found.state,
        str(found.tags),
        str(found.rows) if done else "",
        f"{found.size / 1e6:.1f}" if done else "",
        found.format,
        _clock(found.created, zone),
        _clock(found.expires, zone),
        " ".join((found.reason or _what(found)).split())[:80],
    )


def _what(found: Export) -> str:
    return ", ".join(found.selectors) or "**"


def _clock(time_us: int | None, zone: tzinfo | None) -> str:
    return "" if time_us is None else clock_text(time_us, zone=zone)
