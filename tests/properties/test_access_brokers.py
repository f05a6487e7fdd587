"""Random sites, random requests: what the grants of a site say, every broker's file says when it is read back as that
broker reads it. Where a broker can't say a limit, and which filters it would widen, is asked as it is documented."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.forms.asked import Asked
from nexus_cli.access.brokers.hivemq.permissions import sayable
from nexus_cli.access.brokers.registry import BROKERS
from nexus_cli.access.compile import compile_grants
from nexus_cli.access.evaluate import GrantRules
from nexus_cli.access.grants import CLI, CONTROL, HISTORIAN, WEB, Grant, principals
from nexus_cli.access.passwords import hash_password
from nexus_cli.access.request import Request, Wish
from nexus_cli.model.snapshot import Snapshot
from tests.properties.test_rights import _sites, _snapshot

SITES, REQUESTS = 50, 420
"""Of all brokers together more than 100,000 answers."""
ACCOUNTS = Accounts("e", "s")
HASHES = hash_password("secret", argon2id=False)
WISHES: dict[str, tuple[Wish, ...]] = {
    "emqx": ("publish", "subscribe"),  # checks nothing on delivery
    "mosquitto": ("publish", "receive"),  # grants every subscription, and checks each delivery
    "mosquitto-dynsec": ("publish", "subscribe"),
    "hivemq": ("publish", "subscribe"),
    "hivemq-enterprise": ("publish", "subscribe"),
}
UNBOUNDED = ("mosquitto", "mosquitto-dynsec")
"""They know no limits of QoS and retain (NX7013)."""
PRINCIPALS = ("u", "u", "u", "stranger", CONTROL, HISTORIAN, WEB, CLI, "nexus.gateway.gw-1", "nexus.gateway.gw-2")


def _meant(broker: str, grants: Sequence[Grant], topics: Sequence[str]) -> GrantRules:
    if broker in UNBOUNDED:
        grants = [replace(grant, qos=None, retain=None) for grant in grants]
    if broker.startswith("hivemq"):
        grants = sayable(grants, topics).grants
    return GrantRules(grants)


def _request(draw: random.Random, wish: Wish, filters: Sequence[str], topics: Sequence[str]) -> Request:
    """About what is granted or declared, bent a little; sometimes about anything."""
    levels = draw.choice([*filters, *topics, "e/s/a/l1/d1/t1", "_nexus/e/s/cmd/a/l1/d1/t1/u"]).split("/")
    for _ in range(draw.randrange(3)):
        levels[draw.randrange(len(levels))] = draw.choice(("a", "b", "l1", "d1", "e1", "t1", "u", "gw-1", "+"))
    if draw.random() < 0.3:
        levels = levels[: draw.randrange(1, len(levels) + 1)]
    if draw.random() < 0.2:
        levels.append(draw.choice(("x", "#", "+")))
    if wish != "subscribe":
        levels = ["x" if level in ("+", "#") else level for level in levels]
    elif "#" in levels:
        levels = levels[: levels.index("#") + 1]
    topic = "/".join(levels)
    principal = draw.choice(PRINCIPALS)
    account = ACCOUNTS.account(principal)
    return Request(
        user=account,
        wish=wish,
        topic=f"$share/g/{topic}" if wish == "subscribe" and draw.random() < 0.2 else topic,
        qos=draw.randrange(3),
        retain=draw.random() < 0.3,
        client_id=f"{account}-record-{draw.randrange(16**24):024x}",
    )


def _wider_in_vain(rules: GrantRules, asked: Request, topics: Sequence[str]) -> bool:
    """True when nothing that is declared arrives through a subscription beyond what is granted."""
    user = ACCOUNTS.principal(asked.user) or ""
    return not any(
        rules.decide(Request(user=principal, wish="publish", topic=topic)).allowed
        and not rules.decide(Request(user=user, wish="receive", topic=topic)).allowed
        for topic in topics
        if _covers(asked.topic, topic)
        for principal in PRINCIPALS
    )


def _covers(filter_: str, topic: str) -> bool:
    one = GrantRules([Grant("x", "subscribe", filter_.removeprefix("$share/g/"))])
    return one.decide(Request(user="x", wish="receive", topic=topic)).allowed


@pytest.mark.parametrize("broker", sorted(BROKERS))
@settings(max_examples=SITES, deadline=None)
@given(site=_sites, seed=st.integers(0, 2**32))
def test_a_brokers_file_says_what_the_site_says(broker: str, site: dict[str, Any], seed: int) -> None:
    snapshot: Snapshot = _snapshot(site)
    grants = compile_grants(snapshot)
    topics = [f"e/s/{path}/{tag}" for path, device in site["devices"].items() for tag in device["tags"]]
    render, read = BROKERS[broker].load()
    hashes = dict.fromkeys(principals(grants), HASHES)
    rules = read(render(Asked(grants=grants, accounts=ACCOUNTS, hashes=hashes, topics=topics)))
    meant = _meant(broker, grants, topics)
    filters = sorted({grant.filter for grant in grants})
    draw, answers = random.Random(seed), Counter[bool]()
    for number in range(REQUESTS):
        asked = _request(draw, WISHES[broker][number % 2], filters, topics)
        principal = ACCOUNTS.principal(asked.user) or ""
        expected = meant.decide(replace(asked, user=principal))
        answer = rules.decide(asked)
        answers[answer.allowed] += 1
        if answer.allowed and not expected.allowed and broker.startswith("hivemq") and asked.wish == "subscribe":
            assert _wider_in_vain(GrantRules(grants), asked, topics), (asked, answer)
            continue
        assert answer.allowed == expected.allowed, (asked, answer, expected)
    assert min(answers[True], answers[False]) > 3, "both answers were asked for"
