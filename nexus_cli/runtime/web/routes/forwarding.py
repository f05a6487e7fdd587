"""Routes that control serves: web's guard looks at the right and at the size, control looks again, and answers.

Deployments and rollouts are read, confirmed, stopped and taken back, and not made: `apply` stays with the command line and CI, which have the plan. Passwords and the signing
key are renewed beside control. See docs/decisions/0077.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import FastAPI, Request, Response

from nexus_cli.runtime.api.decisions import LOGIN_BODY, NAMES_BODY, OIDC_BODY, Decision, open_route, route
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.steering.forwarding import Handover

FORWARDED: tuple[Decision, ...] = (
    open_route("POST", "/login", limit=LOGIN_BODY),
    open_route("GET", "/login/oidc"),
    open_route("POST", "/login/oidc", limit=OIDC_BODY),
    route("POST", "/logout"),
    route("GET", "/identity"),
    route("GET", "/state", "state:read"),
    route("GET", "/lock", "state:read"),
    route("DELETE", "/lock", "lock:break"),
    route("GET", "/deployments", "deployments:read"),
    route("GET", "/deployments/{number}", "deployments:read"),
    route("GET", "/deployments/{number}/plan", "state:read"),
    route("GET", "/deployments/{number}/review", "state:read"),
    route("POST", "/deployments/{number}/confirm", "apply"),
    route("POST", "/deployments/{number}/rollback", "apply"),
    route("GET", "/rollouts", "deployments:read"),
    route("GET", "/rollouts/{number}", "deployments:read"),
    route("POST", "/rollouts/{number}/stop", "apply"),
    route("POST", "/rollouts/{number}/resume", "apply"),
    route("POST", "/rollouts/{number}/rollback", "apply"),
    route("GET", "/drift/reports", "state:read"),
    route("GET", "/alerts", "alerts:read"),
    route("GET", "/alerts/{name}/changes", "alerts:read"),
    route("GET", "/alerts/journal", "alerts:read"),
    route("GET", "/alerts/kpi", "alerts:read"),
    route("GET", "/alerts/{name}/why", "alerts:read"),
    route("POST", "/alerts/{name}/acknowledge", "alerts:ack"),
    route("POST", "/alerts/{name}/shelve", "alerts:ack"),
    route("POST", "/alerts/{name}/unshelve", "alerts:ack"),
    route("POST", "/alerts/{name}/out-of-service", "alerts:ack"),
    route("POST", "/alerts/{name}/in-service", "alerts:ack"),
    route("GET", "/audit", "audit:read"),
    route("GET", "/audit/head", "audit:read"),
    route("POST", "/audit/verify", "audit:read", limit=NAMES_BODY),
    route("GET", "/jobs", "state:read"),
    route("GET", "/jobs/stats", "state:read"),
    route("POST", "/jobs/retry", "apply"),
    route("POST", "/jobs/discard", "apply"),
    route("POST", "/dead-letters/retry", "apply"),
    route("POST", "/dead-letters/discard", "apply"),
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
    route("GET", "/out-of-service", "devices:service", "state:read"),
    route("POST", "/devices/{path:path}/out-of-service", "devices:service"),
    route("DELETE", "/devices/{path:path}/out-of-service", "devices:service"),
    route("POST", "/retained/clear", "apply", limit=NAMES_BODY),
    route("GET", "/kept", "state:read"),
    route("DELETE", "/kept/{path:path}", "apply"),
)
"""As in control's own table."""


def add_forwarded_routes(app: FastAPI, *, parts: WebParts) -> None:
    """Add them."""

    async def hand_over(request: Request) -> Response:
        return Handover(request, await request.body(), forwarder=parts.forwarder, stopping=parts.stopping)

    for each in FORWARDED:
        app.add_api_route(
            each.path, hand_over, methods=[each.method], name=_name(each), operation_id=_name(each), tags=["control"]
        )


def _name(each: Decision) -> str:
    return "_".join([each.method.lower(), *_words(each.path)])


def _words(path: str) -> Iterator[str]:
    """The levels of a path behind the site, as words."""
    for level in path.split("/")[5:]:
        yield level.strip("{}").replace("-", "_").removesuffix(":path")
