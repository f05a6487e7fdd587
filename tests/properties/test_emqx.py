"""The law of EMQX: what is rendered, read back and asked as EMQX would be, is what the grants say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.emqx.acl_conf import FILE, render
from nexus_cli.access.brokers.emqx.client import Client, Version
from nexus_cli.access.brokers.emqx.engine import AclFile, Broker, Database, TokenRules
from nexus_cli.access.brokers.emqx.rules import database_rules, user_rules
from nexus_cli.access.brokers.emqx.shared_file import merge
from nexus_cli.access.brokers.emqx.terms import Atom, Term, read, write
from nexus_cli.access.evaluate import GrantRules
from nexus_cli.access.grants import Action, Grant, join
from nexus_cli.access.request import Request
from nexus_cli.diagnostics.errors import NexusError

ACCOUNTS = Accounts("acme", "chicago")
PRINCIPALS = ("u", "v", "nexus.control", "nexus.gateway.g")
VERSIONS: tuple[Version, ...] = ((5, 8, 8), (5, 8, 9), (5, 10, 4), (6, 3, 0), (5, 8))

levels = st.sampled_from(["a", "b", "c", "+", "ü"])
filters = st.one_of(
    st.tuples(st.lists(levels, max_size=3), st.sampled_from(["a", "b", "+", "#"])).map(
        lambda parts: "/".join([*parts[0], parts[1]])
    ),
    st.sampled_from(["$SYS/#", "$SYS/a", "$nexus/#", "#", "+/#", "+", "a/+/#"]),
)
asked = st.one_of(filters, filters.map(lambda filter_: f"$share/g/{filter_}"))
topics = st.one_of(
    st.lists(st.sampled_from(["a", "b", "c", "ü", "d"]), min_size=1, max_size=4).map("/".join),
    st.sampled_from(["$SYS/a", "$nexus/a", "$x", "a/+", "#"]),
)
actions = st.sampled_from(["publish", "subscribe"])
bounds = st.sampled_from([None, (0,), (0, 1), (1, 2)])
retains = st.sampled_from([None, None, True, False])


def _grant(principal: str, action: Action, filter_: str, qos: tuple[int, ...] | None, retain: bool | None) -> Grant:
    limits = (qos, retain) if action == "publish" else (None, None)
    return Grant(principal, action, filter_, f"why {filter_}", *limits)


def _request(principal: str, wish: Action, topic: str, filter_: str, qos: int, retain: bool) -> Request:
    return Request(user=principal, wish=wish, topic=topic if wish == "publish" else filter_, qos=qos, retain=retain)


grants = st.lists(
    st.builds(_grant, st.sampled_from(PRINCIPALS), actions, filters, bounds, retains), min_size=1, max_size=8
).map(lambda found: join(found))
requests = st.lists(
    st.builds(_request, st.sampled_from(PRINCIPALS), actions, topics, asked, st.integers(0, 2), st.booleans()),
    min_size=1,
    max_size=12,
)


def _at_broker(request: Request, *, client_id: str = "") -> Request:
    account = ACCOUNTS.account(request.user)
    return Request(
        user=account,
        wish=request.wish,
        topic=request.topic,
        qos=request.qos,
        retain=request.retain,
        client_id=client_id or f"{account}-test-{'0' * 24}",
    )


def _rendered(mine: tuple[Grant, ...], version: Version) -> str | None:
    try:
        return render(mine, ACCOUNTS, version=version).files[FILE]
    except NexusError as error:
        assert error.code == "NX7020"
        return None


@given(mine=grants, wanted=requests, version=st.sampled_from(VERSIONS))
def test_the_file_read_back_says_what_the_grants_say(
    mine: tuple[Grant, ...], wanted: list[Request], version: Version
) -> None:
    text = _rendered(mine, version)
    if text is None:
        return
    exact = version if len(version) == 3 else (5, 8, 8)
    rules, meant = AclFile.read(text, exact), GrantRules(mine)
    for request in wanted:
        decided = rules.decide(_at_broker(request))
        assert decided.allowed is meant.decide(request).allowed, (request, decided, text)
        if request.user.startswith("nexus."):
            assert not rules.decide(_at_broker(request, client_id="somebody")).allowed


@given(mine=grants, wanted=requests, version=st.sampled_from(VERSIONS))
def test_the_database_and_a_token_say_the_same(
    mine: tuple[Grant, ...], wanted: list[Request], version: Version
) -> None:
    if _rendered(mine, version) is None:
        return
    users = database_rules(mine, ACCOUNTS, version=version).users
    database = Broker(sources=(Database.read(users=users, version=version),), no_match="deny", version=version)
    meant = GrantRules(mine)
    for request in wanted:
        expected = meant.decide(request).allowed
        assert database.decide(_at_broker(request)).allowed is expected
        claims = {"acl": user_rules([grant for grant in mine if grant.principal == request.user])}
        token = Broker(token=TokenRules.read(claims, version=version), no_match="deny", version=version)
        assert token.decide(_at_broker(request)).allowed is expected


@given(mine=grants, wanted=requests, closing=st.sampled_from(["{deny, all}.", "{allow, all}.", ""]))
def test_in_a_shared_file_our_accounts_keep_their_rights_and_others_theirs(
    mine: tuple[Grant, ...], wanted: list[Request], closing: str
) -> None:
    if _rendered(mine, (5, 8, 9)) is None:
        return
    theirs = '{allow, {username, "tenant"}, all, ["a/#"]}.\n{deny, {clientid, "x"}, all, ["b"]}.\n'
    theirs = theirs.split("\n")[0] + "\n" + closing + "\n"
    text = merge(theirs, render(mine, ACCOUNTS, version=(5, 8, 9)), version=(5, 8, 9))
    merged, before, meant = AclFile.read(text), AclFile.read(theirs), GrantRules(mine)
    for request in wanted:
        assert merged.decide(_at_broker(request)).allowed is meant.decide(request).allowed
        for name in ("tenant", "nobody"):
            other = Request(user=name, wish=request.wish, topic=request.topic, qos=request.qos)
            client = Client(username=name)
            assert merged.decide_for(client, other).allowed is before.decide_for(client, other).allowed


terms: st.SearchStrategy[Term] = st.recursive(
    st.one_of(
        st.text(max_size=12).filter(lambda text: not any(0xD800 <= ord(char) <= 0xDFFF for char in text)).map(Atom),
        st.integers(-(10**12), 10**12),
        st.binary(max_size=8),
        st.text(max_size=8).map(lambda text: [ord(char) for char in text]),
        st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass")),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.lists(inner, max_size=4).map(tuple)),
    max_leaves=12,
)


@given(term=terms)
def test_a_term_written_and_read_is_the_same(term: Term) -> None:
    assert [placed.term for placed in read(write(term) + ".")] == [term]


@given(text=st.text(alphabet=st.sampled_from(list("{}[],.\"'\\%ab1 \n<>$#/x")), max_size=30))
def test_reading_ends_in_terms_or_an_error_with_a_place_in_the_text(text: str) -> None:
    try:
        AclFile.read(text)
    except NexusError as error:
        assert error.code == "NX7024"
