"""Our block in an `acl.conf` that others use, too: put in or replaced between its markers, nothing else is touched.

The first rule that matches decides, so a rule above the block that fits the site's accounts would take its place: such a file is
refused, with the rule and a request that it decides in another way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from nexus_cli.access.brokers.emqx.acl_conf import FILE
from nexus_cli.access.brokers.emqx.client import Client, Version
from nexus_cli.access.brokers.emqx.engine import AclFile, placed_terms
from nexus_cli.access.brokers.emqx.rule import Rule, compile_rule
from nexus_cli.access.brokers.emqx.terms import Atom, Placed, Term
from nexus_cli.access.brokers.emqx.topics import Everything, MissingValue, Template, Words, render
from nexus_cli.access.brokers.emqx.who import condition
from nexus_cli.access.brokers.rendered import Rendered
from nexus_cli.access.request import Request
from nexus_cli.diagnostics.errors import NexusError

_BLOCK = re.compile(r"^%% nexus (\S+/\S+) begin\r?$.*?^%% nexus \1 end\r?$\n?", re.MULTILINE | re.DOTALL)
_SECRET = "0" * 24
_ANY = "any"


def merge(existing: str, rendered: Rendered, *, version: Version = (5, 8)) -> str:
    """A file with our block in it: in the place of the old one, else before a closing `{deny, all}` or `{allow, all}`.

    Args:
        existing: The file as it is; "" for none.
        rendered: From `acl_conf.render`.
        version: Of EMQX.

    Raises:
        NexusError: NX7021, a rule before ours decides for our accounts. NX7024, EMQX refuses the file or the result.
    """
    ours = _BLOCK.search(rendered.files[FILE])
    if ours is None:
        raise NexusError("There is no block of rules to merge.", code="NX7024", cause="no markers in what was rendered")
    block = ours[0]
    theirs = [found for found in _BLOCK.finditer(existing) if found[1] == ours[1]]
    if existing.count(f"%% nexus {ours[1]} ") != 2 * len(theirs) or len(theirs) > 1:
        raise NexusError(
            f"The markers of {ours[1]} in this acl.conf are not one pair.",
            code="NX7024",
            hint="remove the block by hand, then merge again",
        )
    at = theirs[0].start() if theirs else _place(existing)
    after = existing[theirs[0].end() :] if theirs else existing[at:]
    before = existing[:at] if not at or existing[at - 1] == "\n" else existing[:at] + "\n"
    merged = before + block + after
    AclFile.read(merged, version)
    shadow = next(shadows(before, block, version), None)
    if shadow is not None:
        raise NexusError(
            f"Line {shadow.line} of this acl.conf decides before the rules of {ours[1]}.",
            code="NX7021",
            cause=f"{shadow.rule:.160} {shadow.what}",
            hint="move that rule below ours, or name in it the users or topics that it is meant for",
        )
    return merged


def without(existing: str, enterprise: str, site: str) -> str:
    """The file without a site's block; everything else stays as it is."""
    return _BLOCK.sub(lambda found: "" if found[1] == f"{enterprise}/{site}" else found[0], existing)


def is_open(existing: str) -> bool:
    """True when the file ends by allowing everybody everything: others then reach our topics, too."""
    terms = placed_terms(existing)
    return bool(terms) and _is_closing(terms[-1].term) == "allow"


def _place(existing: str) -> int:
    terms = placed_terms(existing)
    if terms and _is_closing(terms[-1].term):
        start = terms[-1].start
        line = existing.rfind("\n", 0, start) + 1
        return start if existing[line:start].strip() else line
    return len(existing)


def _is_closing(term: Term) -> str:
    """`allow` or `deny` of a rule that decides everything; "" for any other."""
    every = (Atom("all"),), (Atom("all"), Atom("all"), Atom("all"))
    if isinstance(term, tuple) and term[1:] in every and isinstance(term[0], Atom):
        return term[0].name
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A rule that decides before ours.

    Attributes:
        line: Where it begins.
        rule: Its text.
        what: A request that it decides in another way than we mean.
    """

    line: int
    rule: str
    what: str


def shadows(before: str, block: str, version: Version) -> Iterator[Shadow]:
    """Rules in front of a block that fit its accounts and decide otherwise; tried on requests made of both sides' topics."""
    ours = AclFile.read(block, version)
    terms = [placed.term for placed in placed_terms(block)]
    accounts = sorted(_accounts(terms))
    filters = sorted(_filters(ours.rules))
    for placed in placed_terms(before):
        rule = compile_rule(placed.term, version, line=placed.line)
        for account, client_id in accounts:
            client = Client(username=account, client_id=client_id)
            if _may_fit(placed, client, version):
                request = _decided_otherwise(rule, ours, client, filters)
                if request is not None:
                    verb = "lets" if rule.allow else "keeps"
                    preposition = "" if rule.allow else "from "
                    what = f"{verb} '{account}' {preposition}{request.wish} '{request.topic}'"
                    yield Shadow(line=placed.line, rule=rule.text, what=what)
                    break


def _accounts(terms: Sequence[Term]) -> Iterator[tuple[str, str]]:
    """The accounts that our rules name, each with a client id that its rule takes."""
    found: dict[str, str] = {}
    for term in terms:
        parts = term[1] if isinstance(term, tuple) and len(term) == 4 else ()
        conditions = parts[1] if isinstance(parts, tuple) and parts[:1] == (Atom("and"),) else [parts]
        for each in conditions if isinstance(conditions, list) else []:
            match each if isinstance(each, tuple) else ():
                case (Atom("username"), list(codes)):
                    name = "".join(chr(code) for code in codes if isinstance(code, int))
                    found.setdefault(name, f"{name}-{_ANY}-{_SECRET}")
    yield from found.items()


def _may_fit(placed: Placed, client: Client, version: Version) -> bool:
    """Whether the `Who` of a rule can fit an account: what depends on more than its name counts as fitting."""
    term = placed.term
    if not isinstance(term, tuple) or len(term) < 4:
        return True
    return _could_be(term[1], client, version)


def _could_be(who: Term, client: Client, version: Version) -> bool:
    match who if isinstance(who, tuple) else ():
        case (Atom("username" | "user"), _):
            return condition(who, version)(client)
        case (Atom("and"), list(parts)):
            return all(_could_be(part, client, version) for part in parts)
        case (Atom("or"), list(parts)):
            return any(_could_be(part, client, version) for part in parts)
    return True


def _decided_otherwise(rule: Rule, ours: AclFile, client: Client, filters: Sequence[str]) -> Request | None:
    for topic in _samples(rule, client, filters):
        for wish in ("publish", "subscribe"):
            for qos, retain in product((0, 1, 2), (False, True)):
                request = Request(
                    user=client.username or "",
                    wish="publish" if wish == "publish" else "subscribe",
                    topic=topic,
                    qos=qos,
                    retain=retain,
                    client_id=client.client_id,
                )
                decided = AclFile(rules=(_for_anybody(rule),), broker=ours.broker).matched(client, request)
                if decided is not None and ours.decide_for(client, request).allowed is not rule.allow:
                    return request
    return None


def _for_anybody(rule: Rule) -> Rule:
    return Rule(allow=rule.allow, who=lambda _: True, action=rule.action, topics=rule.topics)


def _filters(rules: Sequence[Rule]) -> set[str]:
    return {
        "/".join(level.decode() for level in topic.levels)
        for rule in rules
        if rule.allow
        for topic in rule.topics
        if isinstance(topic, Words)
    }


def _samples(rule: Rule, client: Client, filters: Sequence[str]) -> Iterator[str]:
    """Topics and filters that a rule may be asked about: its own, and what they share with ours."""
    for topic in rule.topics:
        if isinstance(topic, Everything):
            own = ["#", "$SYS/any", _ANY]
        elif isinstance(topic, Template):
            try:
                own = [render(topic, client).decode()]
            except MissingValue:
                continue
        else:
            own = ["/".join(level.decode(errors="replace") for level in topic.levels)]
        for each in own:
            yield from _forms(each)
            for filter_ in filters:
                shared = _shared(each.split("/"), filter_.split("/"))
                if shared is not None:
                    yield from _forms("/".join(shared))


def _forms(filter_: str) -> Iterator[str]:
    yield filter_
    plain = filter_.replace("+", _ANY)
    if plain.endswith("#"):
        yield from (plain[:-1].rstrip("/") or _ANY, plain[:-1] + _ANY, plain[:-1] + f"{_ANY}/{_ANY}")
    else:
        yield plain


def _shared(one: Sequence[str], other: Sequence[str]) -> list[str] | None:
    """A filter of what two filters both match; None when nothing."""
    if not one or not other:
        rest = [*one, *other]
        return [] if rest in ([], ["#"]) else None
    if one[0] == "#":
        return list(other)
    if other[0] == "#":
        return list(one)
    if one[0] != other[0] and "+" not in (one[0], other[0]):
        return None
    behind = _shared(one[1:], other[1:])
    return None if behind is None else [other[0] if one[0] == "+" else one[0], *behind]
