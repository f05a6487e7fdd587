"""Times on the command line."""

from __future__ import annotations

from datetime import datetime, tzinfo

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model import calendar


def parse_moment(text: str, *, now: datetime, zone: tzinfo | None = None) -> datetime:
    """A moment as every command reads it, UTC; without an offset it is on the clocks of `zone` (None: this machine's).

    Raises:
        NexusError: NX6211.
    """
    try:
        return calendar.parse_moment(text, now=now, zone=zone)
    except ValueError:
        raise NexusError(f"'{text}' is not a time.", code="NX6211", hint=calendar.MOMENT_HINT) from None
