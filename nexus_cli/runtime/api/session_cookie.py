"""The cookie of a browser's session: its value is a token, taken as if it had come in `Authorization`.

A browser sends a cookie with whatever another site makes it ask for; so who comes with one must show an `Origin` that is
this web's own. See docs/decisions/0079.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.types import Scope

COOKIE = "nexus-session"
LONGEST_ORIGIN = 300


def authorization_of(scope: Scope) -> tuple[str | None, bool]:
    """The `Authorization` of a request, and whether it is from the cookie; None when there is none, or more than one."""
    shown = _all(scope, b"authorization")
    if shown:
        return (shown[0] if len(shown) == 1 else None), False
    found = [
        value.strip()
        for line in _all(scope, b"cookie")
        for name, _, value in (part.partition("=") for part in line.split(";"))
        if name.strip() == COOKIE
    ]
    return (f"Bearer {found[0]}", True) if len(found) == 1 and found[0] else (None, False)


def is_same_origin(scope: Scope) -> bool:
    """Whether the page that asks was loaded from here: its `Origin` names the `Host` that was asked.

    Behind a proxy that ends TLS the page's scheme is https and ours is not; a page from http on a host that serves https
    is a stranger.
    """
    origins, hosts = _all(scope, b"origin"), _all(scope, b"host")
    if len(origins) != 1 or len(hosts) != 1 or len(origins[0]) > LONGEST_ORIGIN:
        return False
    try:
        parts = urlsplit(origins[0])
    except ValueError:
        return False
    encrypted = scope.get("scheme") in ("https", "wss")
    schemes = ("https",) if encrypted else ("http", "https")
    return parts.scheme in schemes and parts.netloc.lower() == hosts[0].strip().lower() and not parts.path


def _all(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for each, value in scope["headers"] if each == name]
