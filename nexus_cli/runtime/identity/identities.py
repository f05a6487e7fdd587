"""The parts of identity, joined for one control."""

from __future__ import annotations

from nexus_cli.database.connect import Pool
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.identity.accounts import Accounts
from nexus_cli.runtime.identity.auth import Tokens
from nexus_cli.runtime.identity.gate import Gate
from nexus_cli.runtime.identity.logins import Logins
from nexus_cli.runtime.identity.refusals import Refusals
from nexus_cli.runtime.identity.signing import SigningKeys
from nexus_cli.settings import Settings


class Identities:
    """Who calls, who logs in, what was refused.

    Attributes:
        tokens: Those of `credentials.json`.
        gate: Authenticates callers.
        logins: Makes sessions.
        accounts: Tokens, passwords, elevation.
        refusals: Counts and records.
    """

    def __init__(self, *, settings: Settings, pool: Pool, clock: Clock) -> None:
        """Join them for the site of the settings."""
        keys = SigningKeys.of(settings)
        self.tokens = Tokens.of(settings)
        self.gate = Gate(settings=settings, pool=pool, tokens=self.tokens, keys=keys, clock=clock)
        self.logins = Logins(settings=settings, pool=pool, keys=keys, clock=clock)
        self.accounts = Accounts(settings=settings, pool=pool, keys=keys, clock=clock)
        self.refusals = Refusals(settings=settings, pool=pool, clock=clock)
