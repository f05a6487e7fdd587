"""Whether a database that was given can do what is needed, asked before anything is started."""

from __future__ import annotations

from nexus_cli.database.connect import connection
from nexus_cli.database.errors import pooled, read_only
from nexus_cli.settings import Settings

READ_ONLY = "SELECT current_setting('transaction_read_only') = 'on'"
"""True on a standby, and where default_transaction_read_only is set."""


async def require_able(settings: Settings) -> None:
    """Raise unless the server takes writes and gives every connection a session of its own.

    A pooler in transaction mode assigns a session to a client only for a transaction. So one connection asks for its
    session's id, a second one opens a transaction, and the first asks again: it must have kept its own.

    Raises:
        NexusError: NX6206 it is read-only, NX6207 a pooler is in between; NX6200 to NX6203 it can't be reached.
    """
    async with connection(settings, application="nexus-up") as first:
        if await first.fetchval(READ_ONLY):
            raise read_only(settings, cause="transaction_read_only is on")
        own = await first.fetchval("SELECT pg_backend_pid()")
        async with connection(settings, application="nexus-up") as second, second.transaction():
            other = await second.fetchval("SELECT pg_backend_pid()")
            if own == other or await first.fetchval("SELECT pg_backend_pid()") != own:
                raise pooled(settings, cause="sessions change from one statement to the next")
