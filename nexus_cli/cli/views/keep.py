"""Series that are never dropped as text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.wire.control_kept import KeptSeries

Style = Callable[[str, str], str]


def kept_text(found: Sequence[KeptSeries], *, style: Style, zone: tzinfo | None = None) -> str:
    """One series each, with what keeps it."""
    if not found:
        return "no series is protected: each is dropped as its class says"
    lines = []
    for one in found:
        since = clock_text(one.since, zone=zone)
        lines.append(f"{style(one.path, 'bold')}  since {since}  deployment {one.deployment}  class {one.retention}")
        if not one.declared:
            why = "no longer declared so" if one.active else "its tag is forgotten"
            lines.append(style(f"    {why}; protected until: nexus keep end {one.path}", "dim"))
    return "\n".join(lines)
