"""Grants: what each principal may publish and subscribe to. Allow only; what no grant covers is refused.

`compile.py` makes them from a snapshot, `evaluate.py` says what they mean, and `brokers/` writes them for each broker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Action = Literal["publish", "subscribe"]

CONTROL = "nexus.control"
HISTORIAN = "nexus.historian"
WEB = "nexus.web"
WORKER = "nexus.worker"
CLI = "nexus.cli"
RESERVED = "nexus."
"""No declared user's name begins with it."""


def gateway_principal(name: str) -> str:
    """The principal that a gateway connects as."""
    return f"nexus.gateway.{name}"


@dataclass(frozen=True, slots=True)
class Grant:
    """One permission.

    Attributes:
        principal: Who.
        action: `publish`, or `subscribe` (hearing what is published).
        filter: Topics, as an MQTT filter.
        why: The line that gives it, e.g. `role operator, read packaging/**`.
        qos: Qualities of service that a published message may have, ascending; None is any.
        retain: Whether a published message must be retained (True) or must not (False); None is either.
    """

    principal: str
    action: Action
    filter: str
    why: str = ""
    qos: tuple[int, ...] | None = None
    retain: bool | None = None

    @property
    def key(self) -> tuple[str, str, str, tuple[int, ...], int]:
        """Equal for grants that permit the same; grants are listed in this order."""
        return self.principal, self.action, self.filter, self.qos or (), -1 if self.retain is None else int(self.retain)


def join(*lists: Iterable[Grant]) -> tuple[Grant, ...]:
    """All of them, sorted, none twice (the first reason stays)."""
    seen: dict[tuple[str, str, str, tuple[int, ...], int], Grant] = {}
    for grants in lists:
        for grant in grants:
            seen.setdefault(grant.key, grant)
    return tuple(seen[key] for key in sorted(seen))


def principals(grants: Iterable[Grant]) -> tuple[str, ...]:
    """Principals with at least one grant, sorted."""
    return tuple(sorted({grant.principal for grant in grants}))


def to_json(grants: Iterable[Grant]) -> list[dict[str, Any]]:
    """As plain JSON; `qos` and `retain` only where they bind."""
    listed = []
    for grant in grants:
        plain: dict[str, Any] = {name: getattr(grant, name) for name in ("principal", "action", "filter", "why")}
        if grant.qos is not None:
            plain["qos"] = list(grant.qos)
        if grant.retain is not None:
            plain["retain"] = grant.retain
        listed.append(plain)
    return listed


def from_json(data: Sequence[Mapping[str, Any]]) -> tuple[Grant, ...]:
    """Read `to_json`'s form.

    Raises:
        ValueError: Something in it is not a grant.
    """
    grants = []
    for entry in data:
        action, qos, retain = entry.get("action"), entry.get("qos"), entry.get("retain")
        if action not in ("publish", "subscribe") or not isinstance(entry.get("principal"), str):
            raise ValueError(f"not a grant: {entry!r:.200}")
        if not (qos is None or (isinstance(qos, list) and set(qos) <= {0, 1, 2})) or retain not in (None, True, False):
            raise ValueError(f"not a grant: {entry!r:.200}")
        grants.append(
            Grant(
                entry["principal"],
                action,
                str(entry["filter"]),
                str(entry.get("why", "")),
                None if qos is None else tuple(qos),
                retain,
            )
        )
    return tuple(grants)
