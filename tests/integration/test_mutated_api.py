"""Damaged requests to control's API, in this process against a real database: refused with a code, never a traceback."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import httpx
import msgspec
import orjson

from nexus_cli.apply.timing import Timing
from nexus_cli.database.connect import open_pool
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.control.control import Control
from nexus_cli.runtime.control.term import Term
from nexus_cli.settings import Settings
from nexus_cli.wire.control import State, encode
from tests.integration.control_world import API, body_of, device, plan_against, snapshot
from tests.mutation import JUNK, mutated, mutations

PREFIX = "/v1/sites/acme/chicago"
HEADERS = {"authorization": "Bearer cli-token", "content-type": "application/json"}
FAST_TIMING = Timing(lease_ttl_s=2.0)
SMALL: list[tuple[str, object]] = [
    ("/resources", {"addresses": ["device.a/l/one", "site"]}),
    ("/gateways/gw-1/devices", {"paths": ["a/l/one"]}),
    ("/alerts/hot/acknowledge", {}),
]
QUERIES = ("/deployments/1?after={}&wait=0", "/deployments/{}", "/gateways/{}/index", "/alerts/{}/acknowledge", "/{}")


class Direct:
    """What `plan_against` asks of a client."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def state(self) -> Any:
        """Recorded state."""
        return msgspec.json.decode((await self._http.get(PREFIX + "/state")).content, type=State)

    async def resources(self, addresses: list[str]) -> Any:
        """Attributes."""
        return (await self._http.post(PREFIX + "/resources", json={"addresses": addresses})).json()["resources"]


@contextlib.asynccontextmanager
async def api(database: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The real application, without a socket and without what carries deployments out."""
    settings = dataclasses.replace(
        database, principal="nexus.control", broker_url="mqtt://127.0.0.1:1", credentials={"api": API}
    )
    pool = await open_pool(settings)
    control = Control(settings, pool=pool, timing=FAST_TIMING, clock=SystemClock())
    assert await control._leadership.campaign(asyncio.Event())
    with mock.patch.object(Term, "cut_off", lambda _: ""):  # without a broker, a deployment would be refused unread
        control.term = control.new_term()
    transport = httpx.ASGITransport(app=control.app(), raise_app_exceptions=True)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://control", headers=HEADERS) as http:
            yield http
    finally:
        await control._leadership.resign()
        pool.terminate()


def check(answer: httpx.Response, sent: object) -> None:
    """A refusal has a code of ours that is no bug."""
    assert answer.status_code in (200, 202, 400, 404, 405, 409, 413, 422), (answer.status_code, answer.text, sent)
    if answer.status_code >= 400:
        assert answer.json()["code"].startswith("NX"), (answer.text, sent)
        assert answer.json()["code"] != "NX9000", (answer.text, sent)


async def test_mutated_deployments(database: Settings) -> None:
    chance, accepted, count = random.Random(20), 0, mutations(300)
    alert = {"tag": "a/l/one/energy", "above": 100.0, "severity": "critical", "on_bad": "hold"}
    async with api(database) as http:
        role = {"read": ["**"], "write": []}
        desired = snapshot(device("a/l/one"), device("a/l/two"), role__r=role, alert__hot=alert)
        plan = await plan_against(Direct(http), desired)  # type: ignore[arg-type]
        body = orjson.loads(encode(body_of(plan, allow=("data-loss",), reason="why")))
        for _ in range(count):
            sent = mutated(body, chance)
            answer = await http.post(PREFIX + "/deployments", content=sent)
            check(answer, sent)
            if answer.status_code == 202:  # what was damaged does not count, such as the reason
                accepted += 1
                assert (await http.delete(PREFIX + "/lock?reason=test")).json()["broken"] is True
    assert 0 < accepted < count


async def test_mutated_questions(database: Settings) -> None:
    chance = random.Random(21)
    words = [orjson.dumps(each).decode() for each in JUNK] + [
        "%00",
        "%FF",
        "..",
        "a%2Fb",
        "1e3",
        "१",
        "-0",
        "+1",
        "%E2%80%AE",
    ]
    async with api(database) as http:
        for _ in range(mutations(500)):
            if chance.random() < 0.6:
                path, body = chance.choice(SMALL)
                sent = mutated(body, chance)
                check(await http.post(PREFIX + path, content=sent), (path, sent))
            else:
                path = PREFIX + chance.choice(QUERIES).format(chance.choice(words)[:500])
                try:
                    request = http.build_request("GET" if chance.random() < 0.7 else "POST", path)
                except httpx.InvalidURL:
                    continue
                check(await http.send(request), path)


async def test_mutated_heads(database: Settings) -> None:
    """Tokens, sites and methods that are none: refused before anything is asked."""
    chance = random.Random(22)
    async with api(database) as http:
        for _ in range(mutations(200)):
            token = bytes(chance.randrange(256) for _ in range(chance.randrange(40)))
            token = bytes(each for each in token if each not in b"\r\n\0")
            answer = await http.get(PREFIX + "/state", headers=[(b"authorization", b"Bearer " + token)])
            assert (answer.status_code, answer.json()["code"]) == (401, "NX6401"), token
