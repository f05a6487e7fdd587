"""`GET /values/{path}` in front of FastAPI, whose own work costs several times what the answer does (decision 0079).

The route is declared in `values.py`, for `/openapi.json` and the rights table; both give what `values.shown` says.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.calling import address_of, caller_of
from nexus_cli.runtime.api.failures import on_failure
from nexus_cli.runtime.web.caller_rights import readable_tag
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.routes.values import encode, shown


class SingleReads:
    """An ASGI application that answers reads of one value, and gives everything else to the one behind it."""

    def __init__(self, app: ASGIApp, *, parts: WebParts) -> None:
        """Answer before an application does, behind the guard."""
        self._app, self._parts = app, parts
        enterprise, site = parts.topics.enterprise, parts.topics.site
        self._prefix = f"/v1/sites/{enterprise}/{site}/values/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, whose caller the guard has let in."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        parts, caller = self._parts, caller_of(scope)
        assert caller is not None  # the route is not open
        view = parts.keeper.view
        try:
            rights = await parts.callers.rights(view, caller)
            body = encode(shown(parts, readable_tag(view, rights, scope["path"][len(self._prefix) :])))
        except NexusError as error:
            route = f"GET {scope['path']}"
            parts.refusals.note(error.code, who=caller.principal, address=address_of(scope), route=route)
            await on_failure(error)(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
