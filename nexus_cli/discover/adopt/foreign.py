"""Users, roles and rules of a broker that others wrote, in one form for every broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nexus_cli.access.request import Rules


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
    """

    role: str
    text: str
    filter: str
    publish: bool = False
    subscribe: bool = False
    allow: bool = True
    odd: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Everything of one broker.

    Attributes:
        broker: Its name, for people.
        rules: In the order of the file.
        users: Roles by name of a user, in the order of the file.
        decide: The rules as the broker answers them.
    """

    broker: str
    rules: tuple[ForeignRule, ...]
    users: Mapping[str, tuple[str, ...]]
    decide: Rules

    @property
    def entries(self) -> int:
        """How many things there are: each rule and each user."""
        return len(self.rules) + len(self.users)
