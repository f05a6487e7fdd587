"""Yes or no, and which grant decides: the one meaning that every renderer must reproduce."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nexus_cli.access.grants import Action, Grant
from nexus_cli.wire.topic import matches


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer.

    Attributes:
        allowed: Yes or no.
        grant: The grant that allows it; None when nothing does.
        why: A sentence for people.
    """

    allowed: bool
    grant: Grant | None
    why: str


def evaluate(grants: Iterable[Grant], *, principal: str, action: Action, topic: str) -> Decision:
    """Decide one publish or subscribe.

    Args:
        grants: All grants of the site.
        principal: Who asks.
        action: `publish` or `subscribe`.
        topic: A topic; for `subscribe` it may be a filter, which must be covered whole by one grant
            (`$share/group/` in front is looked through).
    """
    known = False
    wanted = unshared(topic) if action == "subscribe" else topic
    if action == "publish" and ("+" in wanted or "#" in wanted):
        return Decision(False, None, "a topic to publish on has no wildcards")
    for grant in grants:
        if grant.principal != principal:
            continue
        known = True
        if grant.action == action and covers(grant.filter, wanted):
            return Decision(True, grant, grant.why)
    if not known:
        return Decision(False, None, f"'{principal}' is not a user of this site")
    return Decision(False, None, f"no grant lets '{principal}' {action} this; the default is to refuse")


def unshared(filter_: str) -> str:
    """The filter inside `$share/group/filter`."""
    if not filter_.startswith("$share/"):
        return filter_
    parts = filter_.split("/", 2)
    return parts[2] if len(parts) == 3 else filter_


def covers(granted: str, wanted: str) -> bool:
    """True when every topic that `wanted` (a topic or a filter) matches is matched by `granted`."""
    if "+" not in wanted and "#" not in wanted:
        return matches(granted, wanted)
    if wanted.startswith("$") and granted[:1] in ("+", "#"):
        return False
    have, want = granted.split("/"), wanted.split("/")
    for position, level in enumerate(have):
        if level == "#":
            return True
        if position >= len(want) or want[position] == "#" or (level != "+" and level != want[position]):
            return False
    return len(have) == len(want)
