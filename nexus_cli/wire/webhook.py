"""A JSON document by POST, signed: what a receiver of notifications reads.

Headers: `X-Nexus-Id` (the same for each try), `X-Nexus-Timestamp` (seconds since 1970 UTC) and, with a key,
`X-Nexus-Signature: sha256=HEX` of HMAC-SHA-256 over `TIMESTAMP.BODY`.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any

import httpx
import orjson

TIMEOUT_S = 15.0


class WebhookError(Exception):
    """It was not taken; `sent` when it may have reached the receiver all the same."""

    def __init__(self, text: str, *, sent: bool) -> None:
        """Say what happened, without the address: it may hold a secret."""
        super().__init__(text)
        self.sent = sent


def signature(key: str, timestamp: str, body: bytes) -> str:
    """The value of `X-Nexus-Signature`."""
    return "sha256=" + hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


async def post(url: str, document: Mapping[str, Any], *, key: str, headers: Mapping[str, str], id_: str) -> None:
    """Send a document; redirects are not followed, they would carry it elsewhere.

    Raises:
        WebhookError: No one was reached, or the answer was no 2xx.
    """
    body, timestamp = orjson.dumps(document), str(int(time.time()))
    signed = {"X-Nexus-Signature": signature(key, timestamp, body)} if key else {}
    head = {"Content-Type": "application/json", "X-Nexus-Id": id_, "X-Nexus-Timestamp": timestamp}
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
            request = client.build_request("POST", url, content=body, headers={**headers, **head, **signed})
            answer = await client.send(request, stream=True)  # its body, of any size, says nothing to us
            await answer.aclose()
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise WebhookError(f"the receiver can't be reached ({type(error).__name__})", sent=False) from None
    except httpx.HTTPError as error:
        raise WebhookError(f"the receiver did not answer ({type(error).__name__})", sent=True) from None
    if not answer.is_success:
        raise WebhookError(f"the receiver answered {answer.status_code}", sent=False)
