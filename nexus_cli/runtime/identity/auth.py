"""Callers, and the bearer tokens of `credentials.json`, compared in constant time."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from nexus_cli.access.grants import RESERVED
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.identity.held import GATEWAY, NOTHING, Held, held_by_platform
from nexus_cli.settings import CREDENTIALS_FILE, Settings

OFFICE = RESERVED
"""Prefix of NEXUS's own principals; no declared user may have it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated principal and its rights.

    Attributes:
        principal: Its name.
        held: What it may do.
        only: Scopes of its token; None is all that it holds.
        token: Id of its token; "" of one of `credentials.json`.
        expires: When the token ends, µs since 1970 UTC; None: never.
    """

    principal: str
    held: Held = NOTHING
    only: frozenset[str] | None = None
    token: str = ""
    expires: int | None = None

    @property
    def gateway(self) -> str:
        """Its gateway name; "" for other principals."""
        return self.principal.removeprefix(GATEWAY) if self.principal.startswith(GATEWAY) else ""

    @property
    def office(self) -> bool:
        """True for NEXUS's own principals."""
        return self.principal.startswith(OFFICE)

    @property
    def scopes(self) -> frozenset[str]:
        """What it may do with this token: names of `SCOPES`."""
        return self.held.scopes if self.only is None else self.held.scopes & self.only

    def may(self, *rights: str) -> bool:
        """True when it has one of the rights."""
        return not self.scopes.isdisjoint(rights)

    def may_read_gateway(self, name: str) -> bool:
        """A gateway may read its own configuration; readers of the state may read any."""
        return self.may("state:read") or (self.may("gateway:read") and self.gateway == name and bool(name))


class Tokens:
    """The known tokens. All are compared each time, so that the duration reveals nothing."""

    def __init__(
        self, tokens: Mapping[str, str], *, newer: Callable[[], Mapping[str, str] | None] | None = None
    ) -> None:
        """Set the tokens.

        Args:
            tokens: By principal.
            newer: Called for each request: returns the current tokens, None when they are unchanged.
        """
        self._take(tokens)
        self._newer = newer or (lambda: None)

    def _take(self, tokens: Mapping[str, str]) -> None:
        self._tokens = [(name, token.encode()) for name, token in sorted(tokens.items()) if token]

    @classmethod
    def of(cls, settings: Settings) -> Tokens:
        """The tokens of `credentials.json` (`api`), and control's own from the environment."""

        def joined(credentials: Mapping[str, Any]) -> dict[str, str]:
            known = {str(name): str(token) for name, token in (credentials.get("api") or {}).items()}
            if settings.control_token:
                known.setdefault(settings.principal, settings.control_token)
            return known

        file = settings.home / CREDENTIALS_FILE
        seen = [_stamp(file)]

        def newer() -> dict[str, str] | None:
            """The file again, once it was changed: `nexus access rotate` ends the tokens before it at once."""
            now = _stamp(file)
            if now == seen[0]:
                return None
            seen[0] = now
            try:
                data = orjson.loads(file.read_bytes())
            except (OSError, ValueError):
                return None
            return joined(data) if isinstance(data, dict) else None

        return cls(joined(settings.credentials), newer=newer)

    def caller(self, authorization: str | None) -> Caller:
        """The caller with this `Authorization` header; of a declared user without its rights.

        Raises:
            NexusError: NX6401, no token or an unknown one.
        """
        scheme, _, shown = (authorization or "").partition(" ")
        token = shown.strip().encode("utf-8", "surrogateescape")
        if (tokens := self._newer()) is not None:
            self._take(tokens)
        found = self._owner(token)
        if found is None or scheme.lower() != "bearer":
            raise NexusError(
                "The token was refused." if shown else "A token is needed.",
                code="NX6401",
            )
        return Caller(found, held_by_platform(found) if found.startswith(OFFICE) else NOTHING)

    def _owner(self, token: bytes) -> str | None:
        found: str | None = None
        for name, known in self._tokens:
            if hmac.compare_digest(known, token):
                found = name
        return found


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
