"""Messages that the historian could not store, for `nexus dead-letters`."""

from __future__ import annotations

from nexus_cli.database.connect import connection
from nexus_cli.database.records import StoredLetter, dead_letters_before
from nexus_cli.project.history import site_of
from nexus_cli.settings import Settings, load_settings


async def dead_letters(
    *, topic: str = "", reason: str = "", limit: int = 50, settings: Settings | None = None
) -> list[StoredLetter]:
    """The newest first.

    Args:
        topic: Only of this topic, or of topics below it.
        reason: Only of this reason.
        limit: At most so many.
        settings: Instead of those of this folder; its site, or the only one that is stored.

    Raises:
        NexusError: NX6200 to NX6203; NX6210 no site is named, and there is not exactly one.
    """
    chosen = settings or load_settings()
    async with (
        connection(chosen, application="nexus-dead-letters") as conn,
        conn.transaction(isolation="repeatable_read", readonly=True),
    ):
        site = await site_of(conn, chosen)
        return await dead_letters_before(conn, site=site, limit=limit, reason=reason, topic=topic.strip("/"))
