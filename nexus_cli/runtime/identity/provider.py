"""The OpenID provider of a site: its document and keys, kept for an hour, fetched again when a key is unknown.

A provider that is away is asked at most every few seconds, and a flood of unknown keys causes a fetch every half minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import jwt

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.json_value import JsonObject
from nexus_cli.model.access_config import OidcConfig
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.identity.oidc import Header, claims_of, header_of, key_for, refused
from nexus_cli.wire.oidc import WHOLE_S, fetch_discovery, fetch_json, unavailable

KEPT_S = 3600.0
REFRESH_S = 30.0
"""Shortest time between two fetches because of an unknown key, in seconds."""
RETRY_S = 5.0
"""How long a failure is repeated without asking again, in seconds."""
MOST_WAITING = 32

Fetch = Callable[[str], Awaitable[JsonObject]]


@dataclass(frozen=True, slots=True)
class _Fetched:
    discovery: JsonObject
    keys: JsonObject
    at_s: float


class Provider:
    """Fetches and caches; one provider at a time, that of the site's configuration."""

    def __init__(
        self, *, clock: Clock, discovery: Fetch = fetch_discovery, keys: Fetch = fetch_json, whole_s: float = WHOLE_S
    ) -> None:
        """Nothing is fetched yet."""
        self._clock, self._fetch_discovery, self._fetch_keys, self._whole_s = clock, discovery, keys, whole_s
        self._issuer = ""
        self._found: _Fetched | None = None
        self._failed: tuple[float, NexusError] | None = None
        self._lock = asyncio.Lock()
        self._waiting = 0

    async def discovery(self, config: OidcConfig) -> JsonObject:
        """The discovery document. Raises NexusError NX6420."""
        return (await self._known(config)).discovery

    async def claims(self, config: OidcConfig, token: str) -> JsonObject:
        """The verified claims of a token.

        Raises:
            NexusError: NX6419, it is refused; NX6420, the provider is away.
        """
        header = header_of(token)
        found = await self._known(config)
        key = key_for(header, found.keys) or await self._newer_key(config, header, found)
        if key is None:
            raise refused("its key is not among those of the provider")
        issuer = str(found.discovery["issuer"])
        now_s = self._clock.wall_us() / 1e6
        return claims_of(token, key, header=header, config=config, issuer=issuer, now_s=now_s)

    async def _newer_key(self, config: OidcConfig, header: Header, found: _Fetched) -> jwt.PyJWK | None:
        """The provider may have changed its keys; one that was asked within `REFRESH_S` is not asked again."""
        asked_s = max(found.at_s, self._failed[0] if self._failed else found.at_s)
        if self._clock.monotonic_s() - asked_s < REFRESH_S:
            return None
        return key_for(header, (await self._known(config, newer_than_s=found.at_s)).keys)

    async def _known(self, config: OidcConfig, *, newer_than_s: float | None = None) -> _Fetched:
        if (found := self._usable(config, newer_than_s)) is not None:
            return found
        if self._waiting >= MOST_WAITING:
            raise unavailable(config.issuer, "too many logins wait for it")
        self._waiting += 1
        try:
            async with self._lock:
                if (found := self._usable(config, newer_than_s)) is not None:
                    return found
                return await self._fetch(config)
        finally:
            self._waiting -= 1

    def _usable(self, config: OidcConfig, newer_than_s: float | None) -> _Fetched | None:
        now_s = self._clock.monotonic_s()
        if self._issuer != config.issuer:
            return None
        found = self._found
        if found is not None and now_s - found.at_s <= KEPT_S and (newer_than_s is None or found.at_s > newer_than_s):
            return found
        if self._failed is not None and now_s - self._failed[0] < RETRY_S:
            raise self._failed[1]
        return None

    async def _fetch(self, config: OidcConfig) -> _Fetched:
        if self._issuer != config.issuer:
            self._issuer, self._found, self._failed = config.issuer, None, None
        try:
            async with asyncio.timeout(self._whole_s):
                document = await self._fetch_discovery(config.issuer)
                place = document.get("jwks_uri")
                if not isinstance(place, str):
                    raise unavailable(config.issuer, "its discovery document has no jwks_uri")
                keys = await self._fetch_keys(place)
        except TimeoutError:
            error = unavailable(config.issuer, f"no whole answer within {self._whole_s:g} s")
            self._failed = (self._clock.monotonic_s(), error)
            raise error from None
        except NexusError as error:
            self._failed = (self._clock.monotonic_s(), error)
            raise
        self._failed = None
        self._found = _Fetched(document, keys, self._clock.monotonic_s())
        return self._found
