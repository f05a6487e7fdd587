"""One rule of EMQX: read from its term, and compared with a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nexus_cli.access.brokers.emqx.client import Client, Version, all_covers_dollar, is_at_least
from nexus_cli.access.brokers.emqx.terms import Atom, Term, write
from nexus_cli.access.brokers.emqx.topics import (
    Everything,
    ForbiddenValue,
    MissingValue,
    TopicCondition,
    Words,
    covers,
    filter_condition,
    levels_of,
    render,
)
from nexus_cli.access.brokers.emqx.who import Condition, RuleError, chardata, condition

EVERY_QOS = (0, 1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class What:
    """What a client does, as the rules see it.

    Attributes:
        publish: True for a message, False for a subscription.
        topic: In bytes; of a subscription its filter, without a share prefix.
        qos, retain: Of the message; `retain` of a subscription counts for nothing.
    """

    publish: bool
    topic: bytes
    qos: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionCondition:
    """Which actions a rule means."""

    publish: bool
    subscribe: bool
    qos: tuple[int, ...] = EVERY_QOS
    retain: bool | None = None

    def holds(self, what: What) -> bool:
        """True when the rule is about it."""
        if what.qos not in self.qos:
            return False
        if what.publish:
            return self.publish and self.retain in (None, what.retain)
        return self.subscribe


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A compiled rule.

    Attributes:
        allow: Its answer.
        who, action, topics: When it gives one.
        text: As written in its file, for people.
        line: Its first line there; 0 when it comes from elsewhere.
        hardened: Under that profile (from 6.3) a rule whose placeholders can't be filled in refuses.
    """

    allow: bool
    who: Condition
    action: ActionCondition
    topics: tuple[TopicCondition, ...]
    text: str = ""
    line: int = 0
    hardened: bool = False

    def answer(self, client: Client, what: What) -> bool | None:
        """True or False when it decides, None when it says nothing.

        Raises:
            MatchCrash: The comparison itself fails.
        """
        if not self.action.holds(what) or not self.who(client):
            return None
        asked = levels_of(what.topic)
        try:
            return self.allow if any(self._is_topic(each, client, asked) for each in self.topics) else None
        except ForbiddenValue:
            return False if self.hardened else None
        except MissingValue:
            return False

    def _is_topic(self, each: TopicCondition, client: Client, asked: tuple[bytes, ...]) -> bool:
        if isinstance(each, Everything):
            return True
        if isinstance(each, Words):
            return asked == each.levels if each.exact else covers(asked, each.levels)
        try:
            return covers(asked, levels_of(render(each, client)))
        except MissingValue:
            if self.hardened:
                raise
            return False


def compile_rule(term: Term, version: Version, *, line: int = 0, profile: str = "legacy") -> Rule:
    """A rule from its term.

    Raises:
        RuleError: This version of EMQX refuses it, and the file with it.
    """
    who: Term
    action: Term
    topics: Term
    match term if isinstance(term, tuple) else ():
        case (Atom("allow" | "deny"), Atom("all")):
            who, action = Atom("all"), Atom("all")
            topics = Atom("all") if all_covers_dollar(version) else [b"#"]
        case (Atom("allow" | "deny"), (Atom("security_profile"), _) as only):
            who, action, topics = only, Atom("all"), Atom("all")
        case (Atom("allow" | "deny"), who, action, topics):
            pass
        case _:
            raise RuleError(f"no rule: {write(term)}")
    return Rule(
        allow=isinstance(term, tuple) and term[0] == Atom("allow"),
        who=condition(who, version, profile),
        action=action_condition(action),
        topics=_topics(topics, version),
        text=write(term) + ".",
        line=line,
        hardened=profile == "hardened" and is_at_least(version, 6, 3, 0),
    )


def action_condition(term: Term) -> ActionCondition:
    """The action of a rule: a word, or a word with a list of options.

    Raises:
        RuleError: Neither.
    """
    match term if isinstance(term, Atom | tuple) else ():
        case Atom("publish" | "subscribe" | "all" as word):
            return ActionCondition(publish=word != "subscribe", subscribe=word != "publish")
        case (Atom("subscribe"), list(options)):
            return ActionCondition(publish=False, subscribe=True, qos=_qos(options))
        case (Atom("publish" | "all" as word), list(options)):
            return ActionCondition(publish=True, subscribe=word == "all", qos=_qos(options), retain=_retain(options))
    raise RuleError(f"no action: {write(term)}")


def _qos(options: Sequence[Term]) -> tuple[int, ...]:
    """Every `{qos, …}` of the options together; without one all."""
    values = [option for option in options if _key(option) == "qos"]
    found: list[int] = []
    given = False
    for option in values:
        if isinstance(option, tuple) and len(option) != 2:
            continue
        given = True
        value = option[1] if isinstance(option, tuple) else Atom("true")
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, int) or isinstance(each, bool) or not 0 <= each <= 2:
                raise RuleError(f"no quality of service: {write(value)}")
            found.append(each)
    return tuple(found) if given else EVERY_QOS


def _retain(options: Sequence[Term]) -> bool | None:
    first = next((option for option in options if _key(option) == "retain"), None)
    if first is None or (isinstance(first, tuple) and len(first) != 2):
        return None
    value = first[1] if isinstance(first, tuple) else Atom("true")
    if value == Atom("all"):
        return None
    if value not in (Atom("true"), Atom("false")):
        raise RuleError(f"retain is true, false or all, not {write(value)}")
    return value == Atom("true")


def _key(option: Term) -> str | None:
    head = option[0] if isinstance(option, tuple) and option else option
    return head.name if isinstance(head, Atom) else None


def _topics(term: Term, version: Version) -> tuple[TopicCondition, ...]:
    if term == Atom("all"):
        if not all_covers_dollar(version):
            raise RuleError("`all` as topics needs EMQX 5.8.9, 5.9.2 or 5.10.1")
        return (Everything(),)
    if not isinstance(term, list):
        raise RuleError(f"a list of topics expected, not {write(term)}")
    return tuple(topic_condition(each, version) for each in term)


def topic_condition(term: Term, version: Version) -> TopicCondition:
    """One topic of a rule: a filter, with placeholders or without, or an exact text.

    Raises:
        RuleError: Neither.
    """
    atoms = is_at_least(version, 5, 9, 0)
    if isinstance(term, tuple) and len(term) == 2 and term[0] == Atom("eq"):
        return _exact(chardata(term[1], atoms=atoms), term)
    if isinstance(term, bytes) and term.startswith(b"eq "):
        return _exact(term[3:], term)
    if isinstance(term, list) and term[:3] == [*b"eq "]:
        return _exact(chardata(term[3:]), term)
    raw = chardata(term)
    try:
        return filter_condition((b"\xff" if raw is None else raw).decode(), version)
    except UnicodeDecodeError:
        raise RuleError(f"a topic that is not UTF-8: {write(term)}") from None


def _exact(raw: bytes | None, term: Term) -> Words:
    if raw is None:
        raise RuleError(f"a topic that is not UTF-8: {write(term)}")
    return Words(levels_of(raw), exact=True)


def first_answer(rules: Sequence[Rule], client: Client, what: What) -> tuple[bool, int] | None:
    """The answer of the first rule that gives one, and its place from 1; None when none does.

    Raises:
        MatchCrash: A rule before it fails: the whole source gives no answer.
    """
    for place, rule in enumerate(rules, start=1):
        answer = rule.answer(client, what)
        if answer is not None:
            return answer, place
    return None
