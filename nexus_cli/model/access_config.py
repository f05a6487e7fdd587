"""`access:` in normal form: the resources `role.NAME`, `user.NAME` (applications, too), `group.NAME` and `login.api`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from nexus_cli.model.access import DEFAULT_CLASS, Access, Deny, Group, Login, Member, Right, Role, Scope, User
from nexus_cli.model.shipped_roles import SHIPPED

Path = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
APPLICATION = "application"


class ScopeConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tags by path and by what is said of their device; an empty field asks nothing.

    Attributes:
        path: A path glob (`*` one level, `**` any number).
        protocol: Of the device.
        gateway: Name or glob of the gateway that reads it.
        labels: All of them must be among those of the device, its line and its area (the nearest wins).
        classification: Highest class of data; "" asks nothing beyond the role's clearance.
    """

    path: Path = "**"
    protocol: str = ""
    gateway: str = ""
    labels: dict[str, str] = {}
    classification: str = ""


Scoped = Path | ScopeConfig


def glob_of(right: str | ScopeConfig) -> str:
    """The path glob of a right, whatever else it asks."""
    return right if isinstance(right, str) else right.path


class DenyConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What no role of a user may give it; fields as in `RoleConfig`."""

    read: list[Scoped] = []
    write: list[Scoped] = []
    publish: list[Path] = []
    subscribe: list[Path] = []
    run: list[Path] = []
    acknowledge: list[Path] = []
    alerts: list[Path] = []


class RoleConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resource `role.NAME`.

    Attributes:
        read, write: Tags: path globs (`*` one level, `**` any number), or more of them.
        publish, subscribe: Names of messages, or globs of names; with a `/`, path globs of external devices' topics.
        run: Names of sequences, or globs.
        acknowledge, alerts: Names of alerts, or globs; who may acknowledge them may also subscribe to them.
        apply: Path globs of what may be changed by a deployment; `**` is the whole site.
        admin: Everything that control's API offers.
        clearance: Highest class of data that `read` and `write` reach; "" is `internal`.
        deny: What its users may not do, whatever else allows it.
        description: For people.
    """

    read: list[Scoped] = []
    write: list[Scoped] = []
    publish: list[Path] = []
    subscribe: list[Path] = []
    run: list[Path] = []
    acknowledge: list[Path] = []
    alerts: list[Path] = []
    apply: list[Path] = []
    admin: bool = False
    clearance: str = ""
    deny: DenyConfig | None = None
    description: str | None = None


class GroupConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resource `group.NAME`: roles that several users have.

    Attributes:
        roles: Names of its roles.
        valid_from, valid_until: A day (in the site's zone, both with it), or a moment with its offset; "" is open.
        hours: Times of the week, as `model.access.parse_hours` reads them; none is always.
        description: For people.
    """

    roles: list[Path] = []
    valid_from: str = ""
    valid_until: str = ""
    hours: list[str] = []
    description: str = ""


class UserConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resource `user.NAME`: a person, a panel or a program.

    Attributes:
        roles: Names of its roles.
        role: One more; written by clients that use the site language's form.
        groups: Groups whose roles it has, too.
        kind: `application` for a program; "" for a person or a panel.
        password: Reference of its password (`${env:…}`, `${file:…}`), unresolved; "" when one is made.
        valid_from, valid_until, hours: As of a `GroupConfig`.
        description: For people.
    """

    roles: list[Path] = []
    role: str | None = None
    groups: list[Path] = []
    kind: str = ""
    password: str = ""
    valid_from: str = ""
    valid_until: str = ""
    hours: list[str] = []
    description: str = ""

    def every_role(self) -> list[str]:
        """Names of all its own roles, each once, in their order; those of its groups are not among them."""
        return list(dict.fromkeys([*self.roles, *([self.role] if self.role else [])]))


class OidcConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An OpenID provider; fields as in the site language, `leeway_ms` in ms."""

    issuer: str
    audience: str
    user_claim: str = "preferred_username"
    groups_claim: str = "groups"
    groups: dict[str, str] = {}
    leeway_ms: int = 60_000


class LoginConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resource `login.api`: how people log in to the API.

    Attributes:
        session_ms: How long a login holds, in ms.
        oidc: An OpenID provider; None for the site's own accounts alone.
    """

    session_ms: int = 28_800_000
    oidc: OidcConfig | None = None


def access_resources(access: Access) -> dict[str, dict[str, Any]]:
    """The resources of `access:`, by address; of the shipped roles those that are in use."""
    written: dict[str, dict[str, Any]] = {}
    for name, role in {**_shipped_in_use(access), **access.roles}.items():
        written[f"role.{name}"] = {"read": [], "write": [], **_plain(role_config(role))}
    for name, user in access.users.items():
        written[f"user.{name}"] = {"roles": [], **_plain(_user(user))}
    for name, application in access.applications.items():
        written.setdefault(f"user.{name}", {"roles": [], **_plain(_user(application, kind=APPLICATION))})
    for name, group in access.groups.items():
        written[f"group.{name}"] = {"roles": [], **_plain(_group(group))}
    if access.login is not None:
        written["login.api"] = _plain(_login(access.login))
    return written


def shipped_role(name: str) -> RoleConfig:
    """A shipped role in normal form.

    Raises:
        KeyError: None is called so.
    """
    return role_config(SHIPPED[name])


def _shipped_in_use(access: Access) -> Mapping[str, Role]:
    members: list[Member] = [*access.users.values(), *access.applications.values(), *access.groups.values()]
    used = {role for member in members for role in _roles(member)}
    if access.login is not None and access.login.oidc is not None:
        used |= set(access.login.oidc.groups.values())
    return {name: role for name, role in SHIPPED.items() if name in used}


def _plain(config: msgspec.Struct) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(config)
    return plain


def role_config(role: Role) -> RoleConfig:
    """A role in normal form."""
    return RoleConfig(
        read=_scoped(role.read),
        write=_scoped(role.write),
        publish=list(role.publish),
        subscribe=list(role.subscribe),
        run=list(role.run),
        acknowledge=list(role.acknowledge),
        alerts=list(role.alerts),
        apply=list(role.apply),
        admin=role.admin,
        clearance="" if role.clearance == DEFAULT_CLASS else role.clearance,
        deny=None if role.deny is None else _deny(role.deny),
        description=role.description,
    )


def _deny(deny: Deny) -> DenyConfig:
    return DenyConfig(
        read=_scoped(deny.read),
        write=_scoped(deny.write),
        publish=list(deny.publish),
        subscribe=list(deny.subscribe),
        run=list(deny.run),
        acknowledge=list(deny.acknowledge),
        alerts=list(deny.alerts),
    )


def _scoped(rights: Sequence[Right]) -> list[str | ScopeConfig]:
    return [right if isinstance(right, str) else scope_config(right) for right in rights]


def scope_config(scope: Scope) -> ScopeConfig:
    """A scope in normal form."""
    return ScopeConfig(
        path=scope.path,
        protocol=scope.protocol or "",
        gateway=scope.gateway or "",
        labels=dict(scope.labels or {}),
        classification=scope.classification or "",
    )


def _roles(member: Member) -> list[str]:
    return list(dict.fromkeys([*([member.role] if member.role is not None else []), *member.roles]))


def _when(member: Member) -> dict[str, Any]:
    valid = member.valid
    return {
        "valid_from": (valid.from_ or "") if valid else "",
        "valid_until": (valid.until or "") if valid else "",
        "hours": list(member.hours),
        "description": member.description or "",
    }


def _user(user: User, *, kind: str = "") -> UserConfig:
    return UserConfig(
        roles=_roles(user), groups=list(user.groups), kind=kind, password=user.password or "", **_when(user)
    )


def _group(group: Group) -> GroupConfig:
    return GroupConfig(roles=_roles(group), **_when(group))


def _login(login: Login) -> LoginConfig:
    oidc = login.oidc
    return LoginConfig(
        session_ms=login.session,
        oidc=None
        if oidc is None
        else OidcConfig(
            issuer=oidc.issuer,
            audience=oidc.audience,
            user_claim=oidc.user_claim,
            groups_claim=oidc.groups_claim,
            groups=dict(oidc.groups),
            leeway_ms=oidc.leeway,
        ),
    )
