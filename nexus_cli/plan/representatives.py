"""Few people for many: users with the same roles before and after a change gain and lose the same. Pure.

A site with a thousand users has a dozen kinds of them. One representative of each kind is compared; the groups of a login
provider, whose members are not declared, are kinds, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from nexus_cli.access.grants import RESERVED
from nexus_cli.model.access_config import LoginConfig, OidcConfig, UserConfig
from nexus_cli.model.resources import decode, every
from nexus_cli.model.snapshot import Attributes, Snapshot

OIDC = "oidc:"
"""In front of a provider's group, where principals are named: everybody whom the provider says to be in it."""
LOGIN = "login.api"
Profile = tuple[tuple[str, ...], tuple[str, ...]]
"""Roles and groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Both sides of a change with representatives instead of users.

    Attributes:
        before, after: The snapshots, without digests.
        principals: The principals that each one represents, sorted.
    """

    before: Snapshot
    after: Snapshot
    principals: Mapping[str, tuple[str, ...]]

    def nobody(self, snapshot: Snapshot) -> Snapshot:
        """A snapshot in which the representatives have no roles."""
        none: dict[str, Attributes] = {f"user.{name}": {"roles": []} for name in self.principals}
        return Snapshot(snapshot.enterprise, snapshot.site, {**snapshot.resources, **none}, {})


def sample_of(before: Snapshot, after: Snapshot, affected: Collection[str] | None) -> Sample:
    """The representatives of a change.

    Args:
        before, after: Both sides, complete.
        affected: Names of those to compare; None is everybody.
    """
    profiles = profiles_of(before), profiles_of(after)
    if not _same_people(before, after):
        profiles = {name: kind for name, kind in profiles[0].items() if not name.startswith(OIDC)}, profiles[1]
    names = sorted({*profiles[0], *profiles[1]} if affected is None else affected)
    kinds: dict[tuple[Profile | None, Profile | None], list[str]] = {}
    for name in names:
        kind = profiles[0].get(name), profiles[1].get(name)
        if any(kind):
            kinds.setdefault(kind, []).append(name)
    chosen = {f"p{number}": kind for number, kind in enumerate(kinds)}
    return Sample(
        before=_with(before, {name: kind[0] for name, kind in chosen.items()}),
        after=_with(after, {name: kind[1] for name, kind in chosen.items()}),
        principals={name: tuple(kinds[kind]) for name, kind in chosen.items()},
    )


def profiles_of(snapshot: Snapshot) -> dict[str, Profile]:
    """What each declared user, and each group of the login provider, has; NEXUS's own principals are left out."""
    users = every(snapshot, "user", UserConfig)
    found = {
        name: (tuple(sorted(user.every_role())), tuple(sorted(user.groups)))
        for name, user in users
        if not name.startswith(RESERVED)
    }
    return {**found, **{f"{OIDC}{group}": ((role,), ()) for group, role in mapped(snapshot).items()}}


def mapped(snapshot: Snapshot) -> dict[str, str]:
    """Role by group of the login provider; empty without one."""
    oidc = _provider(snapshot)
    return dict(oidc.groups) if oidc is not None else {}


def _provider(snapshot: Snapshot) -> OidcConfig | None:
    return decode(dict(snapshot.resources.get(LOGIN, {})), LoginConfig).oidc


def _same_people(before: Snapshot, after: Snapshot) -> bool:
    """False when another provider, or another claim, says who is in a group."""
    sides = _provider(before), _provider(after)
    if sides[0] is None or sides[1] is None:
        return True
    fields = ("issuer", "audience", "user_claim", "groups_claim")
    return all(getattr(sides[0], name) == getattr(sides[1], name) for name in fields)


def _with(snapshot: Snapshot, chosen: Mapping[str, Profile | None]) -> Snapshot:
    kept = {each: value for each, value in snapshot.resources.items() if not each.startswith("user.")}
    users: dict[str, Attributes] = {
        f"user.{name}": {"roles": list(kind[0]), "groups": list(kind[1])}
        for name, kind in chosen.items()
        if kind is not None
    }
    return Snapshot(snapshot.enterprise, snapshot.site, {**kept, **users}, {})
