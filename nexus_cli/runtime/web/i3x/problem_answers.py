"""Failures of the guard and of the handlers in the words of i3X: `{"success": false, "responseDetail": …}`."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nexus_cli.runtime.web.i3x.envelopes import BASE, LONGEST_DETAIL, detail_of

_AS = {405: 404, 413: 400, 422: 400}
"""Statuses that i3X does not have, and what it says instead."""


class ProblemAnswers:
    """An ASGI middleware for the paths below `/i3x/v1`; others pass as they are."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] != "http" or not str(scope.get("path", "")).startswith(f"{BASE}/"):
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Translator(send).send)


class _Translator:
    """Holds a failure back until its body is there."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        start, self._start = self._start, None
        status, body = _said(start["status"], bytes(self._body))
        kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        headers = [*kept, (b"content-length", str(len(body)).encode())]
        await self._send({**start, "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _said(status: int, body: bytes) -> tuple[int, bytes]:
    try:
        found: Any = orjson.loads(body)
    except ValueError:
        found = None
    if isinstance(found, dict) and "responseDetail" in found:
        return status, body
    told = found if isinstance(found, dict) else {}
    said = _AS.get(status, status)
    words = [str(told.get(part) or "") for part in ("message", "cause", "hint")]
    detail = " ".join(word if word.endswith(".") else f"{word}." for word in words if word) or "It failed."
    return said, orjson.dumps({"success": False, "responseDetail": detail_of(said, detail[:LONGEST_DETAIL])})
