"""Who connects, as EMQX's rules see it, and which EMQX answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nexus_cli.access.request import Request

Version = tuple[int, ...]
"""Of EMQX: (5, 8, 9). A shorter one means its newest patch: (5, 8) is the last 5.8."""

NEWEST: Version = (6, 3, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A connected client.

    Attributes:
        username: None for an anonymous one; "" is a name, the empty one.
        client_id: Its id.
        ip: Its address as text; None when it is unknown.
        cert_common_name: CN of its TLS certificate; None without one.
        attrs: Client attributes (`client_attrs_init`, or from its authentication).
        zone, listener: Where it came in; a listener is `type:name`.
        is_superuser: As its authentication says.
    """

    username: str | None = None
    client_id: str = ""
    ip: str | None = "127.0.0.1"
    cert_common_name: str | None = None
    attrs: Mapping[str, str] = field(default_factory=dict)
    zone: str = "default"
    listener: str = "tcp:default"
    is_superuser: bool = False


def client_of(request: Request) -> Client:
    """The client that a request names; its user "" is an anonymous one."""
    return Client(username=request.user or None, client_id=request.client_id)


def is_at_least(version: Version, *floor: int) -> bool:
    """True from a version on; missing places of `version` count as the newest patch."""
    return (*version, *(10**6 for _ in range(3 - len(version)))) >= floor


def all_covers_dollar(version: Version) -> bool:
    """Whether `{deny, all}.` covers topics that begin with `$`, and `all` may stand for the topics (emqx#15818)."""
    if version[:2] == (5, 8):
        return is_at_least(version, 5, 8, 9)
    if version[:2] == (5, 9):
        return is_at_least(version, 5, 9, 2)
    return is_at_least(version, 5, 10, 1)
