"""The rights of declared users in control, from their recorded roles: read at each request, so that a revoked role has
effect at once.

Principals of NEXUS (`nexus.…`) have fixed rights (`held`).

See docs/decisions/0047 and 0072.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from nexus_cli.access.people import ADMIN, Moment, people
from nexus_cli.database import deployments as db
from nexus_cli.database import elevations
from nexus_cli.database.connect import Connection
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.access_config import LoginConfig, RoleConfig, UserConfig
from nexus_cli.model.resources import decode
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.runtime.identity.auth import OFFICE, Caller
from nexus_cli.runtime.identity.held import NOTHING, USER, Held, Named, held_by_roles

VERBS: dict[Named, str] = {
    "run": "run the sequence",
    "acknowledge": "acknowledge the alert",
    "alerts": "see the alert",
    "publish": "publish the message",
}
LOGIN = "login.api"


def require(caller: Caller, right: Named, name: str) -> None:
    """Raise NexusError NX6403 unless a caller has a right on the resource of this name."""
    if not caller.held.names(right, [name]):
        refuse(caller, right, name)


def refuse(caller: Caller, right: Named, name: str) -> NoReturn:
    """Raise NexusError NX6403."""
    raise NexusError(
        f"{caller.principal} may not {VERBS[right]} '{name[:100]}'.",
        code="NX6403",
        hint=f"a role with `{right}: [{name[:100]}]`, given to this user and applied",
    )


def require_admin(caller: Caller, what: str, *, why: str) -> None:
    """Raise NexusError NX6403 for a caller who is no administrator; `why` no other right is enough."""
    if not caller.held.admin:
        raise NexusError(f"{caller.principal} may not {what}.", code="NX6403", hint=f"a role with `admin: true`: {why}")


def named(caller: Caller, right: Named, names: Iterable[str]) -> set[str]:
    """The names on which a caller has a right; the right to acknowledge an alert includes the right to see it."""
    return caller.held.names(right, names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is recorded of a name that a person or program gave.

    Attributes:
        declared: Whether the site declares it.
        held: Its rights now; `NOTHING` when it is neither declared nor has a role.
    """

    declared: bool
    held: Held


async def known(
    conn: Connection, site: str, principal: str, *, at_us: int, issuer: str = "", groups: Sequence[str] = ()
) -> Known:
    """The rights of a user or application.

    Args:
        conn: Where they are recorded.
        site: `enterprise/site`.
        principal: Its name.
        at_us: The moment, µs since 1970 UTC.
        issuer, groups: Of a login at an OpenID provider: its groups give roles as long as the site says so.
    """
    if principal.startswith(OFFICE):
        return Known(declared=False, held=NOTHING)
    address = f"user.{principal}"
    found = await db.attributes(conn, site, [address, "site", LOGIN])
    user = decode(found[address], UserConfig) if address in found else None
    outside = roles_of_groups(found.get(LOGIN), issuer=issuer, groups=groups)
    if (user is None and not outside) or (issuer and outside is None):
        return Known(declared=False, held=NOTHING)
    outside = outside or []
    elevated = await elevations.elevated(conn, site, principal=principal)
    names = [*outside, *([ADMIN] if elevated else [])]
    resources = {"site": found.get("site", {})} | await _closure(conn, site, user, names)
    if user is not None:
        resources[address] = found[address]
    roles = {name: decode(resources.get(f"role.{name}", {}), RoleConfig) for name in outside}
    kind = USER
    for person in people(Snapshot("", "", resources, {}), Moment(at_us=at_us, elevated=elevated)):
        kind = person.kind
        roles |= {role.name: role.config for role in person.roles}
    return Known(declared=user is not None, held=held_by_roles(roles, kind=kind))


def roles_of_groups(login: Attributes | None, *, issuer: str, groups: Iterable[str]) -> list[str] | None:
    """The roles that groups of an OpenID provider give; None when the site names another provider, or none."""
    oidc = decode(login, LoginConfig).oidc if login and issuer else None
    if oidc is None or oidc.issuer != issuer:
        return None
    return list(dict.fromkeys(oidc.groups[group] for group in groups if group in oidc.groups))


async def _closure(conn: Connection, site: str, user: UserConfig | None, roles: list[str]) -> dict[str, Attributes]:
    """The groups and roles behind a user, by address."""
    groups = await db.attributes(conn, site, [f"group.{name}" for name in user.groups]) if user else {}
    names = [*roles, *(user.every_role() if user else ())]
    names += [role for group in groups.values() for role in group.get("roles", ())]
    found = await db.attributes(conn, site, [f"role.{name}" for name in dict.fromkeys(names)])
    return {**groups, **found}
