"""The door to the HTTP API of the role web: every failure becomes one plain sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import httpx
import msgspec
import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.foreign import Door
from nexus_cli.diagnostics.system import system_words
from nexus_cli.json_value import JsonObject, read_fields
from nexus_cli.settings import Settings
from nexus_cli.wire.control import Failure
from nexus_cli.wire.http_tls import client_context, untrusted
from nexus_cli.wire.renewed import with_kept_secrets

REDIRECTED, UNAUTHORIZED, SERVER_ERROR = 300, 401, 500
LARGEST_ANSWER = 32 << 20
"""Bytes of an answer that are read."""
AWAY = "NX6941"


class WebAnswer(NamedTuple):
    """An answer: status of HTTP, content type and body."""

    status: int
    kind: str
    content: bytes


class WebDoor:
    """The connections to one web, for any number of callers. Use as `async with WebDoor(url, settings) as door:`.

    Args:
        url: Where web is; "" when it is not known.
        settings: The CA of https is used.
        timeout_s: Longest wait for one answer.
    """

    def __init__(self, url: str, settings: Settings, *, timeout_s: float = 45.0) -> None:
        self.url = url.rstrip("/")
        self._ca, self._timeout_s = settings.http_ca, timeout_s
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def send(
        self,
        method: str,
        path: str,
        *,
        settings: Settings,
        params: Mapping[str, str],
        content: bytes | None,
        timeout_s: float | None = None,
    ) -> WebAnswer:
        """One request below the site under the token of these settings, with its whole answer.

        Raises:
            NexusError: NX6941, web is away, or its answer is too large.
        """
        if not self.url:
            raise NexusError("No role web is known here.", code=AWAY)
        http = self._client()
        head = {"content-type": "application/json", "authorization": f"Bearer {settings.control_token}"}
        url = f"{self.url}/v1/sites/{settings.site}{path}"
        try:
            with Door(lambda error: unreachable(self.url, error)):
                request = http.build_request(
                    method, url, params=params, content=content, headers=head, timeout=timeout_s or self._timeout_s
                )
                answer = await http.send(request, stream=True)
                try:
                    kind = answer.headers.get("content-type", "no content type")
                    return WebAnswer(answer.status_code, kind, await _bounded(answer))
                finally:
                    await answer.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            raise unreachable(self.url, error) from None
        except ValueError as error:  # UnicodeError: a token or a host that HTTP has no letters for
            raise NexusError(
                "Web can't be asked with this address or token.",
                code=AWAY,
                cause=type(error).__name__,
                hint="address and token hold plain letters, digits and signs",
            ) from None

    @asynccontextmanager
    async def stream(self, path: str, *, settings: Settings) -> AsyncIterator[AsyncIterator[bytes]]:
        """The body of a file below the site, piece by piece.

        Raises:
            NexusError: NX6941 web is away, or breaks off; the code with which web refused.
        """
        head = {"authorization": f"Bearer {settings.control_token}", "accept-encoding": "identity"}
        url = f"{self.url}/v1/sites/{settings.site}{path}"
        if not self.url:
            raise NexusError("No role web is known here.", code=AWAY)
        try:
            async with self._client().stream("GET", url, headers=head) as answer:
                if answer.status_code >= REDIRECTED:
                    kind = answer.headers.get("content-type", "no content type")
                    _read(WebAnswer(answer.status_code, kind, await _bounded(answer)), self.url)
                yield answer.aiter_bytes()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise unreachable(self.url, error) from None

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            context = client_context(self.url, self._ca)
            self._http = httpx.AsyncClient(timeout=self._timeout_s, verify=True if context is None else context)
        return self._http


class WebClient:
    """Web's API for one site and one caller.

    Args:
        door: To web.
        settings: `site` and `control_token` are used. With a principal a refused token is tried once as it is kept now;
            with "" the token is a caller's, and no other one is tried.

    Every method raises NexusError: NX6941 web is away (retriable), or the code that web or control gave.
    """

    def __init__(self, door: WebDoor, settings: Settings) -> None:
        self._door, self._settings = door, settings

    async def get(self, route: str, **params: object) -> JsonObject:
        """The answer of a route for reading; parameters that are None are left out."""
        return await self._ask("GET", route, params=params)

    async def post(self, path: str, body: JsonObject, *, timeout_s: float | None = None) -> JsonObject:
        """The answer of a route that takes a body."""
        return await self._ask("POST", path, body=body, timeout_s=timeout_s)

    async def delete(self, path: str) -> None:
        """Remove something."""
        await self._ask("DELETE", path)

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """See `WebDoor.stream`."""
        async with self._door.stream(path, settings=self._settings) as pieces:
            yield pieces

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        body: JsonObject | None = None,
        timeout_s: float | None = None,
    ) -> JsonObject:
        said = {name: _written(value) for name, value in (params or {}).items() if value is not None}
        content = None if body is None else orjson.dumps(body)

        async def send() -> WebAnswer:
            return await self._door.send(
                method, path, settings=self._settings, params=said, content=content, timeout_s=timeout_s
            )

        answer = await send()
        own = bool(self._settings.principal)
        if own and answer.status == UNAUTHORIZED and (renewed := with_kept_secrets(self._settings)) is not None:
            self._settings = renewed
            answer = await send()
        return _read(answer, self._door.url)


def in_path(text: str) -> str:
    """`area/line/device/tag` as a part of a URL, behind a route."""
    return "/" + quote(text.strip("/"), safe="/")


def unreachable(url: str, error: BaseException) -> NexusError:
    """Why web can't be reached: NX6941."""
    if untrusted(error):
        return NexusError(
            f"The certificate of web at {url} is not trusted.",
            code=AWAY,
            cause=str(error),
            hint="name the PEM file of its CA in NEXUS_HTTP_CA, and its host as the certificate does",
            retriable=True,
        )
    slow = isinstance(error, httpx.TimeoutException)
    return NexusError(
        f"Web at {url} {'did not answer in time' if slow else 'does not answer'}.",
        code=AWAY,
        cause=system_words(error),
        retriable=True,
    )


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _bounded(answer: httpx.Response) -> bytes:
    """The body. Raises NexusError NX6941: it is larger than any answer of web."""
    found = bytearray()
    async for part in answer.aiter_bytes():
        found += part
        if len(found) > LARGEST_ANSWER:
            raise NexusError(f"The answer of web has more than {LARGEST_ANSWER >> 20} MiB.", code=AWAY)
    return bytes(found)


def _read(answer: WebAnswer, url: str) -> JsonObject:
    """The body of an answer. Raises NexusError: what web refused, or why its answer can't be read."""
    content, ok = answer.content, answer.status < REDIRECTED
    try:
        found: Any = orjson.loads(content or b"{}")
    except ValueError:
        found = None
    if ok and isinstance(found, dict):
        return found
    if not ok and (failure := _failure(content)) is not None:
        raise NexusError(
            failure.message,
            code=failure.code,
            hint=failure.hint,
            cause=failure.cause,
            retriable=answer.status >= SERVER_ERROR,
        )
    raise NexusError(
        f"The server at {url} gave no answer of a NEXUS web.",
        code=AWAY,
        cause=f"HTTP {answer.status}, {answer.kind}",
        retriable=answer.status >= SERVER_ERROR,
    )


def _failure(content: bytes) -> Failure | None:
    try:
        return read_fields(msgspec.json.decode(content), Failure)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
