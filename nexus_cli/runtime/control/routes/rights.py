"""Which right each route needs, and how large its body may be: one table. A route that is not here is refused.

See docs/decisions/0072.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BASE = "/v1/sites/{enterprise}/{site}"
MIB = 2**20
SMALL_BODY = 64 * 1024
"""Default limit of a body, in bytes."""
LARGE_BODY = 64 * MIB
"""Limit of a deployment, in bytes: a first one of 41,000 tags is about 15 MB."""
NAMES_BODY = 2 * MIB
"""Limit of a list of names, in bytes: 20,000 of them."""
LOGIN_BODY = 16 * 1024
"""Limit of a login, in bytes: it is read for anybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a route needs.

    Attributes:
        method, path: As in `/openapi.json`.
        rights: One of these scopes; none: a valid token is enough.
        open: True needs no token at all.
        limit: Largest body, in bytes; 0 reads none.
    """

    method: str
    path: str
    rights: tuple[str, ...] = ()
    open: bool = False
    limit: int = SMALL_BODY


def _route(method: str, path: str, *rights: str, limit: int = SMALL_BODY, base: str = BASE) -> Decision:
    return Decision(method=method, path=base + path, rights=rights, limit=limit)


def _open(method: str, path: str, *, limit: int = 0, base: str = BASE) -> Decision:
    return Decision(method=method, path=base + path, open=True, limit=limit)


DECISIONS: tuple[Decision, ...] = (
    _open("GET", "/health/live", base=""),
    _open("GET", "/health/ready", base=""),
    _open("GET", "/metrics", base=""),
    _open("GET", "/status", base=""),
    _open("GET", "/openapi.json", base=""),
    _open("POST", "/login", limit=LOGIN_BODY),
    _open("GET", "/login/oidc"),
    _open("POST", "/login/oidc", limit=LOGIN_BODY),
    _route("POST", "/logout"),
    _route("GET", "/identity"),
    _route("GET", "/state", "state:read"),
    _route("POST", "/resources", "state:read", limit=NAMES_BODY),
    _route("GET", "/lock", "state:read"),
    _route("DELETE", "/lock", "lock:break"),
    _route("POST", "/deployments", "apply", limit=LARGE_BODY),
    _route("GET", "/deployments", "deployments:read"),
    _route("GET", "/deployments/{number}", "deployments:read"),
    _route("GET", "/gateways/{gateway}/index", "gateway:read", "state:read"),
    _route("POST", "/gateways/{gateway}/devices", "gateway:read", "state:read", limit=NAMES_BODY),
    _route("GET", "/alerts", "alerts:read"),
    _route("GET", "/alerts/{name}/changes", "alerts:read"),
    _route("POST", "/alerts/{name}/acknowledge", "alerts:ack"),
    _route("GET", "/audit", "audit:read"),
    _route("GET", "/sequences", "sequences:run", "state:read"),
    _route("GET", "/sequences/{name}", "sequences:run", "state:read"),
    _route("POST", "/sequences/{name}/runs", "sequences:run"),
    _route("GET", "/runs/{run}", "sequences:run", "state:read"),
    _route("POST", "/runs/{run}/abort", "sequences:run"),
    _route("GET", "/messages/{name}", "messages:publish", "state:read"),
    _route("POST", "/messages/{name}", "messages:publish"),
    _route("GET", "/access", "access:read"),
    _route("GET", "/access/tokens", "tokens:own", "access:read"),
    _route("POST", "/access/tokens", "tokens:own", "access:admin"),
    _route("DELETE", "/access/tokens/{token_id}", "tokens:own", "access:admin"),
    _route("GET", "/access/elevations", "access:read"),
    _route("POST", "/access/elevations", "access:admin"),
    _route("DELETE", "/access/elevations/{elevation_id}", "access:admin"),
    _route("POST", "/access/rotate", "access:admin"),
    _route("POST", "/access/signing-key", "access:admin"),
)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[^}]*\})", path)
    return re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts) + r"\Z")


_FIXED = {(each.method, each.path): each for each in DECISIONS if "{" not in each.path}
_PATTERNS = tuple((each, _pattern(each.path)) for each in DECISIONS if "{" in each.path)


def decision(method: str, path: str) -> Decision | None:
    """What a request needs; None when there is no such route. HEAD is as GET."""
    wanted = "GET" if method == "HEAD" else method
    found = _FIXED.get((wanted, path))
    if found is not None:
        return found
    return next((each for each, pattern in _PATTERNS if each.method == wanted and pattern.match(path)), None)


def site_of(path: str) -> str:
    """`enterprise/site` of a path; "" of one outside of `BASE`."""
    parts = path.split("/")
    return f"{parts[3]}/{parts[4]}" if path.startswith("/v1/sites/") and len(parts) > 5 else ""
