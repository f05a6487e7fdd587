"""Devices out of service as text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.diagnostics.printable import one_line
from nexus_cli.wire.control_steering import OutOfService

Style = Callable[[str, str], str]


def out_text(found: OutOfService, *, style: Style, zone: tzinfo | None = None) -> str:
    """Until when, and whether the gateway has closed the session."""
    until = clock_text(found.until, zone=zone)
    lines = [f"{style(found.device, 'bold')} is out of service until {until}"]
    if found.in_force:
        lines.append(f"  gateway {found.gateway} has closed its session")
    else:
        lines.append(style(f"  gateway {found.gateway} has not said yet that the session is closed", "warning"))
        lines.append("  = hint: `nexus device list` shows when it has; `nexus status` whether the gateway runs")
    return "\n".join(lines)


def listing_text(found: Sequence[OutOfService], *, style: Style, zone: tzinfo | None = None) -> str:
    """One device each, with who and why below it."""
    if not found:
        return "every device is in service"
    lines = []
    for one in found:
        since, until = clock_text(one.since, zone=zone), clock_text(one.until, zone=zone)
        where = f"gateway {one.gateway}" if one.gateway else "not recorded any more"
        state = "" if one.in_force else style("  not confirmed by its gateway", "warning")
        lines.append(f"{style(one.device, 'bold')}  {since} to {until}  {where}{state}")
        lines.append(style(f"    {one_line(one.who)}: {one_line(one.reason)}", "dim"))
    return "\n".join(lines)
