"""Sessions of the page over HTTP: logins forwarded to control, cookies, what a foreign page can't do, and OpenID."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from nexus_cli.settings import Settings
from tests.e2e.page_world import page_world
from tests.integration.identity_world import PREFIX
from tests.integration.web_world import WebWorld
from tests.oidc_issuer import issuer

pytestmark = [pytest.mark.needs_database]


def own(world: WebWorld, **more: str) -> dict[str, str]:
    """Headers of the page's own requests."""
    return {"origin": world.url, "x-nexus-csrf": "1", **more}


async def log_in(world: WebWorld, user: str, password: str, **headers: str) -> httpx.Response:
    body = {"user": user, "password": password}
    return await world.http.post(PREFIX + "/session", json=body, headers=own(world) | headers)


async def ways(world: WebWorld) -> dict[str, Any]:
    found: dict[str, Any] = (await world.http.get(PREFIX + "/session/ways")).json()
    return found


async def test_a_login_is_controls_and_its_token_is_in_the_cookie_alone(database: Settings, tmp_path: Path) -> None:
    async with page_world(database, tmp_path) as world:
        assert (await ways(world))["session"] is None
        password = await world.people.password("otto")
        refused = await log_in(world, "otto", "wrong")
        assert (refused.status_code, refused.json()["code"]) == (401, "NX6415")
        assert "set-cookie" not in refused.headers
        answer = await log_in(world, "otto", password)
        assert answer.status_code == 200 and answer.json()["user"] == "otto"
        said = answer.headers["set-cookie"]
        token = re.match(r"nexus-session=([^;]+); HttpOnly; Max-Age=(\d+); Path=(\S+); SameSite=strict\Z", said)
        assert token is not None and token[3] == PREFIX and 28_700 < int(token[2]) <= 28_800
        assert token[1] not in answer.text
        found = (await world.http.get(PREFIX + "/session")).json()
        assert (found["user"], found["roles"], "values:write" in found["scopes"]) == ("otto", ["operator"], True)
        assert (await ways(world))["session"]["user"] == "otto"
        logins = await world.people.trail("login")
        assert '"address": "127.0.0.1"' in logins[-1]["detail"], "of the browser, and not of web"
        ended = await world.http.delete(PREFIX + "/session", headers=own(world))
        assert ended.json() == {"revoked": True} and "Max-Age=0" in ended.headers["set-cookie"]
        shown = {"cookie": f"nexus-session={token[1]}"}
        again = await world.http.get(PREFIX + "/session", headers=shown)
        assert (again.status_code, again.json()["code"]) == (401, "NX6413")
        in_header = await world.http.get(PREFIX + "/session", headers={"authorization": f"Bearer {token[1]}"})
        assert in_header.status_code == 401


async def test_a_foreign_page_changes_nothing_and_logs_nobody_in(database: Settings, tmp_path: Path) -> None:
    async with page_world(database, tmp_path) as world:
        password = await world.people.password("otto")
        for headers in ({"origin": "https://evil.example"}, {"x-nexus-csrf": "0"}, {"origin": world.url + "0"}):
            refused = await log_in(world, "otto", password, **headers)
            assert (refused.status_code, refused.json()["code"]) == (403, "NX6950")
        assert (await log_in(world, "otto", password)).status_code == 200
        change = {"path": "a/l/one/energy", "value": 1, "dry_run": True}
        for headers in ({}, {"origin": world.url}, {"origin": "https://evil.example", "x-nexus-csrf": "1"}):
            answer = await world.http.post(PREFIX + "/commands", json=change, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "NX6950")
        ours = await world.http.post(PREFIX + "/commands", json=change, headers=own(world))
        assert ours.status_code == 200, ours.text
        token = await world.people.token("vera")
        program = await world.http.get(PREFIX + "/session", headers={"authorization": f"Bearer {token}"})
        assert program.json()["user"] == "vera", "a header wins over the cookie"


async def test_logging_out_while_control_is_away_forgets_the_cookie(database: Settings, tmp_path: Path) -> None:
    async with page_world(database, tmp_path) as world:
        assert (await log_in(world, "otto", await world.people.password("otto"))).status_code == 200
        object.__setattr__(world.web.parts.settings, "control_url", "http://127.0.0.1:1")
        ended = await world.http.delete(PREFIX + "/session", headers=own(world))
        assert ended.json() == {"revoked": False} and "Max-Age=0" in ended.headers["set-cookie"]
        away = await log_in(world, "otto", "x")
        assert (away.status_code, away.json()["code"]) == (503, "NX6400")


async def test_a_login_with_the_provider_of_the_site(database: Settings, tmp_path: Path) -> None:
    with issuer() as provider:
        async with page_world(database, tmp_path) as world:
            config = {"issuer": provider.url, "audience": "nexus", "groups": {"operators": "operator"}}
            await world.record({"login.api": {"oidc": config}})
            assert (await ways(world))["oidc"] == provider.url
            asked = await _begin(world, provider.url)
            assert asked["code_challenge_method"] == "S256" and asked["scope"].startswith("openid")
            assert asked["redirect_uri"] == f"{world.url}{PREFIX}/session/oidc/return"
            code = provider.allow(asked)
            done = await world.http.get(asked["redirect_uri"], params={"code": code, "state": asked["state"]})
            assert (done.status_code, done.headers["location"]) == (303, "/")
            assert (await ways(world))["session"]["user"] == "olga"
            assert "eyJ" not in done.headers["location"] + asked["redirect_uri"]
            twice = await world.http.get(asked["redirect_uri"], params={"code": code, "state": asked["state"]})
            assert twice.headers["location"] == "/#login=NX6951", "the browser has forgotten what it began"


async def test_after_a_log_out_the_provider_has_to_ask_who_is_there(database: Settings, tmp_path: Path) -> None:
    with issuer() as provider:
        async with page_world(database, tmp_path) as world:
            config = {"issuer": provider.url, "audience": "nexus", "groups": {"operators": "operator"}}
            await world.record({"login.api": {"oidc": config}})
            for prompt in ("", "login", "login"):
                asked = await _begin(world, provider.url)
                assert asked.get("prompt", "") == prompt
                given = {"code": provider.allow(asked), "state": asked["state"]}
                assert (await world.http.get(asked["redirect_uri"], params=given)).headers["location"] == "/"
                assert "prompt" not in await _begin(world, provider.url), "it was asked"
                ended = await world.http.delete(PREFIX + "/session", headers=own(world))
                assert ended.json() == {"revoked": True}
            asked = await _begin(world, provider.url)
            refused = {"error": "access_denied", "state": asked["state"]}
            await world.http.get(asked["redirect_uri"], params=refused)
            assert (await _begin(world, provider.url))["prompt"] == "login", "nobody logged in since"


async def test_an_answer_of_the_provider_that_does_not_fit_logs_nobody_in(database: Settings, tmp_path: Path) -> None:
    with issuer() as provider:
        async with page_world(database, tmp_path) as world:
            config = {"issuer": provider.url, "audience": "nexus", "groups": {"operators": "operator"}}
            await world.record({"login.api": {"oidc": config}})

            async def end(asked: dict[str, str], **given: str) -> str:
                answer = await world.http.get(asked["redirect_uri"], params=given)
                assert "nexus-session" not in str(answer.headers.get_list("set-cookie"))
                return str(answer.headers["location"])

            asked = await _begin(world, provider.url)
            assert await end(asked, code=provider.allow(asked), state="other") == "/#login=NX6951"
            assert await end(asked, error="access_denied", state=asked["state"]) == "/#login=NX6951"
            asked = await _begin(world, provider.url)
            replayed = provider.allow(asked, nonce="of-another-login")
            assert await end(asked, code=replayed, state=asked["state"]) == "/#login=NX6951"
            asked = await _begin(world, provider.url)
            assert await end(asked, code="guessed", state=asked["state"]) == "/#login=NX6420"
            asked = await _begin(world, provider.url)
            stolen = provider.allow(asked | {"code_challenge": "of-another-browser"})
            assert await end(asked, code=stolen, state=asked["state"]) == "/#login=NX6420"
            asked = await _begin(world, provider.url)
            nobody = provider.allow(asked, groups=[], preferred_username="nobody")
            assert await end(asked, code=nobody, state=asked["state"]) == "/#login=NX6419"


async def _begin(world: WebWorld, provider: str) -> dict[str, str]:
    answer = await world.http.get(PREFIX + "/session/oidc", params={"scheme": "http"})
    assert answer.status_code == 303, answer.text
    place = urlsplit(answer.headers["location"])
    assert f"{place.scheme}://{place.netloc}{place.path}" == provider + "/auth"
    (cookie,) = answer.headers.get_list("set-cookie")
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and f"Path={PREFIX}/session/oidc" in cookie
    return dict(parse_qsl(place.query))
