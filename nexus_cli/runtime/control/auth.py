"""Who calls: bearer tokens from the credentials, compared in constant time, each with its scope."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings

GATEWAY = "nexus.gateway."
READERS = ("nexus.historian",)
"""Principals that may read state and alerts, but deploy nothing."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal that showed its token."""

    principal: str

    @property
    def gateway(self) -> str:
        """Name of the gateway it is, "" for everyone else."""
        return self.principal.removeprefix(GATEWAY) if self.principal.startswith(GATEWAY) else ""

    def may_read_gateway(self, name: str) -> bool:
        """A gateway reads its own configuration; everyone else with a token may read any."""
        return not self.gateway or self.gateway == name

    @property
    def may_read(self) -> bool:
        """State, resources, deployments, alerts."""
        return not self.gateway

    @property
    def may_deploy(self) -> bool:
        """Deploy, break the lock, acknowledge alerts."""
        return not self.gateway and self.principal not in READERS


class Tokens:
    """The known tokens. All of them are compared, so that the time tells nothing about a near miss."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._tokens = [(name, token.encode()) for name, token in sorted(tokens.items()) if token]

    @classmethod
    def of(cls, settings: Settings) -> Tokens:
        """Tokens of `credentials.json` (`api`), and our own from the environment."""
        known = {str(name): str(token) for name, token in (settings.credentials.get("api") or {}).items()}
        if settings.control_token:
            known.setdefault(settings.principal, settings.control_token)
        return cls(known)

    def caller(self, authorization: str | None) -> Caller:
        """Who shows this `Authorization` header.

        Raises:
            NexusError: NX6401, no token or an unknown one.
        """
        scheme, _, shown = (authorization or "").partition(" ")
        token = shown.strip().encode("utf-8", "surrogateescape")
        found: str | None = None
        for name, known in self._tokens:
            if hmac.compare_digest(known, token):
                found = name
        if found is None or scheme.lower() != "bearer":
            raise NexusError(
                "Control refused the token." if shown else "Control wants a token.",
                code="NX6401",
                hint="NEXUS_CONTROL_TOKEN, or the token of your principal in .nexus/credentials.json",
            )
        return Caller(found)
