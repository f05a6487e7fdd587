"""What changes of alarms leave behind for the roles that notify people, in the transaction that stores the change."""

from __future__ import annotations

from nexus_cli.database.connect import Connection
from nexus_cli.wire.alert import Alert


async def note(conn: Connection, site: str, alert: Alert) -> None:
    """Note that an alarm changed. Noting one twice is noting it once (site, name and `since` are its key)."""
