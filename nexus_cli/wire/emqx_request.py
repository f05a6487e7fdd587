"""Requests to EMQX's REST API: paced, tried again where that can help, and each failure one plain sentence."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import orjson

from nexus_cli.backoff import Backoff
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.foreign import Door
from nexus_cli.diagnostics.printable import one_line
from nexus_cli.diagnostics.system import system_words
from nexus_cli.wire.emqx_settings import EmqxSettings

RATE_PER_S = 50.0
BURST = 10
"""Requests that may leave at once."""
TRIES = 6
TIMEOUT_S = 30.0
LONGEST_RETRY_AFTER_S = 60.0
_AGAIN = (429, 502, 503, 504)
Sleep = Callable[[float], Awaitable[None]]


class Pace:
    """A token bucket: in any window of `w` seconds at most `burst + rate * w` requests leave."""

    def __init__(
        self,
        rate_per_s: float = RATE_PER_S,
        *,
        burst: int = BURST,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Begin with a full bucket.

        Args:
            rate_per_s: Requests per second, above 0.
            burst: Size of the bucket, at least 1; never more than a second's worth is used.
            clock: Seconds.
            sleep: Waits that many seconds.
        """
        self._rate, self._clock, self._sleep = rate_per_s, clock, sleep
        self._size = max(1.0, min(float(burst), rate_per_s))
        self._have, self._at_s = self._size, clock()

    async def wait(self) -> None:
        """Return when the next request may leave."""
        now_s = self._clock()
        self._have = min(self._size, self._have + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        self._have -= 1.0
        if self._have < 0:
            await self._sleep(-self._have / self._rate)


class EmqxRequests:
    """One client of the API; requests leave one after the other.

    Args:
        settings: Address and key.
        pace: How fast.
        sleep: Waits between tries, in seconds.
        rng: Jitter of the back-off.

    Raises:
        NexusError: NX7033, the CA file can't be read.
    """

    def __init__(
        self,
        settings: EmqxSettings,
        *,
        pace: Pace | None = None,
        sleep: Sleep = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self.url = settings.url
        self._pace, self._sleep, self._rng = pace or Pace(), sleep, rng
        self._http = httpx.AsyncClient(
            base_url=f"{settings.url}/api/v5",
            auth=httpx.BasicAuth(settings.key, settings.secret),
            timeout=TIMEOUT_S,
            verify=_tls(settings) if settings.url.startswith("https:") else False,
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, str] | None = None,
        file: tuple[str, bytes] | None = None,
        fine: tuple[int, ...] = (),
    ) -> Any:
        """One request, tried again after a lost connection and when EMQX asks for patience. Doing it twice must do no harm.

        Args:
            method: Of HTTP.
            path: Below `/api/v5`, encoded.
            body: JSON.
            params: Of the query.
            file: Name and content of an upload.
            fine: Statuses besides 2xx that are no failure; they give None.

        Returns:
            The JSON of the answer; None when it has none.

        Raises:
            NexusError: NX7025 not reachable (retriable), NX7026 the key is refused, NX7028 EMQX refuses the request.
        """
        backoff = Backoff(first_s=0.5, cap_s=10.0, rng=self._rng)
        for number in range(1, TRIES + 1):
            await self._pace.wait()
            try:
                answer = await self._send(method, path, body, params, file)
            except NexusError as error:
                if number == TRIES or not error.retriable:
                    raise
                await self._sleep(backoff.next_s())
                continue
            if answer.status_code not in _AGAIN:
                return self._read(answer, method, path, fine)
            if number < TRIES:
                await self._sleep(max(_retry_after_s(answer), backoff.next_s()))
        raise NexusError(
            f"EMQX at {self.url} is too busy: it asked for patience {TRIES} times.",
            code="NX7025",
            cause=f"HTTP {answer.status_code}",
            hint="try again later, or with a lower --rate",
            retriable=True,
        )

    async def _send(
        self,
        method: str,
        path: str,
        body: object,
        params: Mapping[str, str] | None,
        file: tuple[str, bytes] | None,
    ) -> httpx.Response:
        content = None if body is None else orjson.dumps(body)
        headers = {} if content is None else {"content-type": "application/json"}
        upload = None if file is None else {"filename": (file[0], file[1], "application/json")}
        try:
            with Door(self._unreachable):
                return await self._http.request(
                    method, path, content=content, params=params, files=upload, headers=headers
                )
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: BaseException) -> NexusError:
        slow = isinstance(error, httpx.TimeoutException)
        trust = "CERTIFICATE_VERIFY_FAILED" in str(error)
        return NexusError(
            f"The certificate of EMQX at {self.url} is not trusted."
            if trust
            else f"EMQX at {self.url} {'did not answer in time' if slow else 'does not answer'}.",
            code="NX7025",
            cause=one_line(system_words(error)),
            hint="name the PEM file of its CA in NEXUS_EMQX_CA"
            if trust
            else "NEXUS_EMQX_URL is the address of its REST API",
            retriable=not trust,
        )

    def _read(self, answer: httpx.Response, method: str, path: str, fine: tuple[int, ...]) -> Any:
        if answer.is_success:
            try:
                return orjson.loads(answer.content) if answer.content else None
            except ValueError:
                raise NexusError(
                    f"The server at {self.url} is not EMQX's REST API.",
                    code="NX7027",
                    cause=f"HTTP {answer.status_code}, {answer.headers.get('content-type', 'no content type')}",
                ) from None
        if answer.status_code in fine:
            return None
        if answer.status_code in (401, 403):
            raise NexusError(
                f"EMQX at {self.url} refuses the API key.",
                code="NX7026",
                cause=f"{method} {path}: HTTP {answer.status_code}, {_message(answer)}",
            )
        raise NexusError(
            f"EMQX at {self.url} refuses a request: {_message(answer)}.",
            code="NX7028",
            cause=f"{method} {path}: HTTP {answer.status_code}",
        )


def _message(answer: httpx.Response) -> str:
    """EMQX's own words, on one line."""
    try:
        body = orjson.loads(answer.content)
    except ValueError:
        return answer.reason_phrase or "no reason given"
    found = body.get("message") or body.get("code") if isinstance(body, dict) else None
    text = found if isinstance(found, str) else orjson.dumps(found or body).decode()
    return one_line(text)[:300].rstrip(". ")


def _retry_after_s(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), LONGEST_RETRY_AFTER_S) if text.isascii() and text.isdecimal() else 0.0


def _tls(settings: EmqxSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise NexusError(
            f"The CA file '{settings.ca}' for EMQX can't be read.",
            code="NX7033",
            cause=str(error),
            hint="set NEXUS_EMQX_CA",
        ) from None
