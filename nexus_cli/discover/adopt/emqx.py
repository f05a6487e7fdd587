"""Users and rules of a running EMQX into `Foreign`. Pure: `project.adopt_broker` reads them.

EMQX takes the first rule that matches, first of the client id, then of the user, then of everybody, and asks one source after
the other. So a rule is left out where something before it may refuse: a denial, or a source that is not read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nexus_cli.access.brokers.emqx.client import Version
from nexus_cli.access.brokers.emqx.database_rule import ALL_QOS, Rule, read_rule
from nexus_cli.access.brokers.emqx.engine import AclFile, Broker, Database, Source
from nexus_cli.access.brokers.emqx.present import DATABASE
from nexus_cli.access.brokers.emqx.rule import Rule as FileRule
from nexus_cli.access.brokers.emqx.topics import Everything, Words
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.printable import one_line
from nexus_cli.discover.adopt.foreign import EVERYBODY, PATTERN, Foreign, ForeignRule, Thing
from nexus_cli.wire.topic import meet

FILE = "file"
_SUPER = "a superuser, whom EMQX lets do everything: give it a role of the site by hand"
_BY_ID = "it is a client id, and a site gives rights to user names"
_OF_CLIENT = "for a client id: a right of a site belongs to a user"
_OF_FILE = "a rule of acl.conf is for whoever matches it: a right of a site belongs to a user"
_LIMITED = "bound to a quality of service or to retained messages, which a site's right is not"
_EXACT = "an exact text with a wildcard in it: a site has filters"
_NOT_ASKED = "the built-in database is no source that EMQX asks: the rule has no effect"
_NO_RULE = "not a rule that is known here, and what is before it in its list counts with it"
_LITERAL = "eq "
_MOST_RULES = 2**31
_ACTIONS = ("publish", "subscribe", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmqxTables:
    """What the REST API answered.

    Attributes:
        version: Of the oldest node.
        authenticators: All, in their order.
        by_id: Whether the built-in authenticator knows its users by client ids.
        users: Users of the built-in authenticator; True for a superuser.
        sources: Authorization sources, in their order: `type`, `enable` and `precondition`.
        user_rules, client_rules: Entries of the built-in database.
        rules_for_all: Its rules for everybody.
        file: Text of the file source.
        no_match: What happens where no rule decides: `allow` or `deny`.
    """

    version: Version
    authenticators: Sequence[str] = ()
    by_id: bool = False
    users: Mapping[str, bool] = field(default_factory=dict)
    sources: Sequence[Mapping[str, Any]] = ()
    user_rules: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    client_rules: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    rules_for_all: Sequence[Mapping[str, Any]] = ()
    file: str = ""
    no_match: str = "allow"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Denial:
    """What is refused before a rule is asked."""

    text: str
    filter: str
    publish: bool
    subscribe: bool

    def cuts(self, rule: Rule, filter_: str) -> bool:
        """Whether it takes something of a rule away."""
        same = (self.publish and rule.action != "subscribe") or (self.subscribe and rule.action != "publish")
        return same and meet(self.filter, filter_)


def of_emqx(tables: EmqxTables) -> Foreign:
    """Every account, every rule, and each source and authenticator that is not read."""
    file = _file(tables)
    enabled = [str(one.get("type")) for one in tables.sources if one.get("enable") is not False]
    before = enabled[: enabled.index(DATABASE)] if DATABASE in enabled else enabled
    unread = next((name for name in before if name != FILE or file is None), "")
    around = _NOT_ASKED if DATABASE not in enabled else ""
    if any(one.get("type") == DATABASE and one.get("precondition") for one in tables.sources):
        around = around or "EMQX asks the built-in database under a precondition alone"
    if unread and not around:
        around = f"EMQX asks its source {one_line(unread)[:50]} before, which may refuse it"
    first = [*(_file_denials(file) if file is not None and FILE in before else ()), *_client_denials(tables)]
    known = {user: rules for user, rules in tables.user_rules.items() if all(map(_is_rule, rules))}
    rules = [
        *_of_file(file, tables),
        *(
            rule
            for name, listed in tables.client_rules.items()
            for rule in _others(f"client id {name}", listed, _OF_CLIENT)
        ),
        *(rule for name, listed in tables.user_rules.items() for rule in _of_user(name, listed, first, around)),
        *_others("everybody", tables.rules_for_all, EVERYBODY),
    ]
    return Foreign(
        broker=f"EMQX {'.'.join(map(str, tables.version))}",
        rules=tuple(rules),
        users={name: (name,) if name in known else () for name in tables.users},
        decide=_decides(tables, enabled, known, file),
        odd_users={
            name: _BY_ID if tables.by_id else _SUPER for name, every in tables.users.items() if every or tables.by_id
        },
        things=tuple(_things(tables)),
    )


def _is_rule(plain: Mapping[str, Any]) -> bool:
    try:
        rule = read_rule(plain)
    except ValueError:
        return False
    known = rule.permission in ("allow", "deny") and rule.action in _ACTIONS
    return known and isinstance(plain.get("topic"), str) and set(rule.qos) <= set(ALL_QOS)


def _of_user(
    name: str, listed: Sequence[Mapping[str, Any]], first: Sequence[_Denial], around: str
) -> Iterator[ForeignRule]:
    """The rules of one user, each with what refuses before it."""
    owner, denials = f"user {name}", list(first)
    whole = all(map(_is_rule, listed))
    for plain in listed:
        if not _is_rule(plain):
            yield _unknown(owner, plain)
            continue
        rule = read_rule(plain)
        made = _foreign(name, owner, rule, odd=around or ("" if whole else _NO_RULE) or _odd(rule))
        if rule.allows and not made.odd:
            cut = next((one for one in denials if one.cuts(rule, made.filter)), None)
            made = _foreign(name, owner, rule, odd=f"what is before it cuts into it: {cut.text}" if cut else "")
        yield made
        if not rule.allows:
            denials.extend(_denials(owner, rule))


def _others(owner: str, listed: Sequence[Mapping[str, Any]], why: str) -> Iterator[ForeignRule]:
    for plain in listed:
        yield _foreign("", owner, read_rule(plain), odd=why) if _is_rule(plain) else _unknown(owner, plain)


def _foreign(role: str, owner: str, rule: Rule, *, odd: str) -> ForeignRule:
    return ForeignRule(
        role=role,
        text=one_line(f"{owner}: {rule.permission} {rule.words()}"),
        filter=rule.topic.removeprefix(_LITERAL),
        publish=rule.action != "subscribe",
        subscribe=rule.action != "publish",
        allow=rule.allows,
        odd=odd if rule.allows else "",
        cuts=False,
    )


def _unknown(owner: str, plain: Mapping[str, Any]) -> ForeignRule:
    return ForeignRule(role="", text=one_line(f"{owner}: {plain!r:.200}"), filter="#", odd=_NO_RULE, cuts=False)


def _odd(rule: Rule) -> str:
    if not rule.allows:
        return ""
    if rule.more:
        return f"bound to {', '.join(name for name, _ in rule.more)}, which a site's right is not"
    if rule.qos != ALL_QOS or rule.retain != "all":
        return _LIMITED
    if "${" in rule.topic:
        return PATTERN
    if rule.topic.startswith(_LITERAL) and any(sign in rule.topic for sign in "+#"):
        return _EXACT
    return ""


def _client_denials(tables: EmqxTables) -> Iterator[_Denial]:
    """Of any client id: a user may come with each of them. A list that can't be read may refuse everything."""
    for name, listed in tables.client_rules.items():
        owner = f"client id {name}"
        for plain in listed:
            if not _is_rule(plain):
                yield _Denial(text=one_line(f"{owner}: not a rule"), filter="#", publish=True, subscribe=True)
            elif not (rule := read_rule(plain)).allows:
                yield from _denials(owner, rule)


def _denials(owner: str, rule: Rule) -> Iterator[_Denial]:
    filter_ = _denied(rule.topic.removeprefix(_LITERAL), exact=rule.topic.startswith(_LITERAL))
    if filter_:
        text = one_line(f"{owner}: deny {rule.words()}")
        yield _Denial(text=text, filter=filter_, publish=rule.action != "subscribe", subscribe=rule.action != "publish")


def _denied(topic: str, *, exact: bool) -> str:
    """The filter of a denial, rather too wide; "" for one that concerns no right that begins with a name.

    An exact `#` refuses that one subscription: a site gives none that wide.
    """
    if exact and topic.split("/")[0] in ("#", "+"):
        return ""
    levels = ["+" if "${" in level else level for level in re.sub(r"\$\{[^}]*\}", "${}", topic).split("/")]
    return "/".join(levels)


# --- the file source --------------------------------------------------------------------------------------------


def _file(tables: EmqxTables) -> AclFile | None:
    """Its rules; None where there is none, or EMQX's own reader here can't read it."""
    if not any(one.get("type") == FILE for one in tables.sources):
        return None
    try:
        return AclFile.read(tables.file, tables.version, no_match=tables.no_match)
    except NexusError:
        return None


def _file_denials(file: AclFile) -> Iterator[_Denial]:
    for rule in file.rules:
        for filter_ in () if rule.allow else _filters(rule):
            text = one_line(f"acl.conf line {rule.line}: {rule.text:.200}")
            yield _Denial(text=text, filter=filter_, publish=rule.action.publish, subscribe=rule.action.subscribe)


def _filters(rule: FileRule) -> Iterator[str]:
    for topic in rule.topics:
        if isinstance(topic, Everything):
            yield "#"
        elif isinstance(topic, Words):
            text = b"/".join(topic.levels).decode("utf-8", "replace")
            if filter_ := _denied(text, exact=topic.exact):
                yield filter_
        else:
            parts = "".join(part if isinstance(part, str) else "${}" for part in topic.parts)
            yield _denied(parts, exact=False)


def _of_file(file: AclFile | None, tables: EmqxTables) -> Iterator[ForeignRule]:
    if file is None:
        return
    off = not any(one.get("type") == FILE and one.get("enable") is not False for one in tables.sources)
    for rule in file.rules:
        text = one_line(f"acl.conf line {rule.line}: {rule.text:.200}")
        odd = "the file is no source that EMQX asks: the rule has no effect" if off else _OF_FILE
        yield ForeignRule(role="", text=text, filter="#", allow=True, odd=odd, cuts=False)


# --- the whole --------------------------------------------------------------------------------------------------


def _decides(
    tables: EmqxTables,
    enabled: Sequence[str],
    users: Mapping[str, Sequence[Mapping[str, Any]]],
    file: AclFile | None,
) -> Broker:
    """As EMQX answers, without the sources that can't be read: nothing is adopted where one of them is asked first."""
    database = Database.read(
        users=[{"username": name, "rules": rules} for name, rules in users.items()],
        clients=[
            {"clientid": name, "rules": rules}
            for name, rules in tables.client_rules.items()
            if all(map(_is_rule, rules))
        ],
        everybody=tables.rules_for_all if all(map(_is_rule, tables.rules_for_all)) else (),
        version=tables.version,
        max_rules=_MOST_RULES,
    )
    known: dict[str, Source] = {DATABASE: database, **({FILE: file} if file is not None else {})}
    sources = tuple(known[name] for name in enabled if name in known)
    return Broker(sources=sources, no_match=tables.no_match, version=tables.version)


def _things(tables: EmqxTables) -> Iterator[Thing]:
    """Where else users and rules may be, and what holds where no rule decides."""
    ours = f"password_based:{DATABASE}"
    for name in tables.authenticators:
        if name != ours:
            text = one_line(f"authenticator {name}")
            yield Thing(kind="other", text=text, reason="its users are kept elsewhere, and are not read")
    for one in tables.sources:
        name = str(one.get("type"))
        if name == DATABASE or (name == FILE and _file(tables) is not None):
            continue
        reason = (
            "this acl.conf can't be read here" if name == FILE else "its rules are kept elsewhere, and are not read"
        )
        yield Thing(kind="other", text=one_line(f"source {name}"), reason=reason)
    text = f"no_match: {one_line(tables.no_match)[:20]}"
    if tables.no_match == "deny":
        yield Thing(kind="other", text=text, becomes="what no role of a site allows is refused")
    else:
        yield Thing(kind="other", text=text, reason=EVERYBODY)
