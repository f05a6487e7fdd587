"""Tokens, passwords and elevation of declared users: made, listed, ended, and recorded in the audit trail.

See docs/decisions/0072.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from ulid import ULID

from nexus_cli.access.accounts import account_in
from nexus_cli.access.passwords import Hashes, hash_password, make_password
from nexus_cli.access.people import Moment, people
from nexus_cli.database import credentials, elevations, tokens
from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Connection, Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.diagnostics.wording import duration
from nexus_cli.model.access_config import APPLICATION, UserConfig
from nexus_cli.model.resources import decode
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.identity.auth import OFFICE, Caller
from nexus_cli.runtime.identity.gate import SESSION
from nexus_cli.runtime.identity.signing import SigningKeys
from nexus_cli.runtime.identity.tokens import Claims, sign
from nexus_cli.settings import Settings
from nexus_cli.wire.control_access import (
    ALL,
    SCOPES,
    AccessOverview,
    Account,
    Elevation,
    KeyRenewed,
    NewPassword,
    NewToken,
    TokenInfo,
    TokenRequest,
)

TOKEN = "token"  # noqa: S105 - a kind, no secret
Changed = Callable[[], Awaitable[None]]
"""Called after passwords or elevation changed, so that the brokers' files follow."""


async def _nothing() -> None:
    return None


class Accounts:
    """The operations behind `/access`. Writing takes the leader's pool."""

    def __init__(
        self,
        *,
        settings: Settings,
        pool: Pool,
        keys: SigningKeys,
        clock: Clock,
        changed: Changed = _nothing,
    ) -> None:
        """`changed` is awaited after each change of a password or an elevation."""
        self._settings, self._pool, self._keys, self._clock = settings, pool, keys, clock
        self.changed = changed

    async def make_token(self, caller: Caller, asked: TokenRequest, *, leader: Pool) -> NewToken:
        """Make a token.

        Raises:
            NexusError: NX6422, an unknown scope, more than the caller's own token may, or a principal that may have
                none; NX6403, a token for another without the right to it.
        """
        principal = asked.principal or caller.principal
        scopes = list(dict.fromkeys(asked.scopes))
        self._check_scopes(caller, scopes)
        if principal != caller.principal and not caller.may("access:admin"):
            raise NexusError(f"{caller.principal} may not make tokens of others.", code="NX6403")
        if caller.only is not None and ALL in scopes:
            scopes = sorted(caller.only)  # no token gives more than the one that made it
        site, token_id = self._settings.site, str(ULID())
        with plain_errors(self._settings):
            async with leader.acquire() as conn:
                if principal.startswith(OFFICE) or not await db.attributes(conn, site, [f"user.{principal}"]):
                    raise _not_declared(principal, await db.attributes_of_kind(conn, site, "user"), code="NX6422")
                info = await tokens.add(
                    conn,
                    site,
                    token_id=token_id,
                    principal=principal,
                    kind=TOKEN,
                    scopes=scopes,
                    ttl_s=asked.ttl_s,
                    made_by=caller.principal,
                    note=asked.note,
                )
                if info is None:
                    raise NexusError(f"{principal} has too many valid tokens.", code="NX6422")
                detail = {"id": token_id, "detail": " ".join(scopes), "reason": asked.note}
                await db.write_audit(
                    conn, site, who=caller.principal, what="make-token", subject=principal, detail=detail
                )
        claims = Claims(token_id=token_id, principal=principal, expires=info.expires)
        signed = sign(self._keys, claims, site=site, scopes=scopes, now_us=self._clock.wall_us())
        return NewToken(token=signed, **{name: getattr(info, name) for name in info.__struct_fields__})

    def _check_scopes(self, caller: Caller, scopes: Sequence[str]) -> None:
        unknown = [scope for scope in scopes if scope != ALL and scope not in SCOPES]
        if unknown:
            raise NexusError(
                f"'{unknown[0]}' is not a scope.", code="NX6422", hint=f"scopes are {', '.join([ALL, *SCOPES])}"
            )
        if caller.only is not None and (more := [each for each in scopes if each != ALL and each not in caller.only]):
            raise NexusError(f"The token that asks has not the scope {more[0]}.", code="NX6422")

    async def tokens(self, caller: Caller, *, principal: str) -> list[TokenInfo]:
        """Tokens of a principal, or of everybody (""); who may not see all sees its own."""
        if not caller.may("access:read"):
            principal = caller.principal
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                return await tokens.listing(conn, self._settings.site, principal=principal)

    async def revoke(self, caller: Caller, token_id: str, *, leader: Pool) -> bool:
        """Revoke a token; False when it had ended. Raises NexusError NX6423 for one that the caller can't see."""
        with plain_errors(self._settings):
            async with leader.acquire() as conn:
                found = await tokens.find(conn, self._settings.site, token_id)
                mine = found is not None and found.principal == caller.principal
                if found is None or not (mine or caller.may("access:admin")):
                    raise NexusError(
                        "There is no such token.", code="NX6423", hint="`nexus access tokens list` shows their ids"
                    )
                done = await tokens.revoke(conn, self._settings.site, token_id)
                if done:
                    await self._audit(conn, caller.principal, "revoke-token", found.principal, id=token_id)
        return done

    async def logout(self, caller: Caller, *, leader: Pool) -> bool:
        """Revoke the token of the request itself; False for one of `credentials.json`."""
        if not caller.token:
            return False
        with plain_errors(self._settings):
            async with leader.acquire() as conn:
                done = await tokens.revoke(conn, self._settings.site, caller.token)
                if done:
                    await self._audit(conn, caller.principal, "logout", caller.principal, id=caller.token)
        return done

    async def elevate(self, user: str, *, for_s: int, reason: str, by: str, leader: Pool) -> Elevation:
        """Give a declared user the role `admin` for a while.

        Raises:
            NexusError: NX6425, any other name, and an application; NX6403, `by` is elevated itself: it would have no end.
        """
        site = self._settings.site
        with plain_errors(self._settings):
            async with leader.acquire() as conn:
                if by in await elevations.elevated(conn, site):
                    raise NexusError(f"{by} is elevated, and can't elevate.", code="NX6403")
                if (await self._people(conn, [user]))[user].kind == APPLICATION:
                    raise NexusError(f"'{user}' is an application: elevation is for people.", code="NX6425")
                made = await elevations.give(
                    conn, site, elevation_id=str(ULID()), principal=user, reason=reason, given_by=by, for_s=for_s
                )
                await self._audit(
                    conn, by, "elevate", user, id=made.id, reason=reason, detail=f"for {duration(for_s * 1000)}"
                )
        await self.changed()
        return made

    async def elevations(self) -> list[Elevation]:
        """Those in force, the newest first."""
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                return await elevations.current(conn, self._settings.site)

    async def end_elevation(self, elevation_id: str, *, by: str, leader: Pool) -> bool:
        """End one now; False when it was not in force."""
        with plain_errors(self._settings):
            async with leader.acquire() as conn:
                ended = await elevations.end(conn, self._settings.site, elevation_id)
                if ended is not None:
                    await self._audit(conn, by, "end-elevation", ended.principal, id=elevation_id)
        if ended is not None:
            await self.changed()
        return ended is not None

    async def rotate(self, principals: Sequence[str], *, keep_old_s: int, by: str, leader: Pool) -> list[NewPassword]:
        """Make new passwords, of everybody without `principals`; all of them, or none.

        Raises:
            NexusError: NX6425, one of the names is not declared; NX6426, the site file names its password. Of everybody
                those are left out.

        With `keep_old_s` 0 sessions end with the old password; tokens stay.
        """
        site = self._settings.site
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                users = await self._people(conn, principals)
        users = _made_here(users, named=bool(principals))
        clear = {name: make_password() for name in users}
        hashes = {name: await _hashed(clear[name], login=users[name].kind != APPLICATION) for name in users}
        made = []
        with plain_errors(self._settings):
            async with leader.acquire() as conn:
                await self._people(conn, list(users))
                for name in users:
                    slot, ends = await credentials.put(
                        conn, site, principal=name, hashes=hashes[name], made_by=by, keep_old_s=keep_old_s
                    )
                    if not keep_old_s:  # a password that others know: what they logged in with it ends, too
                        await tokens.revoke_all(conn, site, principal=name, kind=SESSION)
                    made.append(NewPassword(principal=name, password=clear[name], slot=slot, old_expires=ends))
                    ends_in = duration(keep_old_s * 1000)
                    account = account_in(slot, name)
                    detail = f"of the account {account}; the one before ends in {ends_in}"
                    await self._audit(conn, by, "rotate", name, detail=detail)
        await self.changed()
        return made

    async def renew_key(self, *, by: str, leader: Pool) -> KeyRenewed:
        """Sign with a new key from now on."""
        with plain_errors(self._settings):
            async with leader.acquire() as conn:
                made, previous = self._keys.renew()
                await self._audit(conn, by, "renew-signing-key", made.kid)
        return KeyRenewed(key=made.kid, previous=previous.kid if previous else "")

    async def overview(self) -> AccessOverview:
        """Every account by name."""
        site = self._settings.site
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                resources = await self._resources(conn)
                stored = await credentials.every(conn, site)
                counts = await tokens.counts(conn, site)
                given = await elevations.current(conn, site)
                elevated = await elevations.elevated(conn, site)
        moment = Moment(at_us=self._clock.wall_us(), elevated=elevated)
        accounts = []
        for person in people(Snapshot("", "", resources, {}), moment):
            slots = stored.get(person.name, [])
            count = counts.get(person.name, {})
            accounts.append(
                Account(
                    principal=person.name,
                    kind=person.kind,
                    roles=[role.name for role in person.roles],
                    password=any(each.active for each in slots),
                    password_made=max((each.made for each in slots), default=None),
                    old_expires=next((each.expires for each in slots if not each.active), None),
                    tokens=count.get(TOKEN, 0),
                    sessions=count.get("session", 0),
                    elevated_until=elevated.get(person.name),
                )
            )
        return AccessOverview(accounts=accounts, elevations=given)

    async def _resources(self, conn: Connection) -> dict[str, Attributes]:
        found: dict[str, Attributes] = {}
        for kind in ("user", "group", "role"):
            of_kind = await db.attributes_of_kind(conn, self._settings.site, kind)
            found |= {f"{kind}.{name}": attributes for name, attributes in of_kind.items()}
        return found | await db.attributes(conn, self._settings.site, ["site"])

    async def _people(self, conn: Connection, names: Sequence[str]) -> dict[str, UserConfig]:
        """The declared users of these names, of everybody without names; sorted."""
        users = await db.attributes_of_kind(conn, self._settings.site, "user")
        users = {name: value for name, value in users.items() if not name.startswith(OFFICE)}
        unknown = [name for name in names if name not in users]
        if unknown:
            raise _not_declared(unknown[0], users, code="NX6425")
        return {name: decode(users[name], UserConfig) for name in sorted(set(names) or users)}

    async def _audit(self, conn: Connection, who: str, what: str, subject: str, **detail: str) -> None:
        await db.write_audit(conn, self._settings.site, who=who, what=what, subject=subject, detail=detail)


def _made_here(users: dict[str, UserConfig], *, named: bool) -> dict[str, UserConfig]:
    """Without those whose password the site file names: that one would come back at once."""
    found = {name: user for name, user in users.items() if not user.password}
    if named and len(found) < len(users):
        other = next(name for name in users if name not in found)
        raise NexusError(f"The site file names the password of '{other}'.", code="NX6426")
    return found


async def _hashed(password: str, *, login: bool) -> Hashes:
    return await asyncio.to_thread(hash_password, password, argon2id=login)


def _not_declared(name: str, declared: Iterable[str], *, code: str) -> NexusError:
    hint = did_you_mean(name, (one for one in declared if not one.startswith(OFFICE)))
    hint = hint or "declare it under `access: users:` of the site, and `nexus apply`"
    return NexusError(f"'{name[:100]}' is not a user or application of this site.", code=code, hint=hint)
