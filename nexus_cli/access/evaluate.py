"""Yes or no, and which grant decides: the one meaning that every renderer must reproduce."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nexus_cli.access.grants import Action, Grant
from nexus_cli.access.request import Request, Verdict
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


class GrantRules:
    """A list of grants that answers as `request.Rules`; user names are principals."""

    def __init__(self, grants: Iterable[Grant]) -> None:
        """Take over a list; of the grants that allow a request the widest is named, by the levels before its wildcard."""
        found: dict[tuple[str, Action, str], list[Grant]] = {}
        for grant in grants:
            found.setdefault((grant.principal, grant.action, plain_part(grant.filter)), []).append(grant)
        self._grants: Mapping[tuple[str, Action, str], Sequence[Grant]] = found
        self._known = {principal for principal, _, _ in found}

    def decide(self, request: Request) -> Verdict:
        """Answer a request; `receive` asks for a grant to subscribe that matches the topic of the message."""
        decision = self.decision(request)
        return Verdict(allowed=decision.allowed, why=decision.why)

    def decision(self, request: Request) -> Decision:
        """As `decide`, with the grant."""
        user, topic = request.user, request.topic
        if request.wish == "subscribe":
            topic = unshared(topic)
            if not is_filter(topic):
                return Decision(False, None, "not a filter to subscribe to")
        elif "+" in topic or "#" in topic or not topic:
            return Decision(False, None, "a topic to publish on has no wildcards")
        action: Action = "publish" if request.wish == "publish" else "subscribe"
        for part in _beginnings(plain_part(topic)):
            for grant in self._grants.get((user, action, part), ()):
                if covers(grant.filter, topic) and (action == "subscribe" or _bounds(grant, request)):
                    return Decision(True, grant, grant.why)
        if user not in self._known:
            return Decision(False, None, f"'{user}' is not a user of this site")
        return Decision(False, None, f"no grant lets '{user}' {request.wish} this; the default is to refuse")


def evaluate(
    grants: Iterable[Grant], *, principal: str, action: Action, topic: str, qos: int = 0, retain: bool = False
) -> Decision:
    """Decide one publish or subscribe.

    Args:
        grants: All grants of the site. Who asks often makes `GrantRules` of them once.
        principal: Who asks.
        action: `publish` or `subscribe`.
        topic: A topic; for `subscribe` it may be a filter, which must be covered whole by one grant
            (`$share/group/` in front is looked through).
        qos: Of the message, 0 to 2.
        retain: True for a message to be retained.
    """
    request = Request(user=principal, wish=action, topic=topic, qos=qos, retain=retain)
    return GrantRules(grants).decision(request)


def plain_part(filter_: str) -> str:
    """The levels of a filter, or of a topic, before the first wildcard, each with a `/` behind it."""
    plain = []
    for level in filter_.split("/"):
        if level in ("+", "#"):
            break
        plain.append(level)
    return "".join(f"{level}/" for level in plain)


def _beginnings(part: str) -> Iterator[str]:
    """What a covering filter's plain part can be: nothing, the first level, and so on up to all of them."""
    yield ""
    end = part.find("/")
    while end != -1:
        yield part[: end + 1]
        end = part.find("/", end + 1)


def _bounds(grant: Grant, request: Request) -> bool:
    return (grant.qos is None or request.qos in grant.qos) and grant.retain in (None, request.retain)


def unshared(filter_: str) -> str:
    """The filter inside `$share/group/filter`."""
    if not filter_.startswith("$share/"):
        return filter_
    parts = filter_.split("/", 2)
    return parts[2] if len(parts) == 3 else filter_


def is_filter(text: str) -> bool:
    """True for a filter by MQTT 5 §4.7.1: wildcards are whole levels, and `#` is the last one."""
    levels = text.split("/")
    return (
        bool(text)
        and all(level in ("+", "#") or not ("+" in level or "#" in level) for level in levels)
        and "#" not in levels[:-1]
    )


def covers(granted: str, wanted: str) -> bool:
    """True when every topic that `wanted` (a topic or a filter) matches is matched by `granted`."""
    if "+" not in wanted and "#" not in wanted:
        return matches(granted, wanted)
    if wanted.startswith("$") and granted[:1] in ("+", "#"):
        return False
    if granted == "+/#":
        # Every topic has a first level, even an empty one.
        return True
    have, want = granted.split("/"), wanted.split("/")
    for position, level in enumerate(have):
        if level == "#":
            return True
        if position >= len(want) or want[position] == "#" or (level != "+" and level != want[position]):
            return False
    return len(have) == len(want)
