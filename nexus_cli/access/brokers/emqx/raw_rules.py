"""Rules as JSON: of the REST API's built-in database and of a token's `acl` claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_cli.access.brokers.emqx.client import Version, is_at_least
from nexus_cli.access.brokers.emqx.rule import EVERY_QOS, ActionCondition, Rule, topic_condition
from nexus_cli.access.brokers.emqx.terms import Atom, Term, string
from nexus_cli.access.brokers.emqx.who import Condition, MatchCrash, RuleError, condition

_WORDS = {"pub": "publish", "publish": "publish", "sub": "subscribe", "subscribe": "subscribe", "all": "all"}
_RETAIN = {"0": False, "1": True, "true": True, "false": False, "all": None}
_QOS = {"0": 0, "1": 1, "2": 2}


def raw_rule(raw: Mapping[str, Any], version: Version) -> Rule:
    """A rule from its JSON form. Fields that the version does not know are ignored, as it does.

    Raises:
        RuleError: It is refused: by the REST API with 400, at login with a refusal.
    """
    if raw.get("permission") not in ("allow", "deny"):
        raise RuleError(f"permission is allow or deny, not {raw.get('permission')!r}")
    word = _WORDS.get(raw["action"]) if isinstance(raw.get("action"), str) else None
    if word is None:
        raise RuleError(f"action is publish, subscribe or all, not {raw.get('action')!r}")
    qos = _qos(raw.get("qos", list(EVERY_QOS)))
    retain = _retain(raw.get("retain", "all")) if word != "subscribe" else None
    return Rule(
        allow=raw["permission"] == "allow",
        who=_who(raw, version),
        action=ActionCondition(publish=word != "subscribe", subscribe=word != "publish", qos=qos, retain=retain),
        topics=tuple(topic_condition(each, version) for each in _topics(raw)),
        text=str(dict(raw)),
    )


def _topics(raw: Mapping[str, Any]) -> list[Term]:
    if isinstance(raw.get("topic"), str):
        return [raw["topic"].encode()]
    topics = raw.get("topics")
    if not isinstance(topics, list) or not all(isinstance(each, str) for each in topics):
        raise RuleError("neither `topic` nor `topics`")
    return [each.encode() for each in topics]


def _qos(value: object) -> tuple[int, ...]:
    if value is None:
        return EVERY_QOS
    if isinstance(value, bool):
        raise RuleError(f"no quality of service: {value!r}")
    if isinstance(value, int):
        value = [value]
    elif isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list):
        raise RuleError(f"no quality of service: {value!r}")
    found = [_QOS.get(each) if isinstance(each, str) else each for each in value]
    if any(isinstance(each, bool) or not isinstance(each, int) or each not in EVERY_QOS for each in found):
        raise RuleError(f"no quality of service: {value!r}")
    return tuple(each for each in found if each is not None)


def _retain(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return value == 1
    if isinstance(value, str) and value in _RETAIN:
        return _RETAIN[value]
    raise RuleError(f"retain is true, false or all, not {value!r}")


def _who(raw: Mapping[str, Any], version: Version) -> Condition:
    """The conditions of the fields that 5.9 added; 5.8 does not look at them, which makes such a rule wider there."""
    if not is_at_least(version, 5, 9, 0):
        return lambda _: True
    conditions = []
    for kind in ("username", "clientid", "zone", "listener"):
        source = raw.get(f"{kind}_re")
        if f"{kind}_re" in raw:
            if not isinstance(source, str) or not source:
                raise RuleError(f"{kind}_re is a regular expression, not {source!r}")
            conditions.append(condition((Atom(kind), (Atom("re"), source.encode())), version))
    for kind in ("zone", "listener", "ipaddr"):
        if kind not in raw:
            continue
        value = raw[kind]
        if not isinstance(value, str) or not value:
            raise RuleError(f"{kind} is a text, not {value!r}")
        conditions.append(_late(kind, value, version))
    return lambda client: all(each(client) for each in conditions)


def _late(kind: str, value: str, version: Version) -> Condition:
    """An invalid address is noticed only when a client is compared with it."""
    term: Term = string(value) if kind == "ipaddr" else value.encode()
    try:
        return condition((Atom(kind), term), version)
    except RuleError as error:
        problem = str(error)

    def fails(_: object) -> bool:
        raise MatchCrash(problem)

    return fails
