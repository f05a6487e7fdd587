"""Users, roles and rules of a broker that others wrote, in one form for every broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from nexus_cli.access.request import Rules

EVERYBODY = "for everybody, or for clients without a name: a right of a site belongs to a user"
PATTERN = "a pattern with the name of the client: a site has no such right"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRule:
    """One rule as the broker has it.

    Attributes:
        role: The role that has it; "" is everybody, or clients without a name.
        text: For people, with its place.
        filter: The topics that it is about.
        publish, subscribe: What it is about.
        allow: False takes away.
        odd: Why it has no equal in a site; "" when it may have one.
        cuts: Of a denial: whether it takes away from every rule of its role, in whatever order they are. False where the
            reader knows the order, and has marked what it takes away from as `odd`.
    """

    role: str
    text: str
    filter: str
    publish: bool = False
    subscribe: bool = False
    allow: bool = True
    odd: str = ""
    cuts: bool = True


Kind = Literal["role", "group", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """What a broker has besides rules and users: a role, a group, a disabled client, a default.

    Attributes:
        kind: Which; `other` has its answer with it.
        name: Of the role or group.
        text: For people.
        users, roles: Of a group.
        reason: Why a site can't have it; "" when it may.
        becomes: Of `other`: what a site has for it; "" when it has nothing.
    """

    kind: Kind
    text: str
    name: str = ""
    users: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    reason: str = ""
    becomes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Everything of one broker.

    Attributes:
        broker: Its name, for people.
        rules: In the order of the file.
        users: Roles by name of a user, in the order of the file.
        decide: The rules as the broker answers them.
        odd_users: Why a user can't be one of a site, by name; they are among `users`.
        things: Roles, groups and the rest, where the broker has them as things of their own.
    """

    broker: str
    rules: tuple[ForeignRule, ...]
    users: Mapping[str, tuple[str, ...]]
    decide: Rules
    odd_users: Mapping[str, str] = field(default_factory=dict)
    things: tuple[Thing, ...] = ()

    @property
    def entries(self) -> int:
        """How many things there are: each rule, each user, and each of `things`."""
        return len(self.rules) + len(self.users) + len(self.things)
