"""The door to an OpenID provider: its discovery document and its keys, over HTTPS, bounded in time and size.

Source: OpenID Connect Discovery 1.0 §4; RFC 7517 (JWK sets).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx
import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.foreign import Door
from nexus_cli.json_value import JsonObject

TIMEOUT_S = 5.0
"""For each of connect, write and read, in seconds."""
WHOLE_S = 10.0
"""For a whole answer, in seconds."""
LARGEST = 256 * 1024
"""Bytes of an answer."""
WELL_KNOWN = "/.well-known/openid-configuration"


async def fetch_discovery(issuer: str) -> JsonObject:
    """The discovery document of an issuer.

    Raises:
        NexusError: NX6420, it is away, or its answer is no such document.
    """
    found = await fetch_json(issuer.rstrip("/") + WELL_KNOWN)
    if str(found.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
        raise unavailable(issuer, "its discovery document names another issuer")
    return found


async def fetch_json(url: str) -> JsonObject:
    """A JSON object.

    Raises:
        NexusError: NX6420, it can't be had.
    """
    if not is_private_enough(url):
        raise unavailable(url, "only https:// addresses are asked, except on this machine")
    try:
        with Door(lambda error: unavailable(url, type(error).__name__)):
            return await _fetched(url)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
        raise unavailable(url, f"{type(error).__name__}: {error}".rstrip(": ")[:300]) from None


async def exchange_code(endpoint: str, *, code: str, client_id: str, verifier: str, redirect_uri: str) -> str:
    """The id token for an authorization code (OpenID Connect Core 1.0 §3.1.3, RFC 7636 §4.5).

    Raises:
        NexusError: NX6420, it can't be had.
    """
    if not is_private_enough(endpoint):
        raise unavailable(endpoint, "only https:// addresses are asked, except on this machine")
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": client_id,
        "code_verifier": verifier,
        "redirect_uri": redirect_uri,
    }
    try:
        with Door(lambda error: unavailable(endpoint, type(error).__name__)):
            found = await _fetched(endpoint, form=form)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
        raise unavailable(endpoint, f"{type(error).__name__}: {error}".rstrip(": ")[:300]) from None
    token = found.get("id_token")
    if not isinstance(token, str) or not token:
        raise unavailable(endpoint, "its answer has no id_token")
    return token


async def _fetched(url: str, *, form: Mapping[str, str] | None = None) -> JsonObject:
    async with (
        httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as http,
        http.stream(
            "GET" if form is None else "POST", url, headers={"accept": "application/json"}, data=form
        ) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            raise ValueError(f"HTTP {answer.status_code}")
        body = bytearray()
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > LARGEST:
                raise ValueError(f"more than {LARGEST // 1024} KiB")
    found = orjson.loads(bytes(body))
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found


def is_private_enough(url: str) -> bool:
    """True for https, and for http on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    if parts.scheme != "http":
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def unavailable(place: str, cause: str) -> NexusError:
    """The provider can't be asked."""
    return NexusError(
        f"The OpenID provider at {place[:200]} can't be asked.", code="NX6420", cause=cause, retriable=True
    )
