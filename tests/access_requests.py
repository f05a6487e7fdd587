"""Random grants and random requests from a seed, for every reader of a broker's rules and for the brokers themselves."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.evaluate import evaluate
from nexus_cli.access.grants import Grant, join
from nexus_cli.access.request import Request

ACCOUNTS = Accounts("acme", "chicago")
USERS = ("ann", "bob", "nexus.gateway.one", "nexus.historian")
LEVELS = ("a", "b", "c")
FIRST = ("x", "y")
LIMITS: tuple[tuple[tuple[int, ...] | None, bool | None], ...] = (
    (None, None),
    (None, None),
    (None, False),
    (None, True),
    ((0, 1), None),
    ((1,), False),
    ((2,), None),
)


def topic(draw: random.Random) -> str:
    """A topic of one to four levels, sometimes of those that begin with `$`."""
    first = draw.choice(("$SYS", "$nexus")) if draw.random() < 0.05 else draw.choice(FIRST)
    return "/".join([first, *draw.choices(LEVELS, k=draw.randrange(4))])


def filter_(draw: random.Random) -> str:
    """A filter whose first level is no wildcard."""
    levels = [draw.choice(FIRST), *draw.choices((*LEVELS, "+"), k=draw.randrange(4))]
    return "/".join([*levels, "#"] if draw.random() < 0.35 else levels)


def grants(draw: random.Random, *, limited: bool = False) -> tuple[Grant, ...]:
    """A few grants of each user; `limited` gives some of them a limit of QoS or retain."""
    found = []
    for user in USERS:
        for _ in range(draw.randrange(1, 7)):
            if draw.random() < 0.5:
                qos, retain = draw.choice(LIMITS) if limited else (None, None)
                found.append(Grant(user, "publish", filter_(draw), "drawn", qos, retain))
            else:
                found.append(Grant(user, "subscribe", filter_(draw), "drawn"))
    return join(found)


def request(draw: random.Random) -> Request:
    """What some user, or a stranger, may ask."""
    user = draw.choice((*USERS, "stranger"))
    wish = draw.choice(("publish", "subscribe", "receive"))
    asked = topic(draw)
    if wish == "subscribe" and draw.random() < 0.7:
        asked = draw.choice((filter_(draw), "#", "+/#", "+", "$SYS/#", "x/#"))
        asked = f"$share/g/{asked}" if draw.random() < 0.3 else asked
    return Request(
        user=ACCOUNTS.account(user),
        wish=wish,
        topic=asked,
        qos=draw.randrange(3),
        retain=draw.random() < 0.3,
        client_id=f"{user}-1",
    )


def meant(rules: Iterable[Grant], asked: Request) -> bool:
    """What the grants themselves say, with their limits; a message is heard by whom a grant lets subscribe to its topic."""
    publishes = asked.wish == "publish"
    fitting = [
        each
        for each in rules
        if not publishes or ((each.qos is None or asked.qos in each.qos) and each.retain in (None, asked.retain))
    ]
    return evaluate(
        fitting,
        principal=ACCOUNTS.principal(asked.user) or "",
        action="publish" if publishes else "subscribe",
        topic=asked.topic,
        qos=asked.qos,
        retain=asked.retain,
    ).allowed


@dataclass(slots=True)
class Tally:
    """How often something was allowed and refused: a comparison that never sees one of them proves nothing."""

    allowed: int = 0
    refused: int = 0

    def count(self, allowed: bool) -> None:
        """One answer."""
        self.allowed += allowed
        self.refused += not allowed
