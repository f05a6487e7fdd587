"""The HTTP of the role web, behind its guard."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from nexus_cli import __version__
from nexus_cli.runtime.api.decisions import BASE
from nexus_cli.runtime.api.failures import FAILURE, add_handlers
from nexus_cli.runtime.api.request_guard import RequestGuard
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.routes.forwarding import add_forwarded_routes
from nexus_cli.runtime.web.routes.rights import DECISIONS
from nexus_cli.runtime.web.routes.steering import add_steering_routes
from nexus_cli.runtime.web.routes.values import add_value_routes


def make_api(parts: WebParts, *, health: Sequence[BaseRoute]) -> ASGIApp:
    """Every route, with those of the health."""
    app = FastAPI(
        title="NEXUS web",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses={"default": FAILURE},
        routes=list(health),
    )
    add_handlers(app, parts.refusals)
    add_value_routes(app, base=BASE, parts=parts)
    add_steering_routes(app, base=BASE, parts=parts)
    add_forwarded_routes(app, parts=parts)
    return RequestGuard(
        app,
        site=parts.settings.site,
        decisions=DECISIONS,
        gate=parts.callers,
        refusals=parts.refusals,
        stopping=parts.stopping,
    )
