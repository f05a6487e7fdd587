"""What the roles of a user deny: each of them binds whatever another one allows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nexus_cli.access.scopes import Right
from nexus_cli.model.access_config import RoleConfig


@dataclass(frozen=True, slots=True)
class Denials:
    """What all roles of a user deny, together.

    Attributes:
        read: Of tags and topics: never seen.
        write: Of tags: never commanded, and never published where others publish them.
        topics: Path globs of topics that are never published, beside `write`.
        publish, subscribe, alerts, acknowledge, run: Names of messages, alerts and sequences, or globs of names.
    """

    read: tuple[Right, ...] = ()
    write: tuple[Right, ...] = ()
    topics: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    acknowledge: tuple[str, ...] = ()
    run: tuple[str, ...] = ()


def denials_of(roles: Iterable[RoleConfig]) -> Denials:
    """What these roles deny, together."""
    denied = [role.deny for role in roles if role.deny is not None]
    publish = [glob for deny in denied for glob in deny.publish]
    subscribe = [glob for deny in denied for glob in deny.subscribe]
    return Denials(
        read=(*(one for deny in denied for one in deny.read), *filter(is_path, subscribe)),
        write=tuple(one for deny in denied for one in deny.write),
        topics=tuple(filter(is_path, publish)),
        publish=tuple(glob for glob in publish if not is_path(glob)),
        subscribe=tuple(glob for glob in subscribe if not is_path(glob)),
        alerts=tuple(glob for deny in denied for glob in deny.alerts),
        acknowledge=tuple(glob for deny in denied for glob in deny.acknowledge),
        run=tuple(glob for deny in denied for glob in deny.run),
    )


def is_path(entry: str) -> bool:
    """True for an entry of `publish` or `subscribe` that is a path glob of topics; without a `/` it names messages."""
    return "/" in entry
