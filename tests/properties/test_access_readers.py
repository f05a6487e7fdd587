"""What is rendered for a broker, read back and asked as that broker answers, says what the grants say.

Seeded, not drawn by hypothesis: 100,000 requests take seconds.
"""

from __future__ import annotations

import random

import pytest

from nexus_cli.access.brokers.hivemq.permissions import sayable
from nexus_cli.access.brokers.hivemq.rbac import CREDENTIALS, REALM, render_enterprise
from nexus_cli.access.brokers.hivemq.rbac import render as render_hivemq
from nexus_cli.access.brokers.hivemq.rbac_reader import read_credentials, read_realm
from nexus_cli.access.brokers.mosquitto.acl_file import render as render_acl
from nexus_cli.access.brokers.mosquitto.acl_reader import read_acl
from nexus_cli.access.brokers.mosquitto.dynsec import FILE
from nexus_cli.access.brokers.mosquitto.dynsec import render as render_dynsec
from nexus_cli.access.brokers.mosquitto.dynsec_reader import read_dynsec
from nexus_cli.access.evaluate import covers, evaluate
from nexus_cli.access.grants import Grant
from nexus_cli.access.passwords import hash_password
from nexus_cli.access.request import Request
from nexus_cli.wire.topic import matches
from tests.access_requests import ACCOUNTS, USERS, Tally, grants, meant, request, topic
from tests.examples import examples

HASHES = {user: hash_password("secret", argon2id=False, iterations=1) for user in USERS}
SITES = 120
REQUESTS = 250


def _draws() -> list[random.Random]:
    return [random.Random(f"readers {number}") for number in range(examples(SITES))]


def test_mosquittos_acl_file_read_back_says_what_the_grants_say() -> None:
    tally = Tally()
    for draw in _draws():
        rules = grants(draw)
        reader = read_acl(render_acl(rules, ACCOUNTS).files["acl"])
        for _ in range(REQUESTS):
            asked = request(draw)
            answer = reader.decide(asked)
            if asked.wish == "subscribe":
                assert answer.allowed, "SUBSCRIBE always passes; what arrives is checked"
                continue
            assert answer.allowed is meant(rules, asked), (rules, asked, answer)
            tally.count(answer.allowed)
    assert min(tally.allowed, tally.refused) > REQUESTS


def test_dynamic_security_read_back_says_what_the_grants_say() -> None:
    tally = Tally()
    for draw in _draws():
        rules = grants(draw)
        reader = read_dynsec(render_dynsec(rules, ACCOUNTS, HASHES).files[FILE])
        for _ in range(REQUESTS):
            asked = request(draw)
            answer = reader.decide(asked)
            assert answer.allowed is meant(rules, asked), (rules, asked, answer)
            tally.count(answer.allowed)
    assert min(tally.allowed, tally.refused) > REQUESTS


@pytest.mark.parametrize("form", ["community", "enterprise"])
def test_hivemqs_file_read_back_says_what_the_grants_say(form: str) -> None:
    tally, wider = Tally(), 0
    for draw in _draws():
        rules = grants(draw, limited=True)
        declared = [topic(draw) for _ in range(8)]
        said = sayable(rules, declared)
        if form == "community":
            reader = read_credentials(render_hivemq(rules, ACCOUNTS, HASHES, topics=declared).files[CREDENTIALS])
        else:
            reader = read_realm(render_enterprise(rules, ACCOUNTS, topics=declared).files[REALM])
        for each in said.grants:
            assert any(
                (each.principal, each.action, each.qos, each.retain)
                == (other.principal, other.action, other.qos, other.retain)
                and covers(other.filter, each.filter)
                for other in rules
            ), "nothing is written that nobody granted"
        for _ in range(REQUESTS):
            asked = request(draw)
            answer, expected = reader.decide(asked), meant(said.grants, asked)
            if answer.allowed and not expected and asked.wish != "publish":
                wider += 1
                _nobody_publishes_more(rules, asked, draw)
                continue
            assert answer.allowed is expected, (said.grants, asked, answer)
            tally.count(answer.allowed)
    assert min(tally.allowed, tally.refused) > REQUESTS
    assert wider > 0, "the case of a '+' at the end was drawn"


def _nobody_publishes_more(rules: tuple[Grant, ...], asked: Request, draw: random.Random) -> None:
    """A subscription that is wider than meant lets nothing through: what it adds nobody of the site may publish."""
    user = ACCOUNTS.principal(asked.user) or ""
    wanted = asked.topic.removeprefix("$share/g/")
    for one in {topic(draw) for _ in range(30)}:
        if not matches(wanted, one):
            continue
        heard = evaluate(rules, principal=user, action="subscribe", topic=one).allowed
        sent = any(evaluate(rules, principal=other, action="publish", topic=one).allowed for other in USERS)
        assert heard or not sent, (asked, one)
