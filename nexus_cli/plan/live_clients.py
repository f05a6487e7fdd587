"""Who is at the broker and concerned by a plan, from what an EMQX says of its clients and their subscriptions. Pure.

Source: MQTT 5.0 §4.7 (filters), §4.8.2 (`$share/GROUP/FILTER`); EMQX 5 also knows `$queue/FILTER` and `$exclusive/FILTER`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.grants import RESERVED
from nexus_cli.accounts import SECOND
from nexus_cli.diagnostics.wording import counted
from nexus_cli.plan.aliases import begun, stays_under
from nexus_cli.plan.change import Action, Attributes, Change
from nexus_cli.plan.stale_sessions import Stale
from nexus_cli.wire.emqx_rows import Session, Subscription

EMQX = "EMQX"
EXTERNAL = "external"
MOST_NAMED = 6
Tree = dict[str, "Tree"]


class ClientsEntry(TypedDict):
    """Clients of one user: how many, and how many of them are connected; the others are sessions that wait for theirs."""

    user: str
    clients: int
    connected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveClients:
    """What was found.

    Attributes:
        subscribers: Clients that subscribe to a topic that ends, by user; NEXUS's own left out. None is not asked for.
        stale: Sessions of those who lose a right, by principal. None is not asked for.
    """

    subscribers: tuple[ClientsEntry, ...] | None = None
    stale: tuple[ClientsEntry, ...] | None = None


def ending_paths(changes: Sequence[Change]) -> frozenset[str]:
    """Paths of tags that NEXUS publishes before a plan and not after it."""
    aliases = begun(changes)
    gone: set[str] = set()
    kept: set[str] = set()
    for change in changes:
        external = (change.before or {}).get("protocol") == EXTERNAL
        for tag in change.tags:
            if tag.action is not Action.FORGET and _published(tag.after):
                kept.add(tag.path)
            if external or not _published(tag.before):
                continue
            old = tag.previous_path or tag.path
            if (
                tag.action is Action.FORGET
                or not _published(tag.after)
                or (old != tag.path and not stays_under(old, tag.path, aliases))
            ):
                gone.add(old)
    return frozenset(gone - kept)


def _published(tag: Attributes | None) -> bool:
    return tag is not None and bool(tag.get("live_publish", True))


def losers(stale: Iterable[Stale]) -> frozenset[str]:
    """Principals whose sessions at an EMQX outlive a right that they lose."""
    return frozenset(name for each in stale if each.broker == EMQX for name in each.principals)


def live_clients(
    clients: Sequence[Session],
    subscriptions: Sequence[Subscription],
    *,
    topics: frozenset[str],
    losing: frozenset[str],
    accounts: Accounts,
) -> LiveClients:
    """Who is concerned.

    Args:
        clients: Of the broker; one may occur twice.
        subscriptions: Of the broker; one may occur twice.
        topics: Those that end.
        losing: Principals that lose a right.
        accounts: How principals are called there.
    """
    known = {each.clientid: each for each in clients}
    subscribers = stale = None
    if topics:
        tree = _tree(topics)
        filters = {each.topic for each in subscriptions}
        covering = {filter_ for filter_ in filters if _covers(_plain(filter_).split("/"), 0, tree)}
        ids = {each.clientid for each in subscriptions if each.topic in covering}
        found = [known.get(name) or Session(clientid=name) for name in sorted(ids)]
        subscribers = _by_user(
            (each, accounts.principal(each.username or "") or each.username or "")
            for each in found
            if not (each.username or each.clientid).startswith(RESERVED)
        )
    if losing:
        of = {accounts.account(name): name for name in losing}
        of |= {accounts.account(name + SECOND): name for name in losing}
        stale = _by_user((each, of[name]) for each in known.values() if (name := each.username or "") in of)
    return LiveClients(subscribers=subscribers, stale=stale)


def _by_user(found: Iterable[tuple[Session, str]]) -> tuple[ClientsEntry, ...]:
    clients: Counter[str] = Counter()
    connected: Counter[str] = Counter()
    for session, user in found:
        clients[user] += 1
        connected[user] += session.connected
    return tuple(
        {"user": user, "clients": count, "connected": connected[user]} for user, count in sorted(clients.items())
    )


def _plain(filter_: str) -> str:
    """A filter without what shares a subscription, or makes it the only one."""
    first, _, rest = filter_.partition("/")
    if first == "$share":
        return rest.partition("/")[2]
    return rest if first in ("$queue", "$exclusive") else filter_


def _tree(topics: Iterable[str]) -> Tree:
    """The topics by level: filters are compared with all of them at once."""
    root: Tree = {}
    for topic in topics:
        node = root
        for level in topic.split("/"):
            node = node.setdefault(level, {})
        node[""] = {}  # the end of a topic: no level of a path is empty
    return root


def _covers(levels: Sequence[str], place: int, node: Tree) -> bool:
    """Whether a filter, from a level on, covers a topic below a node."""
    if place == len(levels):
        return "" in node
    level = levels[place]
    if level == "#":
        return place == len(levels) - 1
    if level == "+":
        return any(_covers(levels, place + 1, below) for name, below in node.items() if name)
    below = node.get(level) if level else None
    return below is not None and _covers(levels, place + 1, below)


def subscribers_text(found: Sequence[ClientsEntry]) -> str:
    """`3 clients subscribe to topics that end: anna (2), scada`."""
    count = sum(each["clients"] for each in found)
    if not count:
        return "no client subscribes to a topic that ends"
    verb = "subscribes" if count == 1 else "subscribe"
    return f"{counted(count, 'client')} {verb} to topics that end: {_named(found)}"


def stale_text(found: Sequence[ClientsEntry]) -> str:
    """`2 sessions keep what they lose until they end: anna (2)`."""
    count = sum(each["clients"] for each in found)
    if not count:
        return "no user who loses a right has a session"
    verb = "keeps what it loses until it ends" if count == 1 else "keep what they lose until they end"
    return f"{counted(count, 'session')} {verb}: {_named(found)}"


def _named(found: Sequence[ClientsEntry]) -> str:
    shown = [_one(each) for each in found[:MOST_NAMED]]
    more = sum(each["clients"] for each in found[MOST_NAMED:])
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def _one(each: ClientsEntry) -> str:
    away = each["clients"] - each["connected"]
    facts = [f"{each['clients']:,}"] if each["clients"] > 1 else []
    facts += [f"{away:,} not connected" if each["clients"] > 1 else "not connected"] if away else []
    return (each["user"] or "without a user") + (f" ({', '.join(facts)})" if facts else "")


class BrokerEntry(TypedDict):
    """The broker, as far as it can be asked.

    Attributes:
        retained: Retained messages that go, by the recorded state.
        subscribers: Clients that subscribe to topics that end; null where the broker does not report them.
        clients: They, by user.
        stale: Sessions of principals that lose a right, by principal.
    """

    retained: int
    subscribers: int | None
    clients: NotRequired[list[ClientsEntry]]
    stale: NotRequired[list[ClientsEntry]]


def broker_entry(retained: int, live: LiveClients | None) -> BrokerEntry:
    """The key `broker` of what was measured."""
    entry: BrokerEntry = {"retained": retained, "subscribers": None}
    if live is not None and live.subscribers is not None:
        entry["subscribers"] = sum(each["clients"] for each in live.subscribers)
        entry["clients"] = list(live.subscribers)
    if live is not None and live.stale is not None:
        entry["stale"] = list(live.stale)
    return entry


def broker_lines(entry: BrokerEntry) -> list[str]:
    """What the broker reported, as lines of a plan's text."""
    lines = []
    if (clients := entry.get("clients")) is not None:
        lines.append(f"broker: {subscribers_text(clients)}")
    if (stale := entry.get("stale")) is not None:
        lines.append(f"broker: {stale_text(stale)}")
    return lines
