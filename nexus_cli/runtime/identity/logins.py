"""Logins with a password or a token of the OpenID provider: throttled, in constant time for unknown users, and bounded
in what they cost.

See docs/decisions/0072.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

import msgspec
from ulid import ULID

from nexus_cli.access.passwords import Hashes, hash_password, make_password, verify
from nexus_cli.database import credentials, tokens
from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Connection, Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.access_config import LoginConfig, OidcConfig
from nexus_cli.model.resources import decode
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.identity.gate import SESSION
from nexus_cli.runtime.identity.held import USER
from nexus_cli.runtime.identity.oidc import person_of, refused
from nexus_cli.runtime.identity.principals import LOGIN, known, roles_of_groups
from nexus_cli.runtime.identity.provider import Provider
from nexus_cli.runtime.identity.signing import SigningKeys
from nexus_cli.runtime.identity.throttle import Throttle
from nexus_cli.runtime.identity.tokens import Claims, sign
from nexus_cli.settings import Settings
from nexus_cli.wire.control_access import ALL, OidcProvider, Session

AT_ONCE = 2
"""Passwords that are verified at the same time: each takes a core for some 50 ms."""
MOST_WAITING = 20
"""Logins that wait for that; further ones are asked to come back."""
SLOTS = 2
"""Each failed login verifies so many hashes, however many there are: its time says nothing about the user."""


class ThrottledError(NexusError):
    """Too many failed logins.

    Attributes:
        retry_after_s: Whole seconds.
    """

    def __init__(self, wait_s: float) -> None:
        self.retry_after_s = max(1, math.ceil(wait_s))
        super().__init__(
            "Too many failed logins.",
            code="NX6416",
            hint=f"try again in {self.retry_after_s} s",
            retriable=True,
        )


class RefusedLoginError(NexusError):
    """A login was refused.

    Attributes:
        who: The user, if the site has one of this name; any other name may be a password in the wrong field.
    """

    def __init__(self, why: str = "", *, who: str = "") -> None:
        self.who = who
        super().__init__(f"The login was refused{why}.", code="NX6415")


class Logins:
    """Makes sessions."""

    def __init__(
        self, *, settings: Settings, pool: Pool, keys: SigningKeys, clock: Clock, provider: Provider | None = None
    ) -> None:
        """Read with `pool`; a login writes with the leader's."""
        self._settings, self._pool, self._keys, self._clock = settings, pool, keys, clock
        self.throttle = Throttle()
        self.provider = provider or Provider(clock=clock)
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._dummy: Hashes | None = None

    async def password(self, user: str, password: str, *, address: str, leader: Pool) -> Session:
        """Log in with a password.

        Raises:
            NexusError: NX6415 refused, NX6416 throttled, NX6417 too many logins at once.
        """
        self._throttled(user, address)
        site = self._settings.site
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                stored = await credentials.valid(conn, site, user)
        if not await self._verify(password, [each.hashes for each in stored]):
            raise RefusedLoginError(who=user if stored else "")
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                found = await known(conn, site, user, at_us=self._clock.wall_us())
        if not found.declared or found.held.kind != USER:
            raise RefusedLoginError(who=user)
        if not found.held.roles:  # said to who has the password alone
            raise RefusedLoginError(": no role is valid now", who=user)
        self.throttle.succeeded(user, address, now_s=self._clock.monotonic_s())
        return await self._session(user, leader=leader, how="password", address=address)

    async def oidc(self, token: str, *, address: str, leader: Pool) -> Session:
        """Log in with a token of the OpenID provider.

        Raises:
            NexusError: NX6416 throttled, NX6418 none is configured, NX6419 refused, NX6420 the provider is away.
        """
        self._throttled("", address)
        config = await self._config()
        if config.oidc is None:
            raise _no_provider()
        try:
            person = person_of(await self.provider.claims(config.oidc, token), config.oidc)
        except NexusError as error:
            if error.code == "NX6420":  # not the client's fault
                self.throttle.succeeded("", address, now_s=self._clock.monotonic_s())
            raise
        site, issuer = self._settings.site, config.oidc.issuer
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                found = await known(
                    conn, site, person.user, at_us=self._clock.wall_us(), issuer=issuer, groups=person.groups
                )
        if found.held.kind != USER or not found.held.roles:
            raise refused("no role: none of its groups is one that the site names, and no user of this name has a role")
        self.throttle.succeeded("", address, now_s=self._clock.monotonic_s())
        return await self._session(
            person.user, leader=leader, how="oidc", address=address, oidc=config.oidc, groups=person.groups
        )

    async def describe_provider(self) -> OidcProvider:
        """The provider, for a page. Raises NexusError: NX6418 none is configured, NX6420 it is away."""
        oidc = (await self._config()).oidc
        if oidc is None:
            raise _no_provider()
        document = await self.provider.discovery(oidc)
        ends = {name: str(document.get(name, "")) for name in ("authorization_endpoint", "token_endpoint")}
        return OidcProvider(issuer=oidc.issuer, client_id=oidc.audience, **ends)

    def _throttled(self, user: str, address: str) -> None:
        wait_s = self.throttle.begin(user, address, now_s=self._clock.monotonic_s())
        if wait_s > 0.0:
            raise ThrottledError(wait_s)

    async def _verify(self, password: str, stored: list[Mapping[str, str]]) -> bool:
        """Whether a password fits one of the hashes; unknown users take as long."""
        if self._waiting >= MOST_WAITING:
            raise NexusError("Too many logins at once.", code="NX6417", retriable=True)
        self._waiting += 1
        try:
            async with self._turn:
                if self._dummy is None:
                    self._dummy = await asyncio.to_thread(hash_password, make_password(), iterations=1)
                hashes = [msgspec.convert(each, Hashes) for each in stored]
                # A user without a login (an application) has no argon2id form: that would fail at once.
                tried = [each if each.argon2id else self._dummy for each in hashes][:SLOTS]
                tried += [self._dummy] * (SLOTS - len(tried))
                for each in tried:
                    if await asyncio.to_thread(verify, password, each):
                        return True
                return False
        finally:
            self._waiting -= 1

    async def _config(self) -> LoginConfig:
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                found = await db.attributes(conn, self._settings.site, [LOGIN])
        return decode(found.get(LOGIN, {}), LoginConfig)

    async def _session(
        self,
        user: str,
        *,
        leader: Pool,
        how: str,
        address: str,
        oidc: OidcConfig | None = None,
        groups: tuple[str, ...] = (),
    ) -> Session:
        config, site, token_id = await self._config(), self._settings.site, str(ULID())
        with plain_errors(self._settings):
            async with leader.acquire() as conn:
                info = await tokens.add(
                    conn,
                    site,
                    token_id=token_id,
                    principal=user,
                    kind=SESSION,
                    scopes=[ALL],
                    ttl_s=config.session_ms / 1000,
                    made_by=user,
                )
                if info is None:
                    raise NexusError("The login was refused: this user has too many valid sessions.", code="NX6417")
                await self._record(conn, user, how=how, address=address, token_id=token_id)
        issuer = oidc.issuer if oidc else ""
        claims = Claims(token_id=token_id, principal=user, expires=info.expires, issuer=issuer, groups=groups)
        login = _recorded_form(config)
        return Session(
            id=token_id,
            token=sign(self._keys, claims, site=site, scopes=[ALL], now_us=self._clock.wall_us()),
            principal=user,
            roles=roles_of_groups(login, issuer=issuer, groups=groups) or [],
            expires=info.expires,
        )

    async def _record(self, conn: Connection, user: str, *, how: str, address: str, token_id: str) -> None:
        detail = {"detail": how, "address": address, "id": token_id}
        await db.write_audit(conn, self._settings.site, who=user, what="login", subject=address, detail=detail)
        await tokens.forget_ended(conn, self._settings.site)


def _recorded_form(config: LoginConfig) -> dict[str, object]:
    """`login.api` as it is recorded."""
    plain: dict[str, object] = msgspec.to_builtins(config)
    return plain


def _no_provider() -> NexusError:
    return NexusError("No OpenID provider is configured.", code="NX6418")
