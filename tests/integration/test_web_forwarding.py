"""What web hands over to control: with the caller's own token, bounded, answered as control answers, and 503 without it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nexus_cli.runtime.control.routes.rights import DECISIONS as CONTROLS
from nexus_cli.runtime.health import serve_http
from nexus_cli.runtime.identity.throttle import PAIR
from nexus_cli.runtime.web.routes.forwarding import FORWARDED
from nexus_cli.settings import Settings
from nexus_cli.wire.relayed import ADDRESS, VOUCHER
from tests.integration.identity_world import PREFIX
from tests.integration.web_world import WebWorld, served_web, web_world
from tests.servers import TestBroker, free_port
from tests.waiting import until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
NOT_FORWARDED = [
    ("POST", "/deployments"),
    ("POST", "/resources"),
    ("POST", "/access/rotate"),
    ("POST", "/access/signing-key"),
    ("GET", "/gateways/gw-1/index"),
    ("POST", "/gateways/gw-1/devices"),
]


@contextlib.asynccontextmanager
async def both(database: Settings, home: Path, broker: TestBroker) -> AsyncIterator[WebWorld]:
    """Web and control, each on a port of its own."""
    port = free_port()
    settings = dataclasses.replace(database, control_url=f"http://127.0.0.1:{port}")
    async with served_web(settings, home, broker_url=broker.url) as web:
        control, forwarder = web.people.control, web.web.parts.forwarder
        forwarder._settings = dataclasses.replace(forwarder._settings, control_token="web-token")
        app = control.app()
        async with serve_http(control, host="127.0.0.1", port=port, app=app, settings=web.people.settings):
            yield web


def test_each_forwarded_route_needs_what_it_needs_at_control() -> None:
    theirs = {(each.method, each.path): each for each in CONTROLS.table}
    assert [each for each in FORWARDED if theirs.get((each.method, each.path)) != each] == []
    paths = {(each.method, each.path.partition("{site}")[2]) for each in FORWARDED}
    assert not [route for route in NOT_FORWARDED if route in paths]
    left = {each.path.partition("{site}")[2] for each in CONTROLS.table if each.path.startswith("/v1/")}
    left -= {path for _, path in paths}
    assert left == {
        "/resources",
        "/gateways/{gateway}/index",
        "/gateways/{gateway}/devices",
        "/access/rotate",
        "/access/signing-key",
        # Web has a record of runs of its own under this name.
        "/discoveries",
        "/discoveries/{walk}",
        "/discoveries/{walk}/items",
        # What the command line asks for, with the files beside it.
        "/plan/facts",
        "/deployments/{number}/state",
        "/deployments/{number}/resume",
        "/drift",
        "/drift/revert",
        "/drift/identities",
        "/purges/preview",
        "/purges",
        "/purges/{purge}",
        "/series/undeclared",
        "/series/settle",
    }


async def test_answers_and_refusals_are_as_they_are(database: Settings, tmp_path: Path, broker: TestBroker) -> None:
    async with both(database, tmp_path, broker) as web:
        people = web.people
        for user, method, path, body in [
            ("erik", "GET", "/state", None),
            ("erik", "GET", "/deployments/7", None),
            ("vera", "GET", "/identity", None),
            ("vera", "GET", "/alerts", None),
            ("otto", "POST", "/alerts/nothing/acknowledge", {}),
            ("otto", "POST", "/alerts/nothing/acknowledge", None),
            ("otto", "POST", "/alerts/nothing/acknowledge", {"reason": "x" * 501}),
            ("vera", "GET", "/alerts/journal?limit=2&before=1800000000000000&before_name=hot", None),
            ("erik", "GET", "/jobs/stats", None),
            ("erik", "GET", "/jobs?state=failed&limit=2", None),
            ("vera", "GET", "/jobs", None),
            ("lars", "POST", "/jobs/retry", {"all": True}),
            ("lars", "POST", "/dead-letters/retry", {"all": True}),
            ("erik", "POST", "/dead-letters/discard", {}),
            ("vera", "POST", "/audit/verify", {}),
            ("ada", "GET", "/audit?until=1&limit=3", None),
            ("otto", "GET", "/sequences/none%2Fsuch", None),
            ("ada", "POST", "/access/elevations", {"user": "otto"}),
            ("erik", "GET", "/audit?kind=command&limit=3", None),
            ("otto", "GET", "/out-of-service", None),
        ]:
            token = await people.token(user)
            keys: dict[str, Any] = {} if body is None else {"json": body}
            here = await web.ask(method, path, token=token, **keys)
            there = await people.ask(method, path, token=token, **keys)
            assert (here.status_code, here.content) == (there.status_code, there.content), (path, here.text)
            assert here.headers["content-type"] == there.headers["content-type"]
        refused = await web.ask("GET", "/state", user="vera")
        assert (refused.status_code, refused.json()["code"]) == (403, "NX6403")
        assert (await web.ask("GET", "/identity")).status_code == 401
        for method, path in NOT_FORWARDED:
            found = await web.ask(method, path, user="ada", **({"json": {}} if method == "POST" else {}))
            assert found.status_code in (404, 405), (path, found.text)
        checked = (await web.ask("POST", "/audit/verify", user="ada", json={})).json()
        assert (checked["end"], checked["damages"]) == (True, [])
        assert (await web.ask("GET", "/audit/head", user="ada")).json()["number"] >= checked["number"]
        large = await web.ask("POST", "/messages/x", user="erik", content=b"x" * 70_000)
        assert large.status_code == 413


async def test_a_login_through_web_is_paused_by_its_own_address(
    database: Settings, tmp_path: Path, broker: TestBroker
) -> None:
    async with both(database, tmp_path, broker) as web:
        password = await web.people.password("otto")
        wrong = {"user": "otto", "password": "wrong"}
        lying = {ADDRESS: "203.0.113.9", VOUCHER: "web-token", "x-forwarded-for": "203.0.113.9"}
        for _ in range(PAIR.free + 7):  # the pauses double: however slow a login is, one is longer
            paused = await web.ask("POST", "/login", json=wrong, headers=lying)
            if paused.status_code == 429:
                break
        assert (paused.status_code, paused.json()["code"]) == (429, "NX6416") and int(paused.headers["retry-after"]) > 0
        # The same user from elsewhere is not paused: it is not web's address that was counted, nor the one that was claimed.
        body = {"user": "otto", "password": password}
        elsewhere = await web.people.ask(
            "POST", "/login", json=body, headers={ADDRESS: "203.0.113.9", VOUCHER: "web-token"}
        )
        assert elsewhere.status_code == 200
        (line,) = await web.people.trail("login")
        assert line["subject"] == "203.0.113.9"
        unvouched = await web.people.ask(
            "POST", "/login", json=body, headers={ADDRESS: "198.51.100.7", VOUCHER: "cli-token"}
        )
        assert unvouched.status_code == 200
        assert [each["subject"] for each in await web.people.trail("login")] == ["203.0.113.9", "192.0.2.1"]


async def test_without_control_one_sentence_and_values_go_on(database: Settings, tmp_path: Path) -> None:
    settings = dataclasses.replace(database, control_url=f"http://127.0.0.1:{free_port()}")
    async with web_world(settings, tmp_path) as web:
        token = await web.people.token("ada")
        for method, path in [("GET", "/alerts"), ("GET", "/state"), ("DELETE", "/devices/a/l/one/out-of-service")]:
            found = await web.ask(method, path, token=token)
            assert (found.status_code, found.json()["code"]) == (503, "NX6400")
            assert found.json()["message"] == "Control does not answer."
        web.say("a/l/one/energy", 3)
        assert (await web.ask("GET", "/values/a/l/one/energy", token=token)).json()["value"] == 3


async def test_a_long_poll_ends_with_its_client_and_with_web(
    database: Settings, tmp_path: Path, broker: TestBroker
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        await reader.read()  # until web hangs up
        ended.set()
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = dataclasses.replace(database, control_url=f"http://127.0.0.1:{port}")
    async with server, served_web(settings, tmp_path, broker_url=broker.url) as web:
        token = await web.people.token("erik")
        head = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=web.url) as client:
            waiting = asyncio.create_task(client.get(f"{PREFIX}/deployments/1?wait=25", headers=head, timeout=60))
            await asyncio.wait_for(begun.wait(), 60)
            waiting.cancel()
            await asyncio.wait([waiting])
        await asyncio.wait_for(ended.wait(), 60)
        begun.clear()
        ended.clear()
        last = asyncio.create_task(web.http.get(f"{PREFIX}/deployments/1?wait=25", headers=head, timeout=60))
        await asyncio.wait_for(begun.wait(), 60)
        web.web._stopping = True
        found = await last
        assert (found.status_code, found.json()["code"]) == (503, "NX6409")
        await until(ended.is_set, "the request to control has ended")
        web.web._stopping = False
