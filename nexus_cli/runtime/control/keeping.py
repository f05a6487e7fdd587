"""Ends the protection of series that are never dropped (`keep: always`), for a control that leads; recorded and audited.

See docs/decisions/0105.
"""

from __future__ import annotations

from nexus_cli.access.globs import matches_glob
from nexus_cli.database import deployments as db
from nexus_cli.database import kept_series as stored
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.settings import Settings
from nexus_cli.wire.control_kept import KeepEnded


class Keeping:
    """The protected series of a site."""

    def __init__(self, *, settings: Settings, pool: Pool) -> None:
        """Write with the leader's pool."""
        self._settings, self._pool = settings, pool

    async def end(self, path: str, *, caller: Caller) -> KeepEnded:
        """End the protection of the series at a path: from the next upkeep on its old samples go as its class says.

        Raises:
            NexusError: NX4115 its tag still declares `keep: always`, NX4116 nothing is protected there, NX6411 the
                caller's `apply` does not cover it; NX62xx the database is away. Nothing was changed.
        """
        if not caller.held.admin and not any(matches_glob(glob, path) for glob in caller.held.apply):
            raise NexusError(
                f"{caller.principal} may not end the protection of {path[:200]}.",
                code="NX6411",
                hint=f"`apply` of its roles covers {', '.join(caller.held.apply) or 'nothing'}",
            )
        site = self._settings.site
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn, conn.transaction():
                found = await stored.kept_series(conn, site=site, among=[path])
                if not found:
                    raise NexusError(f"No protected series has the path '{path[:200]}'.", code="NX4116")
                if found[0].declared:
                    raise NexusError(
                        f"{path} is declared with `keep: always`.",
                        code="NX4115",
                        hint="remove it from the site file and apply, then end it",
                    )
                await stored.end(conn, site=site, path=path)
                detail = {"since": found[0].since, "deployment": found[0].deployment, "retention": found[0].retention}
                await db.write_audit(conn, site, who=caller.principal, what="keep-end", subject=path, detail=detail)
        return KeepEnded(path=path)
