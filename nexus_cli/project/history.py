"""Stored values of a tag, for `nexus history`."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any

from nexus_cli.database.connect import Connection, connection
from nexus_cli.database.queries import sites
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.history.document import History
from nexus_cli.history.query import read_span, stored_history
from nexus_cli.history.statistics import Statistics, stored_statistics
from nexus_cli.settings import Settings, load_settings


async def history(
    path: str,
    *,
    since: str = "1h",
    until: str = "now",
    every: str | None = None,
    zone: tzinfo | None = None,
    now: datetime | None = None,
    settings: Settings | None = None,
    **more: Any,
) -> History:
    """Read a tag's stored values; arguments as of `stored_history`, the site is that of the settings, or the only one.

    Raises:
        NexusError: NX6200 to NX6203; NX6210 there is no such series; NX6211 the span or grid can't be used.
    """
    chosen, now = settings or load_settings(), now or datetime.now(UTC)
    read_span(since, until, every=every, zone=zone, now=now)  # a mistake is said before anything is connected
    question = {"since": since, "until": until, "every": every, "zone": zone, "now": now, **more}
    async with (
        connection(chosen, application="nexus-history") as conn,
        conn.transaction(isolation="repeatable_read", readonly=True),
    ):
        return await stored_history(conn, path, site=await site_of(conn, chosen), **question)


async def history_to_draw(path: str, **question: Any) -> History:
    """As `history`; more samples than its limit become buckets, as narrow as a plot can show, over the whole span."""
    return await history(path, drawn=True, **question)


async def statistics(path: str, *, settings: Settings | None = None, **question: Any) -> Statistics:
    """Statistics of a tag's stored values; arguments as of `stored_statistics`, site and errors as of `history`."""
    chosen = settings or load_settings()
    async with (
        connection(chosen, application="nexus-history") as conn,
        conn.transaction(isolation="repeatable_read", readonly=True),
    ):
        return await stored_statistics(conn, path, site=await site_of(conn, chosen), **question)


async def site_of(conn: Connection, settings: Settings) -> str:
    """The site of the settings, or the only one that is stored. Raises NexusError NX6210."""
    if settings.site:
        return settings.site
    found = await sites(conn)
    if len(found) != 1:
        raise NexusError(
            "Several sites are stored, and none was named." if found else "Nothing is stored yet.",
            code="NX6210",
            hint=f"set NEXUS_SITE to one of: {', '.join(found)}" if found else "apply a site first",
        )
    return found[0]
