"""Every route of web tried by every role, and fuzzed from its own description: never a 500."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from nexus_cli.runtime.web.rest.rights import ROUTES as READING
from nexus_cli.runtime.web.routes.rights import DECISIONS
from nexus_cli.settings import Settings
from tests.integration.api_fuzz import request_of
from tests.integration.control_world import device
from tests.integration.test_api_roles import MAY, PLATFORM, answer, check
from tests.integration.test_web_rest_plant import ENERGY, MORE, gateway, report
from tests.integration.test_web_rest_stored import fill
from tests.integration.web_world import WebWorld, web_world
from tests.mutation import mutations

pytestmark = [pytest.mark.needs_database]
SITES = "/v1/sites/"
UNDESCRIBED = {"/ws", "/session/oidc", "/session/oidc/return"}
"""A WebSocket and two redirections."""
ELSEWHERE = ("/ws", "/session")
"""A WebSocket, and sessions of the page, which ask for more than a token; their own tests try them."""
AWAY = ("NX6010", "NX6400")
"""There is neither broker nor control here; reading needs none of them."""
WORDS = (
    *(ENERGY, "a/l/one", "a/l", "b/l/sum/both", "b/l/scada/deep/level", "x/y/z", "acme/chicago/a/l/one/energy", "01J0001"),
    *("1h", "7d", "now", "today", "06:00", "2026-01-31T06:00", "9999-12-31", "0000", "1mo", "15m", "0s", "99999999d"),
    *("UTC", "Europe/Berlin", "../../etc/passwd", "energy", "holding:0 modbus", "%", "\\", "'; --", "\u202e", "a\0b", "é", ""),
    *("#", "+/+", "$SYS/#", "x" * 3000, "//", "/", ".", "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace")),
)  # fmt: skip


async def described(web: WebWorld) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every route."""
    found = (await web.http.get("/openapi.json")).json()["paths"]
    return [(method.upper(), path, what) for path, each in found.items() for method, what in each.items()]


async def test_every_route_has_a_decision_and_every_decision_a_route(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        routes = {(method, path) for method, path, _ in await described(web) if path.startswith(SITES)}
        decided = {(each.method, each.path.replace(":path}", "}")) for each in DECISIONS.table}
        below = {one for one in decided if one[1].startswith(SITES)}
        assert routes - below == set(), "no decision"
        assert {path.rpartition("{site}")[2] for _, path in below - routes} == UNDESCRIBED, "no route"


async def test_every_answer_of_reading_is_described(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        reading = {each.path.replace(":path}", "}") for each in READING}
        for method, path, what in await described(web):
            if path not in reading or method != "GET":
                continue
            content = what["responses"]["200"]["content"]
            if path.endswith("/content"):  # a file
                assert all(each["schema"]["format"] == "binary" for each in content.values())
                continue
            schema = content["application/json"]["schema"]
            assert schema.get("properties"), (method, path)
            assert what.get("description"), (method, path)


async def test_every_route_by_every_role(database: Settings, tmp_path: Path) -> None:
    tried, tokens = 0, dict(PLATFORM)
    async with web_world(database, tmp_path, **MORE) as web:
        await fill(web)
        gateway(web)
        for who in MAY.keys() - PLATFORM.keys() - {"nobody"}:
            tokens[who] = await web.people.token(who)
        for needed in DECISIONS.table:
            if not needed.path.startswith(SITES) or needed.path.endswith(ELSEWHERE):
                continue
            for who, may in MAY.items():
                check(await _asked(web, needed, tokens.get(who, "")), needed, who, may)
                tried += 1
    assert tried > 30 * len(MAY)


async def _asked(web: WebWorld, needed: Any, token: str) -> httpx.Response:
    class World:
        http = web.http

    return await answer(World(), needed, token)  # type: ignore[arg-type]


async def test_fuzzed_from_its_own_description(database: Settings, tmp_path: Path) -> None:
    chance, statuses = random.Random(12), set()
    async with web_world(database, tmp_path, **MORE, **{"device__c/l/three": device("c/l/three")}) as web:
        await fill(web)
        gateway(web)
        report(web, "historian", "h-1", database="connected")
        web.say(ENERGY, 1)
        tokens = [await web.people.token(user) for user in ("ada", "erik", "vera", "hal", "nina", "mes")]
        reading = {each.path.replace(":path}", "}") for each in READING}
        routes = [one for one in await described(web) if one[1].startswith(SITES)]
        for number in range(mutations(600)):
            method, described_path, what = routes[number % len(routes)]
            path, query, sent = request_of(described_path, what, chance, words=WORDS)
            found = await web.http.request(
                method,
                path.replace("{enterprise}", "acme").replace("{site}", "chicago"),
                params=query,
                content=sent,
                headers={"authorization": f"Bearer {chance.choice(tokens)}", "content-type": "application/json"},
            )
            statuses.add(found.status_code)
            place = (method, path, query, sent, found.status_code, found.text[:300])
            away = described_path not in reading and found.status_code == 503 and found.json()["code"] in AWAY
            assert found.status_code < 500 or away, place
            assert found.headers["content-type"].startswith("application/json"), place
            if found.status_code >= 400:
                assert found.json()["code"].startswith("NX") and found.json()["code"] != "NX9000", place
                assert "Traceback" not in found.text, place
    assert {200, 404, 422} <= statuses
