"""gzip for who asks for it, below the paths that it is given.

Large bodies are compressed in a thread. Streams of events, and what is compressed already, pass as they are.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEVEL = 6
"""A list of 41,000 objects becomes three fifths of what level 1 makes of it, for 30 ms more (decision 0078)."""
QUICK = 1
"""For bodies below `SMALL`: they are asked for often, and a packet is a packet."""
SMALL = 16 * 1024
THREADED = 64 * 1024
"""Larger bodies are compressed in a thread: that takes more than a millisecond."""


_NEVER = re.compile(r"q=0(\.0*)?\Z")


def compressed(body: bytes, *, level: int = LEVEL) -> bytes:
    """The bytes in the format of gzip (RFC 1952), without a time."""
    packer = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return packer.compress(body) + packer.flush()


def expanded(body: bytes) -> bytes:
    """The bytes before `compressed`."""
    return zlib.decompress(body, zlib.MAX_WBITS | 16)


def wants_gzip(scope: Scope) -> bool:
    """Whether `Accept-Encoding` has gzip, and not with the weight 0 (RFC 9110 §12.5.3)."""
    shown = b",".join(value for name, value in scope["headers"] if name == b"accept-encoding").decode("latin-1").lower()
    for part in shown.split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in ("gzip", "x-gzip", "*"):
            return not _NEVER.match(weight.replace(" ", ""))
    return False


class Compression:
    """An ASGI middleware."""

    def __init__(self, app: ASGIApp, *, below: Sequence[str]) -> None:
        """Compress answers whose path begins with one of `below`."""
        self._app, self._below = app, tuple(below)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] != "http" or not str(scope.get("path", "")).startswith(self._below) or not wants_gzip(scope):
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Packing(send).send)


class _Packing:
    """Holds an answer back until it is whole, then sends it compressed."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _packable(message):
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        start, self._start = self._start, None
        body = bytes(self._body)
        if len(body) > THREADED:
            packed = await asyncio.to_thread(compressed, body)
        else:
            packed = compressed(body, level=LEVEL if len(body) > SMALL else QUICK)
        kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        more = [
            (b"content-encoding", b"gzip"),
            (b"vary", b"Accept-Encoding"),
            (b"content-length", str(len(packed)).encode()),
        ]
        await self._send({**start, "headers": kept + more})
        await self._send({"type": "http.response.body", "body": packed})


def _packable(start: Message) -> bool:
    headers = {name.lower(): value for name, value in start["headers"]}
    if b"content-encoding" in headers or start["status"] in (204, 304):
        return False
    return not headers.get(b"content-type", b"").startswith(b"text/event-stream")
