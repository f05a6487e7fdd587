"""The door through which web hands requests to control: with the caller's own token, the answer as it comes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

import httpx

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.http_tls import client_context, untrusted
from nexus_cli.wire.relayed import relayed

CONNECT_S = 5.0
ANSWER_S = 45.0
"""Longest silence of control, in seconds: a long-poll takes up to 25."""
MOST_AT_ONCE = 64
"""Requests that are with control at the same time; control takes 400 connections, of gateways too."""
QUEUE_S = 10.0
"""How long a request waits for its turn, in seconds."""
_SENT = ("authorization", "content-type", "accept")
_GIVEN = ("content-type", "content-encoding", "content-length", "cache-control", "retry-after")


class Forwarded(NamedTuple):
    """An answer of control, as it begins.

    Attributes:
        status: Of HTTP.
        headers: Those that the client gets.
        body: The rest; raises NexusError NX6400 when control breaks off.
    """

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]


class Forwarder:
    """One client of control for all callers of web. Nothing of one caller stays in it: no cookies, no token."""

    def __init__(self, settings: Settings) -> None:
        """Control is at `control_url`; the settings' own token vouches for the address of clients."""
        self._settings = settings
        self._http: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    @contextlib.asynccontextmanager
    async def ask(
        self, method: str, raw_path: bytes, *, headers: Mapping[str, str], content: bytes, address: str
    ) -> AsyncIterator[Forwarded]:
        """Hand one request over; the block has the answer's beginning.

        Args:
            method: Of HTTP.
            raw_path: Path and query as the client sent them, still escaped.
            headers: Of the client; only the token, the type of the body and what is accepted are passed on.
            content: The body.
            address: Of the client, "" when it is not known.

        Raises:
            NexusError: NX6400 control does not answer, NX6933 too many requests are with it.
        """
        sent = {name: headers[name] for name in _SENT if name in headers}
        sent |= relayed(address, token=self._settings.control_token)
        try:
            http = self._client()
            url = httpx.URL(self._settings.control_url).copy_with(raw_path=raw_path)
            request = http.build_request(method, url, headers=sent, content=content or None)
            answer = await http.send(request, stream=True)
        except httpx.PoolTimeout:
            raise NexusError(
                "Too many requests are with control.", code="NX6933", hint="try again in some seconds", retriable=True
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise _away(error) from None
        try:
            yield Forwarded(
                answer.status_code,
                {name: answer.headers[name] for name in _GIVEN if name in answer.headers},
                _body(answer),
            )
        finally:
            await answer.aclose()

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            url = self._settings.control_url
            if not url:
                raise NexusError("Web does not know its control.", code="NX6400", hint="set NEXUS_CONTROL_URL")
            context = client_context(url, self._settings.http_ca)
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S, pool=QUEUE_S),
                limits=httpx.Limits(max_connections=MOST_AT_ONCE, max_keepalive_connections=MOST_AT_ONCE // 4),
                verify=True if context is None else context,
                follow_redirects=False,
                trust_env=False,
            )
        return self._http


async def _body(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for part in answer.aiter_raw():
            yield part
    except (httpx.HTTPError, httpx.StreamError, OSError) as error:
        raise _away(error) from None


def _away(error: BaseException) -> NexusError:
    slow = isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout)
    cause = "its certificate is not trusted" if untrusted(error) else type(error).__name__
    return NexusError(
        f"Control {'did not answer in time' if slow else 'does not answer'}.",
        code="NX6400",
        cause=cause,
        hint="values and history can be read meanwhile; `nexus status` shows when control is up again",
        retriable=True,
    )
