"""EMQX's authorisation, as a reference model: rules read from EMQX's own formats, answered as EMQX does.

Written from what EMQX documents and does; held against its rule code on random rules and requests. What
surprises most: a SUBSCRIBE is authorised as if its filter were a topic, so that a rule ending in `+` grants the whole
subtree; and a message is never authorised again when it is delivered, so that `receive` is always allowed to
who has subscribed. See docs/decisions/0068.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from nexus_cli.access.brokers.emqx.client import Client, Version, client_of, is_at_least
from nexus_cli.access.brokers.emqx.raw_rules import raw_rule
from nexus_cli.access.brokers.emqx.rule import Rule, What, compile_rule, first_answer
from nexus_cli.access.brokers.emqx.terms import Atom, Placed, TermError, read
from nexus_cli.access.brokers.emqx.topics import asked_to_publish, asked_to_subscribe
from nexus_cli.access.brokers.emqx.who import MatchCrash, RuleError
from nexus_cli.access.request import Request, Verdict
from nexus_cli.diagnostics.errors import NexusError

MAX_RULES = 100
"""Of one entry of the built-in database, unless its configuration says otherwise."""
RECEIVES = "EMQX authorises the subscription; what is delivered to it is not checked again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one source of rules says.

    Attributes:
        allow: Its answer.
        by: The rule that gives it.
    """

    allow: bool
    by: str


class Source(Protocol):
    """A source of rules; None when nothing in it decides, and the next one is asked."""

    def answer(self, client: Client, what: What) -> Answer | None:
        """Ask it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AclFile:
    """A file source (`acl.conf`), alone or among others.

    Attributes:
        rules: In the file's order; the first one that matches decides.
        broker: What decides when no rule does.
    """

    rules: tuple[Rule, ...]
    broker: Broker

    @classmethod
    def read(
        cls,
        text: str,
        version: Version = (5, 8, 9),
        *,
        no_match: str = "deny",
        profile: str = "legacy",
    ) -> AclFile:
        """Read a file as that version does.

        Args:
            text: The file.
            version: Of EMQX.
            no_match: `authorization.no_match`, for `decide`.
            profile: `EMQX_SECURITY_PROFILE`, from 6.3.

        Raises:
            NexusError: NX7024, EMQX refuses the file: it does not start, or keeps the rules that it has.
        """
        rules = tuple(_compiled(placed, version, profile) for placed in placed_terms(text))
        broker = Broker(version=version, no_match=no_match, profile=profile)
        return cls(rules=rules, broker=broker)

    def answer(self, client: Client, what: What) -> Answer | None:
        """The first rule that matches."""
        try:
            found = first_answer(self.rules, client, what)
        except MatchCrash:
            return None
        if found is None:
            return None
        allow, place = found
        rule = self.rules[place - 1]
        return Answer(allow=allow, by=f"acl.conf line {rule.line}, rule {place}: {rule.text:.200}")

    def matched(self, client: Client, request: Request) -> tuple[str, int] | None:
        """`allow` or `deny` and the number of the rule (from 1) that decides; None when none matches."""
        what = what_of(request)
        found = first_answer(self.rules, client, what) if isinstance(what, What) else None
        return None if found is None else ("allow" if found[0] else "deny", found[1])

    def decide(self, request: Request) -> Verdict:
        """Answer a request, with this file as the only source."""
        return self.decide_for(client_of(request), request)

    def decide_for(self, client: Client, request: Request) -> Verdict:
        """Answer a request of a client of whom more than the name and the id is known."""
        return self.broker.decide_with((self,), client, request)


def placed_terms(text: str) -> list[Placed]:
    """The terms of a file.

    Raises:
        NexusError: NX7024, they can't be read.
    """
    try:
        return read(text)
    except TermError as error:
        raise NexusError("EMQX can't read this acl.conf.", code="NX7024", cause=str(error)) from None


def _compiled(placed: Placed, version: Version, profile: str) -> Rule:
    try:
        return compile_rule(placed.term, version, line=placed.line, profile=profile)
    except RuleError as error:
        version_text = ".".join(map(str, version))
        raise NexusError(
            f"EMQX {version_text} refuses this acl.conf.", code="NX7024", cause=f"line {placed.line}: {error}"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The built-in database: rules of client ids, of user names, and of everybody, asked in this order.

    Attributes:
        clients, users: Rules by client id and by user name.
        everybody: Rules for all.
    """

    users: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    clients: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    everybody: tuple[Rule, ...] = ()

    @classmethod
    def read(
        cls,
        *,
        users: Sequence[Mapping[str, Any]] = (),
        clients: Sequence[Mapping[str, Any]] = (),
        everybody: Sequence[Mapping[str, Any]] = (),
        version: Version = (5, 8, 9),
        max_rules: int = MAX_RULES,
    ) -> Database:
        """Read the bodies of `rules/users`, `rules/clients` and the rules of `rules/all`.

        Raises:
            NexusError: NX7024, a rule that the REST API refuses; NX7022, more rules than an entry may have.
        """
        return cls(
            users={each["username"]: _raw(each["rules"], version, max_rules, each["username"]) for each in users},
            clients={each["clientid"]: _raw(each["rules"], version, max_rules, each["clientid"]) for each in clients},
            everybody=_raw(everybody, version, max_rules, "all"),
        )

    def answer(self, client: Client, what: What) -> Answer | None:
        """Rules of the client id first, then of the name, then of all."""
        lists = (
            (f"client {client.client_id}", self.clients.get(client.client_id, ())),
            (f"user {client.username}", self.users.get(client.username, ()) if client.username is not None else ()),
            ("all", self.everybody),
        )
        for owner, rules in lists:
            try:
                found = first_answer(rules, client, what)
            except (MatchCrash, RuleError):
                return None
            if found is not None:
                return Answer(allow=found[0], by=f"built-in database, {owner}, rule {found[1]}")
        return None


def _raw(rules: Sequence[Mapping[str, Any]], version: Version, max_rules: int, owner: str) -> tuple[Rule, ...]:
    if len(rules) > max_rules:
        raise NexusError(
            f"'{owner}' has {len(rules)} rules; EMQX takes {max_rules} for one entry.",
            code="NX7022",
        )
    try:
        return tuple(raw_rule(rule, version) for rule in rules)
    except RuleError as error:
        raise NexusError(f"EMQX refuses a rule of '{owner}'.", code="NX7024", cause=str(error)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """The `acl` claim of a token (or the answer of an HTTP authenticator): asked before every source.

    Attributes:
        rules: Its rules, where it is a list; no match falls through.
        lists: Where it is a map (`pub`, `sub`, `all`): one rule each; no match refuses.
        expires_at_s: `exp`, in seconds since 1970; None without. What is no whole number refuses everything.
        now_s: The time of the question, injected; None asks the clock.
        version: Of EMQX.
    """

    rules: tuple[Rule, ...] | None = None
    lists: tuple[Rule | None, ...] = ()
    expires_at_s: Any = None
    now_s: float | None = None
    version: Version = (5, 8, 9)

    @classmethod
    def read(cls, claims: Mapping[str, Any], *, version: Version = (5, 8, 9), now_s: float | None = None) -> TokenRules:
        """Read the claims of a token that is valid.

        Raises:
            NexusError: NX7024, a rule that makes EMQX refuse the login.
        """
        acl, expires = claims.get("acl", []), claims.get("exp")
        if isinstance(acl, Mapping):
            lists = tuple(_map_rule(acl, word, version) for word in ("pub", "sub", "all"))
            return cls(lists=lists, expires_at_s=expires, now_s=now_s, version=version)
        if not isinstance(acl, list):
            raise NexusError("EMQX refuses a login with this `acl`.", code="NX7024", cause="neither a list nor a map")
        return cls(rules=_raw(acl, version, 2**31, "acl"), expires_at_s=expires, now_s=now_s, version=version)

    def answer(self, client: Client, what: What) -> Answer | None:
        """An expired token refuses; else its rules."""
        if self.expires_at_s is not None and self._is_expired():
            return Answer(allow=False, by="the token has expired")
        try:
            if self.rules is not None:
                found = first_answer(self.rules, client, what)
                return None if found is None else Answer(allow=found[0], by=f"acl of the token, rule {found[1]}")
            for rule in self.lists:
                if rule is None:
                    return None
                if rule.answer(client, what):
                    return Answer(allow=True, by="acl of the token")
        except MatchCrash:
            return None
        return Answer(allow=False, by="acl of the token: nothing in its map")

    def _is_expired(self) -> bool:
        if not isinstance(self.expires_at_s, int) or isinstance(self.expires_at_s, bool):
            return True
        now = int(time.time() if self.now_s is None else self.now_s)
        return self.expires_at_s < now if is_at_least(self.version, 5, 9, 0) else self.expires_at_s <= now


def _map_rule(acl: Mapping[str, Any], word: str, version: Version) -> Rule | None:
    """A rule of the old form; None where it is no list of filters, which EMQX notices only when it gets there."""
    action = {"pub": "publish", "sub": "subscribe", "all": "all"}[word]
    filters = acl.get(word, [])
    if not isinstance(filters, list) or not all(isinstance(each, str) for each in filters):
        return None
    term = (Atom("allow"), Atom("all"), Atom(action), [each.encode() for each in filters])
    try:
        return compile_rule(term, version)
    except RuleError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """The order of decisions of a whole EMQX; the cache of a connection is left aside: it only repeats answers.

    Attributes:
        sources: `authorization.sources`, in order, those that are enabled.
        token: Rules from authentication; they come first.
        no_match: `allow` or `deny`; "" is the version's default.
        version: Of EMQX.
        profile: `EMQX_SECURITY_PROFILE` (from 6.3); "" is the version's default.
        mountpoint: Of the listener, filled in; rules see it only with `include_mountpoint`.
        include_mountpoint: From 6.3; None is what the profile says.
    """

    sources: tuple[Source, ...] = ()
    token: TokenRules | None = None
    no_match: str = ""
    version: Version = (5, 8, 9)
    profile: str = ""
    mountpoint: str = ""
    include_mountpoint: bool | None = None

    @property
    def is_hardened(self) -> bool:
        """Whether the profile `hardened` is in force: the default from 7.0, nothing before 6.3."""
        if not is_at_least(self.version, 6, 3, 0):
            return False
        return self.profile == "hardened" or (not self.profile and is_at_least(self.version, 7, 0, 0))

    @property
    def default(self) -> str:
        """What happens when nothing matches."""
        return self.no_match or ("deny" if is_at_least(self.version, 6, 0, 0) else "allow")

    def decide(self, request: Request) -> Verdict:
        """Answer a request."""
        return self.decide_for(client_of(request), request)

    def decide_for(self, client: Client, request: Request) -> Verdict:
        """Answer a request of a client of whom more than the name and the id is known."""
        return self.decide_with(self.sources, client, request)

    def decide_with(self, sources: Sequence[Source], client: Client, request: Request) -> Verdict:
        """The same, asking other sources."""
        if request.wish == "receive":
            return Verdict(allowed=True, why=RECEIVES)
        what = what_of(request, mount=self._mount())
        if isinstance(what, str):
            return Verdict(allowed=False, why=what)
        if client.is_superuser:
            return Verdict(allowed=True, why="a superuser")
        for source in (*([self.token] if self.token is not None else []), *sources):
            answer = source.answer(client, what)
            if answer is not None:
                return Verdict(allowed=answer.allow, why=answer.by)
        return Verdict(allowed=self.default == "allow", why=f"no rule matches: authorization.no_match = {self.default}")

    def _mount(self) -> str:
        known = is_at_least(self.version, 6, 3, 0)
        seen = self.is_hardened if self.include_mountpoint is None else self.include_mountpoint
        return self.mountpoint if known and seen else ""


def what_of(request: Request, *, mount: str = "") -> What | str:
    """What the rules see of a request; a text when it is refused before any rule."""
    publishes = request.wish == "publish"
    asked = (asked_to_publish if publishes else asked_to_subscribe)(request.topic, mount=mount)
    if asked.refused:
        return asked.refused
    return What(publish=publishes, topic=asked.topic, qos=request.qos, retain=request.retain)
