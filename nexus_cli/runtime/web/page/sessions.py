"""Sessions of people in a browser: a cookie holds control's session token, and no script of any page can read it.

A browser sends the cookie by itself, no matter who made it ask. So a request that shows only the cookie has to come from our own
page: `Origin` is this address, and each request but GET and HEAD carries a header that no form and no foreign page can set.
Everything about that is here, for HTTP and for the WebSocket.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from fastapi import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.decisions import BASE
from nexus_cli.runtime.api.failures import on_failure, refuse_socket

COOKIE = "nexus-session"
CSRF_HEADER = b"x-nexus-csrf"
READING = ("GET", "HEAD")
_TOKEN = re.compile(r"[A-Za-z0-9_.\-]{1,8192}\Z")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def path_of(site: str) -> str:
    """The cookie's path: two sites on one machine keep their sessions apart, and i3X never sees one."""
    enterprise, _, name = site.partition("/")
    return BASE.replace("{enterprise}", enterprise).replace("{site}", name)


def cookie_of(scope: Scope) -> str:
    """The session token that the cookie shows; "" without one, and when there are two (another site may have set one)."""
    found = named_cookie(scope, COOKIE)
    return found if _TOKEN.match(found) else ""


def named_cookie(scope: Scope, name: str) -> str:
    """The value of a cookie; "" without one, and when there are two."""
    found: list[str] = []
    for header, value in scope["headers"]:
        if header == b"cookie":
            for each in value.decode("latin-1").split(";"):
                key, _, said = each.strip().partition("=")
                if key == name:
                    found.append(said.strip('"'))
    return found[0] if len(found) == 1 else ""


def with_session(scope: Scope) -> Scope:
    """The scope as if its cookie were an `Authorization` header; the same one when it has that header, or no cookie.

    Raises:
        NexusError: NX6950, a request that changes something, or a WebSocket, does not come from our own page.
    """
    headers = scope["headers"]
    if any(name == b"authorization" for name, _ in headers):
        return scope
    token = cookie_of(scope)
    if not token:
        return scope
    if scope["type"] == "websocket":
        require_own_page(scope, header=False)
    elif scope["method"] not in READING:
        require_own_page(scope)
    return {**scope, "headers": [*headers, (b"authorization", f"Bearer {token}".encode())]}


def require_own_page(scope: Scope, *, header: bool = True) -> None:
    """Refuse what another page may have made the browser ask.

    Args:
        scope: Of the request.
        header: Whether `X-Nexus-CSRF` is needed too; a browser's WebSocket can set no header.

    Raises:
        NexusError: NX6950.
    """
    known = dict(scope["headers"])
    origin = known.get(b"origin", b"").decode("latin-1")
    if not origin:
        raise _refused("it names no Origin")
    if not _same(origin, known.get(b"host", b"").decode("latin-1"), scope.get("scheme", "http")):
        raise _refused(f"its Origin is {origin[:200]!r}")
    if header and known.get(CSRF_HEADER) != b"1":
        raise _refused("the header X-Nexus-CSRF is missing")


def _same(origin: str, host: str, scheme: str) -> bool:
    """Whether an origin is the address that was asked. In front of plain HTTP a proxy may have TLS."""
    try:
        asked = urlsplit(origin)
        own = urlsplit(f"{asked.scheme}://{host}")
        if asked.scheme not in (("https",) if scheme in ("https", "wss") else ("http", "https")):
            return False
        port = _DEFAULT_PORTS[asked.scheme]
        return bool(asked.hostname) and (asked.hostname, asked.port or port) == (own.hostname, own.port or port)
    except ValueError:
        return False


def _refused(why: str) -> NexusError:
    return NexusError("The request does not come from the page of this site.", code="NX6950", cause=why)


def start_session(answer: Response, scope: Scope, *, site: str, token: str, seconds: int) -> None:
    """Set the cookie. It ends with the session."""
    answer.set_cookie(
        COOKIE,
        token,
        max_age=max(1, seconds),
        path=path_of(site),
        secure=_secure(scope),
        httponly=True,
        samesite="strict",
    )


def end_session(answer: Response, scope: Scope, *, site: str) -> None:
    """Take the cookie away."""
    answer.delete_cookie(COOKIE, path=path_of(site), secure=_secure(scope), httponly=True, samesite="strict")


def _secure(scope: Scope) -> bool:
    origin = dict(scope["headers"]).get(b"origin", b"")
    return bool(scope.get("scheme") == "https" or origin.startswith(b"https://"))


class SessionDoor:
    """An ASGI middleware: what is behind it sees the session as a bearer token."""

    def __init__(self, app: ASGIApp) -> None:
        """Guard an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            known = with_session(scope)
        except NexusError as error:
            if scope["type"] == "http":
                await on_failure(error)(scope, receive, send)
            else:
                await refuse_socket(on_failure(error), receive, send)
            return
        await self._app(known, receive, send)
