"""Random grants and requests: the grants, the file read back, and the broker itself say the same.

Mosquitto with `acl_file`, Mosquitto with its dynamic security plug-in, HiveMQ CE with a `credentials.xml`, and EMQX with the
files of `nexus access render` where a container can be started: each is asked by
MQTT 5 clients, whose reason codes say what was refused, and by what arrives.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from nexus_cli.access.brokers.forms.asked import Asked
from nexus_cli.access.brokers.forms.emqx import read as read_emqx
from nexus_cli.access.brokers.forms.emqx import render as render_emqx
from nexus_cli.access.brokers.hivemq.permissions import sayable
from nexus_cli.access.brokers.hivemq.rbac import CREDENTIALS
from nexus_cli.access.brokers.hivemq.rbac import render as render_hivemq
from nexus_cli.access.brokers.hivemq.rbac_reader import read_credentials
from nexus_cli.access.brokers.mosquitto import acl_file, acl_reader, dynsec, dynsec_reader
from nexus_cli.access.globs import widens
from nexus_cli.access.grants import Grant, join, principals
from nexus_cli.access.passwords import hash_password
from nexus_cli.access.request import Request, Rules
from nexus_cli.local import broker_mosquitto
from nexus_cli.local.ports import free_port
from tests import hivemq
from tests.access_requests import ACCOUNTS, USERS, Tally, grants, meant, request, topic
from tests.asking import Asker
from tests.containers import docker_problem, emqx_with
from tests.mosquittos import plugin, running_mosquitto
from tests.waiting import PATIENCE_S

SPEAKER = "speaker"
"""May publish everything: says what others may hear, or not."""
PASSWORD = "secret of the test"
HASHES = {name: hash_password(PASSWORD, argon2id=False, iterations=10) for name in (*USERS, SPEAKER)}
SEEDS = (1, 2)
REQUESTS = 400


@contextmanager
def _broker(kind: str, folder: Path, rules: tuple[Grant, ...]) -> Iterator[tuple[int, Rules, tuple[Grant, ...]]]:
    """A running broker: its port, its file read back, and the grants that are written there."""
    port = free_port()
    if kind == "emqx":
        hashes = dict.fromkeys((*USERS, SPEAKER), hash_password(PASSWORD, argon2id=False))
        made = render_emqx(Asked(grants=rules, accounts=ACCOUNTS, hashes=hashes))
        with emqx_with(made.files, folder) as there:
            yield there, read_emqx(made), rules
    elif kind == "hivemq":
        rendered = render_hivemq(rules, ACCOUNTS, HASHES)
        with hivemq.running_hivemq(folder, rendered.files[CREDENTIALS], port):
            yield port, read_credentials(rendered.files[CREDENTIALS]), tuple(sayable(rules).grants)
    elif kind == "dynsec":
        text = dynsec.render(rules, ACCOUNTS, HASHES).files[dynsec.FILE]
        with running_mosquitto(folder, port, dynsec=text):
            yield port, dynsec_reader.read_dynsec(text), rules
    else:
        files = acl_file.render(rules, ACCOUNTS, HASHES).files
        with running_mosquitto(folder, port, acl=files["acl"], passwords=files["passwords"]):
            yield port, acl_reader.read_acl(files["acl"]), rules


def _present(kind: str) -> str:
    """Why a kind can't run here; "" when it can."""
    if kind == "emqx":
        return docker_problem() and f"{docker_problem()}: EMQX could not be started"
    if kind == "hivemq":
        return hivemq.problem()
    if broker_mosquitto.program() is None:
        return "mosquitto is not installed"
    return "mosquitto's dynamic security plug-in is not installed" if kind == "dynsec" and not plugin() else ""


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["acl", "dynsec", "hivemq", "emqx"])
def test_grants_file_and_broker_agree(kind: str, seed: int, tmp_path: Path) -> None:
    if missing := _present(kind):
        pytest.skip(missing)
    draw = random.Random(f"engines {seed}")
    drawn = grants(draw, limited=kind in ("hivemq", "emqx"))
    rules = join(
        [each for each in drawn if kind != "emqx" or not widens(each.filter)],
        [Grant(user, "subscribe", f"end/{user}") for user in USERS],
        [Grant(SPEAKER, "publish", "#")],
    )
    asked = {_as_client(request(draw), kind) for _ in range(REQUESTS)}
    with _broker(kind, tmp_path, rules) as (port, reader, written), ExitStack() as stack:

        def connect(number: int) -> dict[str, Asker]:
            closes = kind == "hivemq"
            return {
                name: stack.enter_context(
                    Asker(port, ACCOUNTS.account(name), PASSWORD, _client_id(name, kind, number), closes=closes)
                )
                for name in (*USERS, SPEAKER)
            }

        clients, tally = connect(1), Tally()
        for each in sorted(asked, key=repr):
            user = ACCOUNTS.principal(each.user)
            if user in clients and each.wish != "receive":
                _agree(clients[user], each, reader, written, tally)
        assert min(tally.allowed, tally.refused) > 10
        if kind == "emqx":  # it checks nothing on delivery
            return
        clients, heard = connect(2), Tally()
        for user in USERS:
            _hearing_agrees(user, clients, reader, written, heard, sorted({topic(draw) for _ in range(200)}))
        assert min(heard.allowed, heard.refused) > 5


def _client_id(name: str, kind: str, number: int) -> str:
    """EMQX's rules bind NEXUS's own accounts to the form of their client ids."""
    return f"{ACCOUNTS.account(name)}-record-{number:024x}" if kind == "emqx" else f"{name}-{number}"


def _as_client(asked: Request, kind: str) -> Request:
    name = ACCOUNTS.principal(asked.user) or ""
    return replace(asked, client_id=_client_id(name, kind, 1) if kind == "emqx" else "")


def _agree(client: Asker, each: Request, reader: Rules, written: tuple[Grant, ...], tally: Tally) -> None:
    expected = reader.decide(each).allowed
    if each.wish == "publish":
        each = replace(each, qos=max(each.qos, 1))
        expected = reader.decide(each).allowed
        answer = client.publish(each.topic, qos=each.qos, retain=each.retain)
        assert meant(written, each) is expected, each
    else:
        answer = client.subscribe(each.topic, qos=each.qos)
        client.unsubscribe(each.topic)
    assert answer is expected, (each, reader.decide(each))
    tally.count(answer)


def _hearing_agrees(
    user: str,
    clients: dict[str, Asker],
    reader: Rules,
    written: tuple[Grant, ...],
    heard: Tally,
    topics: list[str],
) -> None:
    """What a user hears that subscribes to all that it may, and to the topics themselves."""
    client, speaker = clients[user], clients[SPEAKER]
    wanted = [grant.filter for grant in written if grant.principal == user and grant.action == "subscribe"]
    for filter_ in (*wanted, *topics, "#"):
        client.subscribe(filter_)
    client.fence()
    assert all(reader.decide(_hears(user, one)).allowed for one, _ in client.heard), "what was retained"
    client.heard.clear()
    sent = [one for one in topics if not one.startswith("$")]
    for one in sent:
        assert speaker.publish(one, one.encode())
    assert speaker.publish(f"end/{user}", b"end")
    expected = {one for one in sent if reader.decide(_hears(user, one)).allowed}
    deadline = time.monotonic() + PATIENCE_S
    while (late := {*expected, f"end/{user}"} - {each for each, _ in client.heard}) and time.monotonic() < deadline:
        client.fence()
    assert not late
    assert {each for each, _ in client.heard} - {f"end/{user}"} == expected
    assert expected == {one for one in sent if meant(written, _hears(user, one))}
    for one in sent:
        heard.count(one in expected)
    for filter_ in {*wanted, *topics, "#"}:
        client.unsubscribe(filter_)


def _hears(user: str, one: str) -> Request:
    return Request(user=ACCOUNTS.account(user), wish="receive", topic=one)


def test_every_user_of_the_random_sites_has_a_password() -> None:
    assert set(principals(grants(random.Random(0)))) <= set(HASHES)
