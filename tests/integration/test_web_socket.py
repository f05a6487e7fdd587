"""The WebSocket of the role web over real sockets: values, resuming, rights, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.exceptions import InvalidStatus

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.settings import Settings
from nexus_cli.wire.command import Response, State
from tests.integration.socket_client import SocketClient, socket_client
from tests.integration.web_world import WebWorld, served_web
from tests.servers import new_broker

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
ENERGY, VOLTAGE, OTHER = "a/l/one/energy", "a/l/one/voltage", "a/m/two/energy"
TIME_US = 1_767_225_600_000_000


@pytest.fixture
async def web(database: Settings, tmp_path: Path) -> AsyncIterator[WebWorld]:
    (folder := tmp_path / "broker").mkdir()
    broker = new_broker(folder).start()
    try:
        more: dict[str, Any] = {"role__half": {"read": [VOLTAGE]}, "user__hal": {"roles": ["half"]}}
        async with served_web(database, tmp_path, broker_url=broker.url, **more) as world:
            yield world
    finally:
        broker.stop()


async def values(client: SocketClient, *, id: int) -> dict[str, Any]:
    found = await client.until("values", lambda each: each["id"] == id)
    return {row[0]: row[1] for row in found["values"]}


async def test_newest_values_come_and_then_what_changes(web: WebWorld) -> None:
    web.say(ENERGY, 1)
    async with socket_client(web.url, token=await web.people.token("vera")) as client:
        hello = await client.next()
        assert hello["op"] == "hello" and hello["web"] == web.web.instance
        assert hello["turn"] == web.web.parts.cache.turn
        await client.ask("watch", id=7, paths=["a/l/**"], every_ms=100)
        watching = await client.until("watching")
        first = await client.until("values")
        assert watching == {"op": "watching", "id": 7, "tags": len(first["values"])}
        rows = {row[0]: row for row in first["values"]}
        assert rows[ENERGY] == [ENERGY, 1, "GOOD", TIME_US, "", ""]
        assert rows[VOLTAGE] == [VOLTAGE, None, "BAD", None, "no_value", ""]
        for number in range(2, 50):
            web.say(ENERGY, number)
        assert await values(client, id=7) == {ENERGY: 49}
        await client.ask("unwatch", id=7)
        assert await client.until("unwatched") == {"op": "unwatched", "id": 7}
        web.say(ENERGY, 50)
        await client.ask("watch", id=8, paths=[ENERGY], every_ms=100)
        assert await values(client, id=8) == {ENERGY: 50}
        assert all(each["id"] == 8 for each in client.heard[-2:])


async def test_messagepack_says_the_same(web: WebWorld) -> None:
    web.say(ENERGY, 4.5)
    token = await web.people.token("vera")
    async with socket_client(web.url, token=token, protocol="nexus.v1.msgpack") as client:
        assert client.raw.subprotocol == "nexus.v1.msgpack"
        assert (await client.next())["op"] == "hello"
        await client.ask("watch", id=1, paths=["a/**"], every_ms=100)
        tags = (await client.until("watching"))["tags"]
        found = await client.until("values")
        assert len(found["values"]) == tags > 2
        assert [ENERGY, 4.5, "GOOD", TIME_US, "", ""] in found["values"]
        await client.ask("watch", id="one", paths=["a/**"])
        assert (await client.until("error"))["code"] == "NX6910"


async def test_a_client_that_comes_back_gets_what_changed_meanwhile(web: WebWorld) -> None:
    web.say(ENERGY, 1)
    web.say(VOLTAGE, 1)
    token = await web.people.token("vera")
    async with socket_client(web.url, token=token) as client:
        name = (await client.next())["web"]
        await client.ask("watch", id=1, paths=["a/l/one/*"], every_ms=100)
        turn = (await client.until("values"))["turn"]
    web.say(VOLTAGE, 2)
    async with socket_client(web.url, token=token) as client:
        await client.ask("watch", id=1, paths=["a/l/one/*"], every_ms=100, since={"web": name, "turn": turn})
        assert await values(client, id=1) == {VOLTAGE: 2}
        await client.ask("watch", id=1, paths=["a/l/one/*"], every_ms=100, since={"web": "web-other", "turn": turn})
        assert await values(client, id=1) == {ENERGY: 1, VOLTAGE: 2}


async def test_a_caller_sees_what_it_may_read_and_a_new_deployment_changes_that(web: WebWorld) -> None:
    web.say(ENERGY, 1)
    web.say(VOLTAGE, 2)
    async with socket_client(web.url, token=await web.people.token("hal")) as client:
        await client.ask("watch", id=1, paths=["**", ENERGY], every_ms=100)
        assert (await client.until("watching"))["tags"] == 1
        assert await values(client, id=1) == {VOLTAGE: 2}
        web.say(ENERGY, 3)
        await web.record({"role.half": {"read": [ENERGY]}})
        assert (await client.until("site"))["deployment"] == web.web.parts.keeper.view.number
        assert await values(client, id=1) == {ENERGY: 3}
        assert VOLTAGE not in {row[0] for each in client.heard[-1:] for row in each["values"]}
        web.say(VOLTAGE, 4)
        web.say(ENERGY, 4)
        assert await values(client, id=1) == {ENERGY: 4}


async def test_counts_roll_up_what_may_be_read(web: WebWorld) -> None:
    web.say(ENERGY, 1)
    web.say(OTHER, 1, quality="UNCERTAIN")
    view = web.web.parts.keeper.view
    total = len(view.tags)
    one = sum(tag.path.startswith("a/l/") for tag in view.tags)
    async with socket_client(web.url, token=await web.people.token("vera")) as client:
        await client.ask("counts", id=2, paths=["", "a/l", "a/m/two", ENERGY, "nowhere"], every_ms=100)
        found = await client.until("counted")
        assert found["counts"] == {
            "": [1, 1, total - 2],
            "a/l": [1, 0, one - 1],
            "a/m/two": [0, 1, total - one - 1],
            ENERGY: [1, 0, 0],
            "nowhere": [0, 0, 0],
        }
        web.say(OTHER, 2)
        assert (await client.until("counted"))["counts"] == {"": [2, 0, total - 2], "a/m/two": [1, 0, total - one - 1]}
    async with socket_client(web.url, token=await web.people.token("hal")) as client:
        await client.ask("counts", id=2, paths=["a"], every_ms=100)
        assert (await client.until("counted"))["counts"] == {"a": [0, 0, 1]}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("not json", "NX6910"),
        ('{"op":"dance","id":3}', "NX6910"),
        ('{"op":"watch","id":3,"paths":["a"],"every_ms":1}', "NX6910"),
        ('{"op":"watch","id":3,"paths":["a"],"colour":"red"}', "NX6910"),
        ('{"op":"watch","id":-1,"paths":[]}', "NX6910"),
        ('{"op":"topics","id":3,"filter":"a/#/b"}', "NX6913"),
        ("[" * 5000, "NX6910"),
    ],
)
async def test_what_can_not_be_done_is_answered_and_the_connection_stays(web: WebWorld, sent: str, code: str) -> None:
    async with socket_client(web.url, token=await web.people.token("vera")) as client:
        await client.raw.send(sent)
        found = await client.until("error")
        assert found["code"] == code
        assert ("watch" in found["hint"]) == (code == "NX6910"), "what could be asked instead"
        assert found["id"] == (3 if '"id":3' in sent else -1 if '"id":-1' in sent else None)
        await client.ask("ping", id=9)
        assert await client.until("pong") == {"op": "pong", "id": 9}


async def test_a_write_goes_through_the_sender_of_commands_and_is_answered(web: WebWorld) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    async def writer(caller: Caller, **keys: Any) -> Response:
        asked.append((caller.principal, keys))
        if keys["path"] == VOLTAGE:
            raise NexusError("It is not writable.", code="NX6803", hint="ask another")
        return Response(id="x", state=State.DONE, path=keys["path"], value=keys["value"], old=1)

    web.web.sockets.shared.writer = writer
    async with socket_client(web.url, token=await web.people.token("otto")) as client:
        await client.ask("write", id=5, path=ENERGY, value=7, reason="test", expect=1)
        found = await client.until("written")
        assert found == {
            "op": "written",
            "id": 5,
            "response": {"id": "x", "state": "done", "path": ENERGY, "value": 7, "old": 1},
        }
        await client.ask("write", id=6, path=VOLTAGE, value=7)
        failed = {"op": "error", "id": 6, "code": "NX6803", "message": "It is not writable.", "hint": "ask another"}
        assert await client.until("error") == failed
    assert [one[0] for one in asked] == ["otto", "otto"]
    assert asked[0][1] == {"path": ENERGY, "value": 7, "reason": "test", "expect": 1, "timeout_s": 10.0}
    assert asked[1][1]["expect"] is msgspec.UNSET


async def test_a_handshake_without_a_right_is_refused_in_words(web: WebWorld, caplog: pytest.LogCaptureFixture) -> None:
    async def refused(**keys: Any) -> tuple[int, str]:
        with pytest.raises(InvalidStatus) as error:
            async with socket_client(web.url, **keys):
                pass
        response = error.value.response
        return response.status_code, msgspec.json.decode(response.body or b"{}").get("code", "")

    token = await web.people.token("vera")
    cookie = {"cookie": f"other=1; nexus-session={token}"}
    assert await refused() == (401, "NX6401")
    assert await refused(token="nonsense") == (401, "NX6401")
    assert await refused(token="other-platform-token") == (403, "NX6403")
    assert await refused(headers=cookie) == (403, "NX6950")
    for origin in ("https://example.org", "null", "http://127.0.0.1:1", "http://["):
        assert await refused(headers=cookie | {"origin": origin}) == (403, "NX6950"), origin
    assert not [each for each in caplog.records if each.levelname == "ERROR"]
    async with socket_client(web.url, headers=cookie | {"origin": web.url}) as client:
        assert (await client.next())["op"] == "hello"
    async with socket_client(web.url, token=token, headers={"origin": "https://example.org"}) as client:
        assert (await client.next())["op"] == "hello"


async def test_a_token_that_ends_closes_the_connection(web: WebWorld) -> None:
    short, revoked = await web.people.token("vera", ttl_s=6), await web.people.token("vera")
    async with socket_client(web.url, token=short) as one, socket_client(web.url, token=revoked) as other:
        await one.ask("watch", id=1, paths=["**"])
        assert (await one.until("watching"))["tags"] > 0
        await web.people.pool.execute(
            "UPDATE nexus.api_token SET revoked = now() WHERE site = 'acme/chicago' AND principal = 'vera'"
            " AND expires > now() + interval '1 minute'"
        )
        assert (await other.closed())[0] == 4401
        assert (await one.closed())[0] == 4401


async def test_a_web_that_stops_says_so(web: WebWorld) -> None:
    async with socket_client(web.url, token=await web.people.token("vera")) as client:
        assert (await client.next())["op"] == "hello"
        web.web.sockets.shared.stopping = True
        for each in tuple(web.web.sockets.clients):
            each.renew()
        assert await client.closed() == (1001, "this web is stopping")
