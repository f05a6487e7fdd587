"""From the `Authorization` header to a caller with its rights at this moment.

Whether a signed token was revoked, and what its principal may do, is read from the database at each request: a
revocation holds at once, in every control.

See docs/decisions/0072.
"""

from __future__ import annotations

from nexus_cli.database import tokens as stored
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.identity.auth import OFFICE, Caller, Tokens
from nexus_cli.runtime.identity.principals import known
from nexus_cli.runtime.identity.signing import SigningKeys
from nexus_cli.runtime.identity.tokens import looks_signed, read
from nexus_cli.settings import Settings
from nexus_cli.wire.control_access import ALL, LONGEST_TOKEN

SESSION = "session"


class Gate:
    """Authenticates callers."""

    def __init__(self, *, settings: Settings, pool: Pool, tokens: Tokens, keys: SigningKeys, clock: Clock) -> None:
        """Join what is known: the tokens of `credentials.json`, the keys of signed ones, and the record."""
        self._settings, self._pool, self._tokens, self._keys, self._clock = settings, pool, tokens, keys, clock

    async def caller(self, authorization: str | None) -> Caller:
        """The caller with this header.

        Raises:
            NexusError: NX6401 no token or one that is not ours, NX6412 it has ended, NX6413 it was revoked or its
                principal is gone, NX6200 the database does not answer.
        """
        scheme, _, shown = (authorization or "").partition(" ")
        token = shown.strip()
        if len(token) > LONGEST_TOKEN:
            raise NexusError("The token was refused.", code="NX6401", cause="too long")
        if looks_signed(token) and scheme.lower() == "bearer":
            return await self._signed(token)
        caller = self._tokens.caller(authorization)
        if caller.office:
            return caller
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                found = await known(conn, self._settings.site, caller.principal, at_us=self._clock.wall_us())
        return Caller(caller.principal, found.held)

    async def _signed(self, token: str) -> Caller:
        now_us, site = self._clock.wall_us(), self._settings.site
        claims = read(self._keys, token, site=site, now_us=now_us)
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                standing = await stored.standing(conn, site, claims.token_id)
                if standing is None or standing.principal != claims.principal or claims.principal.startswith(OFFICE):
                    raise NexusError("The token was refused.", code="NX6401", cause="not recorded")
                if not standing.valid:
                    raise _ended(revoked=standing.revoked)
                found = await known(
                    conn, site, claims.principal, at_us=now_us, issuer=claims.issuer, groups=claims.groups
                )
        if not found.declared and not found.held.scopes:
            raise NexusError("The token's user is no longer declared.", code="NX6413")
        only = None if ALL in standing.scopes else frozenset(standing.scopes)
        return Caller(claims.principal, found.held, only, claims.token_id, claims.expires)


def _ended(*, revoked: bool) -> NexusError:
    if revoked:
        return NexusError("The token was revoked.", code="NX6413")
    return NexusError("The token has ended.", code="NX6412")
