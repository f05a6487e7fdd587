"""Authentication: bearer tokens from the credentials, compared in constant time, each with its scope."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import CREDENTIALS_FILE, Settings

OFFICE = "nexus."
"""Prefix of NEXUS's own principals; no declared user may have it."""
GATEWAY = "nexus.gateway."
READERS = ("nexus.historian",)
"""Principals that may read state and alerts, but not deploy."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated principal."""

    principal: str

    @property
    def gateway(self) -> str:
        """Its gateway name; "" for other principals."""
        return self.principal.removeprefix(GATEWAY) if self.principal.startswith(GATEWAY) else ""

    @property
    def office(self) -> bool:
        """True for NEXUS's own principals; the rights of declared users are in `principals.Principals`."""
        return self.principal.startswith(OFFICE)

    def may_read_gateway(self, name: str) -> bool:
        """A gateway may read its own configuration; readers of the state may read any."""
        return self.may_read or (self.gateway == name and bool(name))

    @property
    def may_read(self) -> bool:
        """State, resources, deployments, alerts."""
        return self.office and not self.gateway

    @property
    def may_deploy(self) -> bool:
        """Deploy, break the lock, run every sequence, acknowledge every alert."""
        return self.may_read and self.principal not in READERS


May = Callable[[Callable[[Caller], bool]], Any]
"""Makes a dependency of FastAPI, which gives the caller, from what a caller must be allowed to."""


class Tokens:
    """The known tokens. All are compared each time, so that the duration reveals nothing."""

    def __init__(
        self, tokens: Mapping[str, str], *, newer: Callable[[], Mapping[str, str] | None] | None = None
    ) -> None:
        """Set the tokens.

        Args:
            tokens: By principal.
            newer: Called for an unknown token: returns the current tokens, None when they are unchanged.
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
            """The file again, for users that were applied while control runs."""
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
        """The caller with this `Authorization` header.

        Raises:
            NexusError: NX6401, no token or an unknown one.
        """
        scheme, _, shown = (authorization or "").partition(" ")
        token = shown.strip().encode("utf-8", "surrogateescape")
        found = self._owner(token)
        if found is None and token and (tokens := self._newer()) is not None:
            self._take(tokens)
            found = self._owner(token)
        if found is None or scheme.lower() != "bearer":
            raise NexusError(
                "Control refused the token." if shown else "Control wants a token.",
                code="NX6401",
            )
        return Caller(found)

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
