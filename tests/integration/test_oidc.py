"""Logins with the accounts of an OpenID provider: a small issuer of our own, with every kind of wrong token."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.identity import provider
from nexus_cli.runtime.identity.throttle import Throttle
from nexus_cli.settings import Settings
from tests.integration.identity_world import People, people
from tests.oidc_issuer import Issuer, ec_key, issuer, jwk, public_pem, rsa_key

GROUPS = {"operators": "operator", "makers": "engineer"}


@contextlib.asynccontextmanager
async def plant(database: Settings, home: Path, **oidc: Any) -> AsyncIterator[tuple[People, Issuer]]:
    with issuer() as found:
        async with people(database, home) as world:
            config = {"issuer": found.url, "audience": "nexus", "groups": GROUPS, **oidc}
            await world.record({"login.api": {"session_ms": 600_000, "oidc": config}})
            yield world, found


async def log_in(world: People, token: str) -> httpx.Response:
    world.control.identity.logins.throttle = Throttle()  # each of these tries many
    return await world.ask("POST", "/login/oidc", json={"token": token})


async def refused(world: People, token: str) -> str:
    found = await log_in(world, token)
    assert (found.status_code, found.json()["code"]) == (401, "NX6419"), found.text
    assert token not in found.text
    cause: str = found.json()["cause"]
    return cause


async def test_a_group_gives_a_role_as_long_as_the_site_says_so(database: Settings, tmp_path: Path) -> None:
    async with plant(database, tmp_path) as (world, found):
        answer = await log_in(world, found.token())
        session = answer.json()
        assert answer.status_code == 200 and session["principal"] == "olga" and session["roles"] == ["operator"]
        me = (await world.ask("GET", "/identity", token=session["token"])).json()
        assert (me["kind"], me["roles"]) == ("user", ["operator"])
        assert "sequences:run" in me["scopes"] and "apply" not in me["scopes"]
        alerts = (await world.ask("GET", "/alerts", token=session["token"])).json()["alerts"]
        assert [each["name"] for each in alerts] == ["cold", "hot"] or alerts == []
        config = {"issuer": found.url, "audience": "nexus", "groups": {"makers": "engineer"}}
        await world.record({"login.api": {"oidc": config}})
        gone = await world.ask("GET", "/identity", token=session["token"])
        assert (gone.status_code, gone.json()["code"]) == (401, "NX6413")
        lines = await world.trail("login")
        assert [(each["who"], each["subject"]) for each in lines] == [("olga", "192.0.2.1")]
        assert session["token"] not in lines[0]["detail"]


async def test_another_provider_ends_the_sessions_of_the_one_before(database: Settings, tmp_path: Path) -> None:
    async with plant(database, tmp_path) as (world, found):
        token = (await log_in(world, found.token(preferred_username="otto"))).json()["token"]
        assert (await world.ask("GET", "/identity", token=token)).status_code == 200
        await world.record({"login.api": {"oidc": {"issuer": "https://new.example", "audience": "nexus"}}})
        assert (await world.ask("GET", "/identity", token=token)).status_code == 401


async def test_roles_of_a_declared_user_are_joined(database: Settings, tmp_path: Path) -> None:
    async with plant(database, tmp_path) as (world, found):
        session = (await log_in(world, found.token(preferred_username="vera", groups=["makers"]))).json()
        me = (await world.ask("GET", "/identity", token=session["token"])).json()
        assert sorted(me["roles"]) == ["engineer", "viewer"] and "apply" in me["scopes"]


async def test_a_claim_that_names_no_user(database: Settings, tmp_path: Path) -> None:
    async with plant(database, tmp_path) as (world, found):
        odd: list[Any] = [
            "nexus.cli",
            "nexus.control",
            "NEXUS.cli",
            "mes",
            "",
            "a b",
            "x" * 300,
            "../x",
            "a\n",
            5,
            None,
            ["olga"],
        ]
        for user in odd:
            await refused(world, found.token(preferred_username=user))


async def test_no_group_no_role_no_login(database: Settings, tmp_path: Path) -> None:
    async with plant(database, tmp_path) as (world, found):
        for groups in ([], ["everybody"], None, "everybody", {"operators": 1}, [["operators"]], 5):
            assert "no role" in await refused(world, found.token(groups=groups))
        assert (await log_in(world, found.token(groups="operators"))).status_code == 200
        names = {"groups": "src1"}
        assert "too many" in await refused(world, found.token(groups=None, _claim_names=names))


async def test_groups_inside_of_a_claim(database: Settings, tmp_path: Path) -> None:
    async with plant(database, tmp_path, groups_claim="realm_access.roles") as (world, found):
        inside = found.token(groups=None, realm_access={"roles": ["makers"]})
        assert (await log_in(world, inside)).json()["roles"] == ["engineer"]
        assert "no role" in await refused(world, found.token(realm_access={"roles": ["x"]}))
        assert "no role" in await refused(world, found.token(realm_access="makers"))


async def test_an_address_that_is_not_verified_names_nobody(database: Settings, tmp_path: Path) -> None:
    async with plant(database, tmp_path, user_claim="email") as (world, found):
        assert (await log_in(world, found.token(email="olga@plant", email_verified=True))).status_code == 200
        for said in (False, "false", "False", 0, 1.5, "no", [True]):
            assert "verified" in await refused(world, found.token(email="ada@plant", email_verified=said)), said
        assert (await log_in(world, found.token(email="otto@plant", email_verified="true"))).status_code == 200


async def test_tokens_that_are_refused(database: Settings, tmp_path: Path) -> None:
    async with plant(database, tmp_path) as (world, found):
        now = int(time.time())
        assert (await log_in(world, found.token())).status_code == 200
        assert await refused(world, found.token(aud="other")) == "it is for another audience"
        assert await refused(world, found.token(aud=["other"], azp=None)) == "it is for another audience"
        assert await refused(world, found.token(iss="https://elsewhere")) == "another issuer"
        assert await refused(world, found.token(azp="other")) == "azp is another client"
        assert "no azp" in await refused(world, found.token(aud=["nexus", "other"], azp=None))
        assert await refused(world, found.token(exp=now - 61)) == "it has ended"
        assert await refused(world, found.token(nbf=now + 120)) == "it is not valid yet"
        assert await refused(world, found.token(iat=now + 120)) == "it was issued in the future"
        assert await refused(world, found.token(exp="later")) in (
            "a claim is missing or wrong",
            "a time is not a number",
        )
        for missing in ("exp", "iat", "aud", "iss"):
            await refused(world, found.token(**{missing: None}))
        assert await refused(world, found.token(key=rsa_key(2))) == "the signature is wrong"
        long = await world.ask("POST", "/login/oidc", json={"token": found.token(groups=["x" * 100] * 250)})
        assert long.status_code == 422
        assert await refused(world, "no token") == "it is no JWT"


async def test_a_clock_that_is_off_by_less_than_the_leeway(database: Settings, tmp_path: Path) -> None:
    async with plant(database, tmp_path, leeway_ms=60_000) as (world, found):
        now = int(time.time())
        for claims in ({"exp": now - 30}, {"nbf": now + 30, "iat": now + 30}):
            assert (await log_in(world, found.token(**claims))).status_code == 200, claims
    async with plant(database, tmp_path, leeway_ms=0) as (world, found):
        assert await refused(world, found.token(exp=int(time.time()) - 2)) == "it has ended"


async def test_algorithms(database: Settings, tmp_path: Path) -> None:
    async with plant(database, tmp_path) as (world, found):
        found.keys += [jwk(ec_key(1), "e1"), jwk(rsa_key(3, 1024), "weak"), jwk(rsa_key(4), "sealed", use="enc")]
        found.keys += [jwk(rsa_key(5), "only-ps", alg="PS256")]
        found.keys += [{"kty": "oct", "kid": "shared", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]
        for algorithm in ("RS256", "RS512", "PS256"):
            assert (await log_in(world, found.token(algorithm=algorithm))).status_code == 200, algorithm
        assert (await log_in(world, found.token(key=ec_key(1), kid="e1", algorithm="ES256"))).status_code == 200
        # HS256 with the public key as the secret, which everybody knows; PyJWT refuses to make one, so it is made by hand.
        body = found.token().split(".")[1]
        for secret in (public_pem(rsa_key(1)), b"secretsecretsecretsecretsecret"):
            text = f"{_part(alg='HS256', kid='k1')}.{body}".encode()
            signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(text, secret)
            forged = text.decode() + "." + jwt.utils.base64url_encode(signature).decode()
            assert await refused(world, forged) == "its algorithm is not taken"
        for algorithm in ("none", "None", "", "EdDSA", 5, None, ["RS256"]):
            assert await refused(world, f"{_part(alg=algorithm, kid='k1')}.{body}.") in (
                "its algorithm is not taken",
                "it is no JWT",
            )
        missing = "its key is not among those of the provider"
        assert await refused(world, found.token(key=rsa_key(3, 1024), kid="weak")) == missing
        assert await refused(world, found.token(key=rsa_key(4), kid="sealed")) == missing
        assert await refused(world, found.token(key=rsa_key(5), kid="only-ps")) == missing
        assert await refused(world, found.token(key=ec_key(1), kid="k1", algorithm="ES256")) == missing
        assert await refused(world, found.token(kid="unknown")) == missing
        assert await refused(world, found.token(kid=None)) == missing  # several keys fit
        inside = jwt.encode(
            found.claims(), rsa_key(9), algorithm="RS256", headers={"jwk": jwk(rsa_key(9), "k1"), "kid": "k1"}
        )
        assert await refused(world, inside) == "the signature is wrong"


def _part(**header: Any) -> str:
    import json

    return jwt.utils.base64url_encode(json.dumps({"typ": "JWT", **header}).encode()).decode()


async def test_keys_that_rotate(database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with plant(database, tmp_path) as (world, found):
        assert (await log_in(world, found.token())).status_code == 200
        found.keys = [jwk(rsa_key(2), "k2")]
        fresh = found.token(key=rsa_key(2), kid="k2")
        asked = found.asked
        for _ in range(5):  # within half a minute of the last fetch it is not asked again
            await refused(world, fresh)
        assert found.asked == asked == 1
        monkeypatch.setattr(provider, "REFRESH_S", 0.0)
        assert (await log_in(world, fresh)).status_code == 200
        await refused(world, found.token())
        assert found.asked == 3


async def test_a_provider_that_fails(database: Settings, tmp_path: Path) -> None:
    async with plant(database, tmp_path) as (world, found):
        logins = world.control.identity.logins
        for mode in ("down", "huge", "nonsense", "other", "redirect"):
            logins.provider = provider.Provider(clock=SystemClock())
            found.mode = mode
            answer = await log_in(world, found.token())
            assert (answer.status_code, answer.json()["code"]) == (503, "NX6420") and answer.json()["cause"], mode
            found.mode = "well"
            assert (await log_in(world, found.token())).status_code == 503  # not asked again at once
            logins.provider._failed = None
            assert (await log_in(world, found.token())).status_code == 200
            found.mode = mode
            assert (await log_in(world, found.token())).status_code == 200  # the keys are known


async def test_only_https_beyond_this_machine(database: Settings, tmp_path: Path) -> None:
    async with plant(database, tmp_path) as (world, found):
        await world.record({"login.api": {"oidc": {"issuer": "http://192.0.2.7/realm", "audience": "nexus"}}})
        answer = await log_in(world, found.token())
        assert answer.status_code == 503 and "https" in answer.json()["cause"]


async def test_what_a_page_needs(database: Settings, tmp_path: Path) -> None:
    async with plant(database, tmp_path) as (world, found):
        answer = (await world.ask("GET", "/login/oidc")).json()
        assert answer["issuer"] == found.url and answer["client_id"] == "nexus"
        assert answer["authorization_endpoint"] == found.url + "/auth"
        await world.record({"login.api": None})
        for method in ("GET", "POST"):
            none = await world.ask(method, "/login/oidc", **({"json": {"token": "x"}} if method == "POST" else {}))
            assert (none.status_code, none.json()["code"]) == (404, "NX6418")


async def test_a_session_of_somebody_undeclared_makes_no_token(database: Settings, tmp_path: Path) -> None:
    async with plant(database, tmp_path) as (world, found):
        session = (await log_in(world, found.token(groups=["makers"]))).json()["token"]
        answer = await world.ask("POST", "/access/tokens", token=session, json={"ttl_s": 3600})
        assert (answer.status_code, answer.json()["code"]) == (422, "NX6422")
        assert (await world.ask("POST", "/logout", token=session)).json() == {"revoked": True}
        assert (await world.ask("GET", "/identity", token=session)).json()["code"] == "NX6413"
