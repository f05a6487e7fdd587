"""Routes: `/messages` with their fields, `/messages/{name}/preview` and `/permissions`. What publishes is control's."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Response

from nexus_cli.runtime.api.bodies import Name, answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import NAMES_BODY, Decision, route
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.procedures.messages import listed, preview
from nexus_cli.runtime.web.procedures.permissions import permissions
from nexus_cli.wire.web_procedures import PreviewRequest

ROUTES: tuple[Decision, ...] = (
    route("GET", "/messages", "messages:publish", "state:read"),
    route("POST", "/messages/{name}/preview", "messages:publish", "state:read", limit=NAMES_BODY),
    route("GET", "/permissions"),
)
"""Which right each of these routes needs."""


def add_procedure_routes(app: FastAPI, *, base: str, parts: WebParts) -> None:
    """Add them."""
    request = Depends(reader(PreviewRequest))

    @app.get(base + "/messages")
    async def messages(caller: Caller = CALLING) -> Response:
        return answer(await asyncio.to_thread(listed, parts.keeper.view, caller))

    @app.post(base + "/messages/{name}/preview", openapi_extra=documented(PreviewRequest))
    async def preview_of(name: Name, caller: Caller = CALLING, body: PreviewRequest = request) -> Response:
        # A pattern of the site's own schema may take long; it must not hold up the loop.
        return answer(await asyncio.to_thread(preview, parts.keeper.view, caller, name, body))

    @app.get(base + "/permissions")
    async def permissions_of(
        device: Annotated[str, Query(max_length=500, pattern=r"^[^\x00]*$")] = "", caller: Caller = CALLING
    ) -> Response:
        return answer(await asyncio.to_thread(permissions, parts.keeper.view, caller, device=device))
