"""Which right each route of control needs, and how large its body may be. A route that is not here is refused.

See docs/decisions/0072.
"""

from __future__ import annotations

from nexus_cli.runtime.api.decisions import LARGE_BODY, LOGIN_BODY, NAMES_BODY, Decisions, open_route, route

DECISIONS = Decisions(
    (
        open_route("GET", "/health/live", base=""),
        open_route("GET", "/health/ready", base=""),
        open_route("GET", "/metrics", base=""),
        open_route("GET", "/status", base=""),
        open_route("GET", "/openapi.json", base=""),
        open_route("POST", "/login", limit=LOGIN_BODY),
        open_route("GET", "/login/oidc"),
        open_route("POST", "/login/oidc", limit=LOGIN_BODY),
        route("POST", "/logout"),
        route("GET", "/identity"),
        route("GET", "/state", "state:read"),
        route("POST", "/resources", "state:read", limit=NAMES_BODY),
        route("GET", "/lock", "state:read"),
        route("DELETE", "/lock", "lock:break"),
        route("POST", "/deployments", "apply", limit=LARGE_BODY),
        route("GET", "/deployments", "deployments:read"),
        route("GET", "/deployments/{number}", "deployments:read"),
        route("GET", "/deployments/{number}/plan", "state:read"),
        route("GET", "/gateways/{gateway}/index", "gateway:read", "state:read"),
        route("POST", "/gateways/{gateway}/devices", "gateway:read", "state:read", limit=NAMES_BODY),
        route("GET", "/alerts", "alerts:read"),
        route("GET", "/alerts/{name}/changes", "alerts:read"),
        route("POST", "/alerts/{name}/acknowledge", "alerts:ack"),
        route("GET", "/audit", "audit:read"),
        route("GET", "/jobs", "state:read"),
        route("GET", "/jobs/stats", "state:read"),
        route("POST", "/jobs/retry", "apply"),
        route("POST", "/jobs/discard", "apply"),
        route("POST", "/dead-letters/discard", "apply"),
        route("GET", "/out-of-service", "devices:service", "state:read"),
        route("POST", "/devices/{path:path}/out-of-service", "devices:service"),
        route("DELETE", "/devices/{path:path}/out-of-service", "devices:service"),
        route("POST", "/retained/clear", "apply", limit=NAMES_BODY),
        route("GET", "/sequences", "sequences:run", "state:read"),
        route("GET", "/sequences/{name}", "sequences:run", "state:read"),
        route("POST", "/sequences/{name}/runs", "sequences:run"),
        route("GET", "/runs/{run}", "sequences:run", "state:read"),
        route("POST", "/runs/{run}/abort", "sequences:run"),
        route("GET", "/messages/{name}", "messages:publish", "state:read"),
        route("POST", "/messages/{name}", "messages:publish"),
        route("GET", "/access", "access:read"),
        route("GET", "/access/tokens", "tokens:own", "access:read"),
        route("POST", "/access/tokens", "tokens:own", "access:admin"),
        route("DELETE", "/access/tokens/{token_id}", "tokens:own", "access:admin"),
        route("GET", "/access/elevations", "access:read"),
        route("POST", "/access/elevations", "access:admin"),
        route("DELETE", "/access/elevations/{elevation_id}", "access:admin"),
        route("POST", "/access/rotate", "access:admin"),
        route("POST", "/access/signing-key", "access:admin"),
    )
)
