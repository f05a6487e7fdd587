"""Where something is that was renamed: links and ids with its former path still lead to it."""

from __future__ import annotations

from fastapi import FastAPI, Response

from nexus_cli.database.connect import plain_errors
from nexus_cli.database.former_names import with_levels
from nexus_cli.database.former_paths import former_paths
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import route
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.rest.asking import PlantPath, described
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.web_renamed import Renamed

ROUTES = (route("GET", "/renamed/{path:path}", "values:read"),)


def add_renamed_routes(app: FastAPI, *, base: str, parts: WebParts) -> None:
    """Add it."""

    @app.get(base + "/renamed/{path:path}", responses=described(Renamed))
    async def renamed(path: PlantPath, caller: Caller = CALLING) -> Response:
        """The present path of a tag, a device, a line or an area that was renamed. The page follows its former links with it."""
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        with plain_errors(parts.settings):
            async with parts.pool.acquire() as conn:
                known = with_levels(await former_paths(conn, site=parts.settings.site))
        now = known.get(path)
        if now is None or not _readable(view, rights, now):
            raise NexusError(f"Nothing that you may read was called '{path[:200]}'.", code="NX6802")
        return answer(Renamed(former=path, path=now))


def _readable(view: SiteView, rights: CallerRights, path: str) -> bool:
    """Whether the caller may read something at or below a path."""
    below = (tag for tag in view.tags if tag.path == path or tag.path.startswith(f"{path}/"))
    return any(rights.may_read(tag) for tag in below)
