"""Whom an alarm reached: the messages of one occurrence, and what became of each."""

from __future__ import annotations

from nexus_cli.database.connect import Connection
from nexus_cli.database.notices import HAPPENED
from nexus_cli.wire.control_alarms import Notified

MOST = 200


async def told(conn: Connection, site: str, *, alert: str, occurrence: int) -> list[Notified]:
    """Messages of an occurrence (when the alarm became active, µs since 1970 UTC), in the order in which they began; at most `MOST`."""
    rows = await conn.fetch(
        """SELECT step, channel, state, tries, detail,
                  (extract(epoch FROM coalesce(sent, begun)) * 1000000)::bigint AS at
           FROM nexus.notification WHERE site = $1 AND alert = $2 AND occurrence = $3 AND channel <> $4
           ORDER BY begun, channel LIMIT $5""",
        *(site, alert, occurrence, HAPPENED, MOST),
    )
    return [Notified(**dict(row)) for row in rows]
