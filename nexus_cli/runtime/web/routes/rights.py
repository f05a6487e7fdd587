"""Which right each route of web needs, and how large its body may be. A route that is not here is refused.

See docs/decisions/0072.
"""

from __future__ import annotations

from nexus_cli.runtime.api.decisions import NAMES_BODY, Decisions, open_route, route
from nexus_cli.runtime.web.environment.rights import DECISIONS as ENVIRONMENT
from nexus_cli.runtime.web.i3x.routes import I3X_ROUTES
from nexus_cli.runtime.web.page import logins, serving
from nexus_cli.runtime.web.procedures.routes import ROUTES as PROCEDURES
from nexus_cli.runtime.web.rest.rights import ROUTES as REST
from nexus_cli.runtime.web.routes.forwarding import FORWARDED
from nexus_cli.runtime.web.routes.steering import STEERING
from nexus_cli.runtime.web.socket.sockets import SOCKET_PATH

DECISIONS = Decisions(
    (
        open_route("GET", "/health/live", base=""),
        open_route("GET", "/health/ready", base=""),
        open_route("GET", "/metrics", base=""),
        open_route("GET", "/status", base=""),
        open_route("GET", "/openapi.json", base=""),
        route("GET", "/values/{path:path}", "values:read"),
        route("POST", "/values", "values:read", limit=NAMES_BODY),
        *PROCEDURES,
        *REST,
        route("GET", SOCKET_PATH, "values:read", limit=0),
        *serving.DECISIONS,
        *logins.DECISIONS,
        *ENVIRONMENT,
        *STEERING,
        *I3X_ROUTES,
        *FORWARDED,
    )
)
