"""Every route of i3X, added to web's application."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from nexus_cli.runtime.api.decisions import NAMES_BODY, open_route, route
from nexus_cli.runtime.web.i3x.commanding import CommandSender
from nexus_cli.runtime.web.i3x.envelopes import BASE, Problem, failed, one
from nexus_cli.runtime.web.i3x.explore_routes import add_explore_routes
from nexus_cli.runtime.web.i3x.object_types import server_info
from nexus_cli.runtime.web.i3x.query_routes import add_query_routes
from nexus_cli.runtime.web.i3x.spaces import Spaces
from nexus_cli.runtime.web.i3x.subscribe_routes import add_subscribe_routes
from nexus_cli.runtime.web.i3x.subscriptions.keeper import SubscriptionKeeper
from nexus_cli.runtime.web.i3x.update_routes import add_update_routes, corrects_history, writes_values
from nexus_cli.runtime.web.parts import WebParts

_READ = "values:read"
I3X_ROUTES = (
    open_route("GET", "/info", base=BASE),
    *(
        route("GET", path, _READ, base=BASE)
        for path in ("/namespaces", "/objecttypes", "/relationshiptypes", "/objects")
    ),
    *(
        route("POST", path, _READ, limit=NAMES_BODY, base=BASE)
        for path in (
            "/objecttypes/query",
            "/relationshiptypes/query",
            "/objects/list",
            "/objects/related",
            "/objects/value",
            "/objects/history",
            "/subscriptions/register",
            "/subscriptions/unregister",
        )
    ),
    *(
        route("POST", path, _READ, base=BASE)
        for path in (
            "/subscriptions",
            "/subscriptions/list",
            "/subscriptions/delete",
            "/subscriptions/sync",
            "/subscriptions/stream",
        )
    ),
    route("PUT", "/objects/value", "values:write", limit=NAMES_BODY, base=BASE),
    route("PUT", "/objects/history", "values:write", limit=NAMES_BODY, base=BASE),
)
"""What each of them needs."""


def add_i3x_routes(app: FastAPI, parts: WebParts, *, send: CommandSender | None = None) -> SubscriptionKeeper:
    """Add them; `send` writes values. The subscriptions want to be looked after (`run`)."""
    spaces = Spaces(parts)
    keeper = SubscriptionKeeper(parts, spaces)
    writes, corrections = writes_values(parts, send), corrects_history(parts)

    @app.get(BASE + "/info")
    async def info() -> Response:
        return one(server_info(site=parts.settings.site, writes=writes, corrections=corrections))

    async def on_problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)  # registered only for this class
        return failed(error)

    app.add_exception_handler(Problem, on_problem)
    add_explore_routes(app, spaces)
    add_query_routes(app, spaces, parts)
    add_update_routes(app, spaces, parts, send)
    add_subscribe_routes(app, spaces, parts, keeper)
    return keeper
