"""Every route of the API tried by every kind of caller: it answers as the table of rights says, and never with a 500."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from nexus_cli.runtime.api.decisions import Decision
from nexus_cli.runtime.control.routes.rights import DECISIONS
from nexus_cli.runtime.web.routes.rights import DECISIONS as WEB_DECISIONS
from nexus_cli.settings import Settings
from nexus_cli.wire.control_access import SCOPES
from tests.integration.api_fuzz import request_of
from tests.integration.control_world import device as make_device
from tests.integration.identity_world import PREFIX, People, people
from tests.mutation import mutations

READ = {"state:read", "deployments:read", "gateway:read", "audit:read"}
NAMED = {"alerts:read", "alerts:ack", "sequences:run", "messages:publish", "values:read", "values:write"}
SERVES = {"devices:service"}
"""Of who writes a tag or applies something."""
USER = NAMED | {"tokens:own"}
MAY: dict[str, set[str]] = {
    "nobody": set(),
    "nina": NAMED,
    "vera": USER,
    "otto": USER | SERVES,
    "gina": USER | SERVES,
    "dora": USER | SERVES,
    "erik": USER | READ | SERVES | {"apply", "lock:break"},
    "lars": USER | READ | SERVES | {"apply"},
    "tess": USER | READ | SERVES | {"apply"},
    "ada": set(SCOPES),
    "past": NAMED,
    "soon": NAMED,
    "mes": NAMED | SERVES,
    "nexus.cli": set(SCOPES),
    "nexus.historian": READ | {"alerts:read"},
    "nexus.web": READ | {"alerts:read"},
    "nexus.gateway.gw-1": {"gateway:read"},
    "nexus.other": set(),
}
"""What each may, written out here once more: the table and the roles are held against it."""
PLATFORM = {"nexus.cli": "cli-token", "nexus.gateway.gw-1": "gateway-token", "nexus.historian": "historian-token"}
PLATFORM |= {"nexus.web": "web-token", "nexus.other": "other-platform-token"}
VALUES = {"{number}": "1", "{gateway}": "gw-1", "{name}": "hot", "{run}": "r1"}
VALUES |= {"{path:path}": "a/l/one", "{path}": "a/l/one"}
VALUES |= {"{token_id}": "01J", "{elevation_id}": "01J", "{enterprise}": "acme", "{site}": "chicago"}
LAST = ("/access/rotate", "/access/signing-key", "/logout")
SCOPED = ("state:read", "alerts:ack", "tokens:own")


def filled(path: str) -> str:
    for name, value in VALUES.items():
        path = path.replace(name, value)
    return path


async def routes_of(world: People) -> list[tuple[str, str]]:
    """Method and path of every route, from the application's own description."""
    found = (await world.http.get("/openapi.json")).json()["paths"]
    return [(method.upper(), path) for path, methods in found.items() for method in methods]


async def test_every_route_has_a_decision_and_every_decision_a_route(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        routes = set(await routes_of(world))
        # The health routes are of Starlette: they are in no description.
        table = [each for each in DECISIONS.table if each.path.startswith("/v1/")]
        decided = {(each.method, each.path.replace(":path}", "}")) for each in table}
        assert routes - decided == set(), "no decision"
        assert decided - routes == set(), "no route"
        app = world.control.app()._app._app  # type: ignore[attr-defined]
        served = {(method, route.path) for route in app.routes for method in route.methods or ()}
        undecided = {(method, path) for method, path in served if DECISIONS.of(method, filled(path)) is None}
        assert undecided == set()
    rights = {right for each in (*DECISIONS.table, *WEB_DECISIONS.table) for right in each.rights}
    assert rights == set(SCOPES)
    assert {each.path for each in DECISIONS.table if each.open} == {
        "/health/live",
        "/health/ready",
        "/metrics",
        "/status",
        "/openapi.json",
        "/v1/sites/{enterprise}/{site}/login",
        "/v1/sites/{enterprise}/{site}/login/oidc",
    }


async def answer(world: People, needed: Decision, token: str) -> httpx.Response:
    head = {"authorization": f"Bearer {token}"} if token else {}
    body: dict[str, Any] = {"json": {}} if needed.method == "POST" else {}
    return await world.http.request(needed.method, filled(needed.path), headers=head, **body)


def check(found: httpx.Response, needed: Decision, who: str, may: set[str]) -> None:
    place = (needed.method, needed.path, who, found.status_code, found.text[:300])
    assert found.status_code < 500 or (found.status_code == 503 and "NX9000" not in found.text), place
    if needed.open:
        assert found.status_code not in (401, 403), place
        return
    if who == "nobody":
        assert (found.status_code, found.json()["code"]) == (401, "NX6401"), place
        return
    lacks = bool(needed.rights) and not may & set(needed.rights)
    refused = found.status_code == 403 and found.json().get("cause", "").startswith("needs ")
    assert refused == lacks, place
    assert found.status_code != 401, place


async def test_every_route_by_every_role(database: Settings, tmp_path: Path) -> None:
    tried = 0
    async with people(database, tmp_path) as world:
        ordered = sorted(DECISIONS.table, key=lambda each: (each.path.endswith(LAST), each.path, each.method))
        for needed in ordered:
            for who, may in MAY.items():
                token = PLATFORM.get(who, "")
                if not token and who != "nobody":
                    token = await world.token(who)
                check(await answer(world, needed, token), needed, who, may)
                tried += 1
    assert tried == len(DECISIONS.table) * len(MAY) > 600


async def test_every_route_by_tokens_with_one_scope(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        for scope in SCOPED:
            for needed in DECISIONS.table:
                token = await world.token("ada", scopes=[scope])
                found = await answer(world, needed, token)
                check(found, needed, "ada", {scope})
                if found.status_code == 403 and "needs" in found.json()["cause"]:
                    assert found.json()["code"] == "NX6421"


async def test_every_route_by_tokens_that_are_none(database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        bad = {
            "expired": ("NX6412", await world.token("ada", expires=1_000_000_000_000_000)),
            "ended": ("NX6412", await world.token("ada", ttl_s=-1.0, expires=4_000_000_000_000_000)),
            "revoked": ("NX6413", await world.token("ada")),
            "undeclared": ("NX6413", await world.token("zoe")),
            "platform": ("NX6401", await world.token("nexus.cli")),
            "unrecorded": ("NX6401", await world.token("ada", token_id="01JUNKNOWN")),
            "borrowed": ("NX6401", await world.token("vera", principal="ada")),
            "long": ("NX6401", "eyJ" + "a" * 9000 + ".b.c"),
            "wrong": ("NX6401", "wrong"),
        }
        await world.pool.execute("UPDATE nexus.api_token SET revoked = now() WHERE id = $1", _id(bad["revoked"][1]))
        for name, (code, token) in bad.items():
            for needed in DECISIONS.table:
                if needed.open:
                    continue
                found = await answer(world, needed, token)
                assert (found.status_code, found.json()["code"]) == (401, code), (name, needed, found.text)
                assert token not in found.text


def _id(token: str) -> str:
    import jwt

    return str(jwt.decode(token, options={"verify_signature": False})["jti"])


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nothing"), ("PUT", "/state"), ("POST", "/access/everything"), ("DELETE", "/identity")],
)
async def test_what_has_no_decision_is_nothing_for_anybody(
    database: Settings, tmp_path: Path, method: str, path: str
) -> None:
    async with people(database, tmp_path) as world:
        found = await world.ask(method, path, token="cli-token")
        assert (found.status_code, found.json()["code"]) == (404, "NX6406")
        assert (await world.ask(method, path)).status_code == 401


async def test_fuzzed_from_its_own_description(database: Settings, tmp_path: Path) -> None:
    chance, statuses = random.Random(11), set()
    async with people(database, tmp_path) as world:
        described = (await world.http.get("/openapi.json")).json()["paths"]
        routes = [(method.upper(), path, what) for path, each in described.items() for method, what in each.items()]
        for _ in range(mutations(500)):
            method, path, what = chance.choice(routes)
            path, query, sent = request_of(path, what, chance)
            token = await world.token(chance.choice(("ada", "erik", "otto", "mes")))
            found = await world.http.request(
                method,
                path.replace("{enterprise}", "acme").replace("{site}", "chicago"),
                params=query,
                content=sent,
                headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
            )
            statuses.add(found.status_code)
            place = (method, path, query, sent, found.status_code, found.text[:300])
            assert found.status_code < 500 or found.status_code == 503, place
            if found.status_code >= 400:
                assert found.json()["code"].startswith("NX") and found.json()["code"] != "NX9000", place
                assert "Traceback" not in found.text, place
            if found.status_code == 202 and path.endswith("/deployments"):
                await world.http.delete(PREFIX + "/lock?reason=test", headers={"authorization": "Bearer cli-token"})
    assert {200, 403, 404, 422} <= statuses


async def test_an_alert_is_shown_to_whom_its_tag_is(database: Settings, tmp_path: Path) -> None:
    secret = {"alert.secret": {"tag": "a/l/safe/energy", "above": 1.0}}
    safe = make_device("a/l/safe")
    safe["tags"] = {name: {**tag, "classification": "restricted"} for name, tag in safe["tags"].items()}
    cleared = {"alerts": ["*"], "clearance": "restricted"}
    blind = {**cleared, "deny": {"read": ["a/l/safe/**"]}}
    roles = {"role.cleared": cleared, "role.blind": blind}
    users = {"user.cleo": {"roles": ["cleared"]}, "user.bea": {"roles": ["cleared", "blind"]}}
    async with people(database, tmp_path) as world:
        await world.record({"device.a/l/safe": safe, **secret, **roles, **users})
        for user, hot, hidden in (("vera", 200, 403), ("cleo", 200, 200), ("bea", 200, 403), ("ada", 200, 200)):
            token = await world.token(user)
            got = [
                (await world.ask("GET", f"/alerts/{name}/changes", token=token)).status_code
                for name in ("hot", "secret")
            ]
            assert got == [hot, hidden], user
        token = await world.token("otto")
        refused = await world.ask("POST", "/alerts/secret/acknowledge", token=token)
        assert (refused.status_code, refused.json()["code"]) == (403, "NX6403")
