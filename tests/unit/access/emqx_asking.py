"""Short ways to ask the reference model of EMQX."""

from __future__ import annotations

from typing import Any

from nexus_cli.access.brokers.emqx.client import Client, Version
from nexus_cli.access.brokers.emqx.engine import AclFile
from nexus_cli.access.request import Request, Wish

OLD: Version = (5, 8, 8)
NEW: Version = (5, 8, 9)
RICH: Version = (5, 10, 4)
SIX: Version = (6, 3, 0)


def request(wish: Wish, topic: str, user: str = "u", **more: Any) -> Request:
    """A request; publish and subscribe alike."""
    return Request(user=user, wish=wish, topic=topic, **more)


def answer(
    rules: str, wish: Wish, topic: str, *, client: Client | None = None, version: Version = NEW, **more: Any
) -> str:
    """`allow`, `deny` or `nomatch` of a file's rules alone."""
    who = client or Client(username="u", client_id="c1")
    found = AclFile.read(rules, version).matched(who, request(wish, topic, **more))
    return "nomatch" if found is None else found[0]


def subscribe(rules: str, topic: str, **more: Any) -> str:
    """The answer to a SUBSCRIBE."""
    return answer(rules, "subscribe", topic, **more)


def publish(rules: str, topic: str, **more: Any) -> str:
    """The answer to a PUBLISH."""
    return answer(rules, "publish", topic, **more)
