"""The tree as it is opened, and the search over everything."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated

import msgspec
from fastapi import FastAPI, Query, Response

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import route
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.rest.asking import described
from nexus_cli.runtime.web.rest.declared import Declared
from nexus_cli.runtime.web.rest.shown_tags import shown_tag
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.control import NO_NUL
from nexus_cli.wire.web_find import Branches, Hit, Hits

ROUTES = (route("GET", "/tree", "values:read"), route("GET", "/search", "values:read"))
MOST_HITS = 1000


def add_find_routes(app: FastAPI, *, base: str, parts: WebParts) -> None:
    """Add them."""
    declared = Declared()
    parts.jobs["search index"] = partial(declared.keep_ready, parts.keeper)

    @app.get(base + "/tree", responses=described(Branches))
    async def tree(
        path: Annotated[str, Query(max_length=500, description="`area`, `area/line` or `area/line/device`.")] = "",
        caller: Caller = CALLING,
    ) -> Response:
        """Children of a place, with their tags counted by quality; the areas without a path. As `nexus show`."""
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        places, known = declared.places(view), await parts.qualities.of(view)
        found = await asyncio.to_thread(places.children, path.strip("/"), rights.readable, known)
        if found is None:
            raise NexusError(f"There is no place '{path[:200]}' that you may read.", code="NX6802")
        return answer(Branches(children=found))

    @app.get(base + "/search", responses=described(Hits))
    async def search(
        q: Annotated[str, Query(max_length=200, pattern=NO_NUL, description="Words, all of which must be found.")] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_HITS)] = 50,
        caller: Caller = CALLING,
    ) -> Response:
        """Search path, description, unit, PLC address, labels and names of codes; the best finds first."""
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        index = await declared.index(view)
        hits, total = await asyncio.to_thread(index.find, q, rights.readable, limit=limit)
        return answer(Hits(hits=[_as_known(view, rights, hit) for hit in hits], total=total))


def _as_known(view: SiteView, rights: CallerRights, hit: Hit) -> Hit:
    """The find without what the caller may not know of: uses by tags and alerts that it may not see, and their names in expressions."""
    if rights.everything or hit.kind != "tag":
        return hit
    used_by = [use for use in hit.used_by if _may_know(view, rights, use)]
    device = view.device(view.by_path[hit.path].device) if hit.lineage.startswith("=") else None
    lineage = hit.lineage
    if device is not None:
        name = view.by_path[hit.path].name
        shown = shown_tag(view, rights, device.tags[name], device=device.path).expr
        lineage = f"= {shown}"
    return msgspec.structs.replace(hit, used_by=used_by, lineage=lineage)


def _may_know(view: SiteView, rights: CallerRights, use: str) -> bool:
    kind, _, name = use.partition(" ")
    if kind == "tag":
        return name in view.by_path and rights.may_read(view.by_path[name])
    return kind == "alert" and rights.may_hear(view.topics.alert(name))
