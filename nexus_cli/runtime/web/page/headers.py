"""Headers that each answer of web carries: what a browser may do with it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Of the page. Nothing inline, nothing from elsewhere, in no frame of another page; no text ever becomes markup."""
CLOSED_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""Of everything else: an answer that a browser shows as a document does nothing."""
FEATURES = ", ".join(
    f"{each}=()"
    for each in (
        "accelerometer",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "publickey-credentials-get",
        "screen-wake-lock",
        "serial",
        "usb",
    )
)
Header = tuple[bytes, bytes]


def _encoded(headers: dict[str, str]) -> list[Header]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


ALL = _encoded(
    {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
    }
)
PAGE = _encoded(
    {
        "content-security-policy": POLICY,
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": FEATURES,
        "x-frame-options": "DENY",
    }
)
CLOSED = _encoded({"content-security-policy": CLOSED_POLICY})
NO_STORE: Header = (b"cache-control", b"no-store")


class SecureHeaders:
    """An ASGI middleware that adds them; answers without a `Cache-Control` of their own are kept nowhere."""

    def __init__(self, app: ASGIApp) -> None:
        """Put them on the answers of an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added = ALL + (PAGE if scope["path"] == "/" else CLOSED)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                kept = any(name == b"cache-control" for name, _ in headers)
                message = {**message, "headers": headers + added + ([] if kept else [NO_STORE])}
            await send(message)

        await self._app(scope, receive, with_headers)
