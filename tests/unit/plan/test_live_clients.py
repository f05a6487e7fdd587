"""Who is concerned at the broker: topics that end, and sessions that keep a right. By hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.access.accounts import Accounts
from nexus_cli.plan.live_clients import ending_paths, live_clients, losers, stale_text, subscribers_text
from nexus_cli.plan.plan import Plan
from nexus_cli.wire.emqx_rows import Session, Subscription
from nexus_cli.wire.topic import matches
from tests.unit.plan.test_plan import device, plan, snapshot, tag, texts

ACME = Accounts("acme", "chicago")


def ends(before: dict[str, Any], after: dict[str, Any] | None, **keys: Any) -> list[str]:
    return sorted(ending_paths(plan(snapshot(before), snapshot(*([after] if after else [])), **keys).changes))


def one(**tags: Any) -> dict[str, Any]:
    return device("a/l/one", tags=tags)


def test_topics_that_end_are_those_that_were_published() -> None:
    both = one(x=tag(), y=tag(address="holding:2"))
    assert ends(both, one(x=tag())) == ["a/l/one/y"]
    assert ends(both, None) == ["a/l/one/x", "a/l/one/y"]
    silent = one(x=tag(), y=tag(address="holding:2", live_publish=False))
    assert ends(both, silent) == ["a/l/one/y"] and ends(silent, one(x=tag())) == []
    unretained = one(x=tag(), y=tag(address="holding:2", live_retain=False))
    assert ends(both, unretained) == [], "it is published, though the broker keeps nothing"
    assert ends(unretained, one(x=tag())) == ["a/l/one/y"]


def test_old_names_end_and_names_that_change_places_do_not() -> None:
    both = one(x=tag(), y=tag(address="holding:2"))
    swapped = one(y=tag(), x=tag(address="holding:2"))
    assert ends(both, one(z=tag(), y=tag(address="holding:2")), moved=[("a/l/one/x", "a/l/one/z")]) == ["a/l/one/x"]
    moved = [("a/l/one/x", "a/l/one/y"), ("a/l/one/y", "a/l/one/x")]
    assert ends(both, swapped, moved=moved) == []


def test_what_another_system_publishes_does_not_end_with_its_declaration() -> None:
    theirs = device("a/l/one", protocol="external", link="", gateway="", connection={}, tags={"x": tag(address="")})
    assert ends(theirs, None) == []


def test_a_message_that_was_never_retained_is_not_cleared() -> None:
    before = one(x=tag(live_retain=False), y=tag(address="holding:2"), z=tag(address="holding:4", live_publish=False))
    found = plan(snapshot(before), snapshot(one()))
    assert [text for text in texts(found) if "cleared" in text] == ["topics: 1 retained message cleared"]
    assert [each.names for each in found.impacts if each.names] == [("a/l/one/y",)]


@pytest.mark.parametrize(
    ("filter_", "covers"),
    [
        ("acme/chicago/a/l/one/x", True),
        ("acme/chicago/a/l/one", False),
        ("acme/chicago/a/l/one/x/y", False),
        ("acme/+/a/+/+/x", True),
        ("acme/+/a/+/x", False),
        ("acme/chicago/#", True),
        ("#", True),
        ("acme/berlin/#", False),
        ("$share/group/acme/chicago/#", True),
        ("$share/group/acme/berlin/#", False),
        ("$queue/acme/chicago/a/#", True),
        ("$exclusive/acme/chicago/a/l/one/x", True),
        ("$SYS/#", False),
        ("acme/chicago/a/l/one/x/#", True),
        ("", False),
        ("acme/chicago//l/one/x", False),
    ],
)
def test_filters_cover_as_the_standard_says(filter_: str, covers: bool) -> None:
    found = live_clients(
        [Session(clientid="c", username="anna")],
        [Subscription(clientid="c", topic=filter_)],
        topics=frozenset({"acme/chicago/a/l/one/x"}),
        losing=frozenset(),
        accounts=ACME,
    )
    assert bool(found.subscribers) is covers


LEVEL = st.sampled_from(["a", "b", "c"])


@given(
    topics=st.sets(st.lists(LEVEL, min_size=1, max_size=4).map("/".join), min_size=1),
    filter_=st.lists(st.one_of(LEVEL, st.just("+"), st.just("#")), min_size=1, max_size=5).map("/".join),
)
def test_all_topics_at_once_are_as_one_after_the_other(topics: set[str], filter_: str) -> None:
    found = live_clients(
        [], [Subscription(clientid="c", topic=filter_)], topics=frozenset(topics), losing=frozenset(), accounts=ACME
    )
    # A filter that ends in `#` also covers the level above it (§4.7.1.2), which `matches` says for whole filters.
    assert bool(found.subscribers) is any(matches(filter_, topic) for topic in topics)


def test_clients_are_counted_by_user_and_ours_are_left_out() -> None:
    clients = [
        Session(clientid="c1", username="anna@acme.chicago"),
        Session(clientid="c2", username="anna@acme.chicago", connected=False),
        Session(clientid="c2", username="anna@acme.chicago", connected=False),
        Session(clientid="c3", username="scada"),
        Session(clientid="c4"),
        Session(clientid="nexus.web@acme.chicago-live-1", username="nexus.web@acme.chicago"),
    ]
    subscriptions = [Subscription(clientid=each.clientid, topic="acme/chicago/#") for each in clients]
    subscriptions.append(Subscription(clientid="gone", topic="acme/#"))
    subscriptions.append(Subscription(clientid="c9", topic="acme/berlin/#"))
    found = live_clients(
        clients,
        subscriptions,
        topics=frozenset({"acme/chicago/a/l/one/x"}),
        losing=frozenset({"anna", "ben"}),
        accounts=ACME,
    )
    assert found.subscribers == (
        {"user": "", "clients": 2, "connected": 2},
        {"user": "anna", "clients": 2, "connected": 1},
        {"user": "scada", "clients": 1, "connected": 1},
    )
    assert subscribers_text(found.subscribers) == (
        "5 clients subscribe to topics that end: without a user (2), anna (2, 1 not connected), scada"
    )
    assert found.stale == ({"user": "anna", "clients": 2, "connected": 1},)
    assert stale_text(found.stale) == "2 sessions keep what they lose until they end: anna (2, 1 not connected)"


def test_another_tenants_user_of_the_same_name_is_nobody() -> None:
    clients = [Session(clientid="c1", username="anna"), Session(clientid="c2", username="anna@acme.berlin")]
    found = live_clients(clients, [], topics=frozenset(), losing=frozenset({"anna"}), accounts=ACME)
    assert found.stale == () and stale_text(()) == "no user who loses a right has a session"
    plain = Accounts("acme", "chicago", shared=False)
    found = live_clients(clients, [], topics=frozenset(), losing=frozenset({"anna"}), accounts=plain)
    assert found.stale == ({"user": "anna", "clients": 1, "connected": 1},)


def test_second_accounts_are_their_users() -> None:
    clients = [Session(clientid="c1", username="anna.b@acme.chicago")]
    found = live_clients(clients, [], topics=frozenset(), losing=frozenset({"anna"}), accounts=ACME)
    assert found.stale == ({"user": "anna", "clients": 1, "connected": 1},)


def narrowed() -> Plan:
    def site(*read: str) -> Any:
        return snapshot(one(x=tag()), role__r={"read": list(read)}, user__anna={"roles": ["r"]})

    return plan(site("a/**"), site())


def test_who_loses_what_an_emqx_session_keeps() -> None:
    assert losers(narrowed().sessions) == {"anna"}
    assert losers(plan(snapshot(one(x=tag())), snapshot(one())).sessions) == frozenset()
