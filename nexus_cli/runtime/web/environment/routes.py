"""Routes: `/environment` and `/views`."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Response

from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.environment.views import views_for
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.wire.web_environment import Environment, ShownViews


def add_environment_routes(app: FastAPI, *, base: str, parts: WebParts) -> None:
    """Add them."""
    said = Environment(kind=parts.settings.environment, detail=parts.settings.environment_detail)

    @app.get(base + "/environment")
    async def environment() -> Response:
        return answer(said)

    @app.get(base + "/views")
    async def views(caller: Caller = CALLING) -> Response:
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        # Roles that name their tags one by one have a filter for each.
        return answer(ShownViews(views=await asyncio.to_thread(views_for, view, rights)))
