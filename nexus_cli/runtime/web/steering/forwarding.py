"""Requests that control answers: handed over with the caller's own token, ended when the client leaves or web stops.

See docs/decisions/0077.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Cut, tasks
from nexus_cli.runtime.api.calling import address_of
from nexus_cli.runtime.api.failures import failure, on_failure
from nexus_cli.runtime.web.steering.leaving import until_left
from nexus_cli.wire.forwarding import Forwarder


class Handover(Response):
    """The answer of a route that control serves."""

    def __init__(self, request: Request, content: bytes, *, forwarder: Forwarder, stopping: Callable[[], bool]) -> None:
        """Take the request as it came.

        Args:
            request: Of the client.
            content: Its body.
            forwarder: The door to control.
            stopping: True once web stops.
        """
        super().__init__()
        self._request, self._content, self._forwarder, self._stopping = request, content, forwarder, stopping
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application: ask control, and pass its answer on."""
        answer: Response | None = None
        async with Cut() as cut, tasks("forwarding") as group:
            watching = group.create_task(until_left(receive, self._stopping, cut), name="client")
            try:
                await self._pass_on(scope, send)
            except NexusError as error:
                if self._begun:
                    raise  # the connection is closed: the client sees that the answer is not whole
                answer = on_failure(error)
            watching.cancel()
        if cut.ended.is_set() and self._stopping() and not self._begun:
            answer = failure(503, "NX6409", "Web is stopping.", hint="`nexus status` shows when it is up again")
        if answer is not None:
            await answer(scope, receive, send)

    async def _pass_on(self, scope: Scope, send: Send) -> None:
        """Raises NexusError NX6400, NX6933."""
        query: bytes = scope.get("query_string", b"")
        path: bytes = scope.get("raw_path") or self._request.url.path.encode()
        async with self._forwarder.ask(
            self._request.method,
            path.partition(b"?")[0] + (b"?" + query if query else b""),
            headers=dict(self._request.headers),
            content=self._content,
            address=address_of(scope),
        ) as found:
            head = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in found.headers.items()]
            self._begun = True
            await send({"type": "http.response.start", "status": found.status, "headers": head})
            async for part in found.body:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
