"""One rule of EMQX's built-in database, and what lists of them mean for a push. Pure.

EMQX takes the first rule of a list that matches. See docs/decisions/0069.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_cli.access.evaluate import covers

ALL_QOS = (0, 1, 2)
_PLAIN = ("topic", "permission", "action", "qos", "retain")
_LITERAL = "eq "


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule as the REST API writes it.

    Attributes:
        topic: A filter with placeholders, or `eq ` and a literal.
        permission: `allow` or `deny`.
        action: `publish`, `subscribe` or `all`.
        qos: Qualities of service that it takes, ascending.
        retain: `all`, True or False.
        more: Other conditions (`clientid_re`, `ipaddr`, …; EMQX 5.9 and later), by name.
    """

    topic: str
    permission: str
    action: str
    qos: tuple[int, ...] = ALL_QOS
    retain: str | bool = "all"
    more: tuple[tuple[str, str], ...] = ()

    @property
    def allows(self) -> bool:
        """True for a rule that gives a right."""
        return self.permission == "allow"

    def words(self) -> str:
        """The rule for people, e.g. `subscribe acme/chicago/#`."""
        verb = "publish and subscribe" if self.action == "all" else self.action
        bounds = [] if self.qos == ALL_QOS else [f"QoS {', '.join(map(str, self.qos))}"]
        if self.retain != "all":
            bounds.append("retained" if self.retain is True else "not retained")
        bounds += [f"{name} {value}" for name, value in self.more]
        return f"{verb} {self.topic}" + (f" ({'; '.join(bounds)})" if bounds else "")


MARK = Rule(topic="eq nexus/kick", permission="deny", action="all")
"""In an entry whose sessions still have to be ended: a run after a cut finds it there, from any machine."""
CLOSING = tuple(Rule(topic=topic, permission="deny", action="all") for topic in ("#", "$SYS/#", "$events/#", "$file/#"))
"""Behind the rules of an account where others could still allow what ours don't. `#` does not cover `$` topics."""


def read_rule(plain: Mapping[str, Any]) -> Rule:
    """A rule of an answer, whatever defaults the version of EMQX writes out.

    Raises:
        ValueError: It is not a rule.
    """
    try:
        qos = plain.get("qos", list(ALL_QOS))
        levels = [qos] if isinstance(qos, int) else [int(each) for each in qos]
        more = {name: str(value) for name, value in plain.items() if name not in _PLAIN and value is not None}
        return Rule(
            topic=str(plain["topic"]),
            permission=str(plain["permission"]),
            action=str(plain["action"]),
            qos=tuple(sorted(set(levels))),
            retain=_retain(plain.get("retain", "all")),
            more=tuple(sorted(more.items())),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a rule: {plain!r:.200}") from error


def _retain(value: object) -> str | bool:
    if value in (True, "true"):
        return True
    return False if value in (False, "false") else "all"


def read_rules(plain: Iterable[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """`read_rule` for a list, in its order; a repeated rule counts once."""
    return tuple(dict.fromkeys(read_rule(each) for each in plain))


def write_rule(rule: Rule) -> dict[str, Any]:
    """A rule as the API takes it."""
    return {
        "topic": rule.topic,
        "permission": rule.permission,
        "action": rule.action,
        "qos": list(rule.qos),
        "retain": rule.retain,
        **dict(rule.more),
    }


def closed(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules with `CLOSING` at their end."""
    return (*(rule for rule in rules if rule not in CLOSING), *CLOSING)


def unmarked(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules without `MARK`."""
    return tuple(rule for rule in rules if rule != MARK)


def both(old: Sequence[Rule], new: Sequence[Rule]) -> tuple[Rule, ...]:
    """A list that gives every right of `new`, and of `old` what `new` does not refuse by a rule of its own.

    The new rules are in front, so that what they say holds; the refusals at their end are behind the old ones.
    """
    head, tail = _split(new)
    rest = [rule for rule in old if rule not in head]
    return (*head, *rest, *(rule for rule in tail if rule not in rest))


def _split(rules: Sequence[Rule]) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    last = max((place for place, rule in enumerate(rules) if rule.allows), default=-1) + 1
    return tuple(rules[:last]), tuple(rules[last:])


def gains(old: Sequence[Rule], new: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rights of `new` that no rule of `old` gives, in the order of `new`."""
    return tuple(rule for rule in new if rule.allows and not any(_includes(have, rule) for have in old))


def losses(old: Sequence[Rule], new: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rights of `old` that no rule of `new` gives."""
    return gains(new, old)


def shrinks(old: Sequence[Rule], new: Sequence[Rule]) -> bool:
    """True when sessions may hold a right that `new` does not give: a right is lost, or a refusal was added."""
    refusals = {rule for rule in old if not rule.allows}
    return bool(losses(old, new)) or any(not rule.allows and rule not in refusals for rule in new)


def _includes(wide: Rule, narrow: Rule) -> bool:
    """True when `wide` gives all that `narrow` does. False where that can't be said for certain."""
    if not wide.allows or wide.more not in ((), narrow.more):
        return False
    if wide.action not in ("all", narrow.action) or not set(narrow.qos) <= set(wide.qos):
        return False
    if wide.retain not in ("all", narrow.retain):
        return False
    if wide.topic.startswith(_LITERAL) or narrow.topic.startswith(_LITERAL) or "${" in wide.topic + narrow.topic:
        return wide.topic == narrow.topic
    return covers(wide.topic, narrow.topic)
