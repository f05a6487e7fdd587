"""A real Keycloak: its id tokens log in, its groups and realm roles give roles, and people log in at it through the page."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.identity import provider
from nexus_cli.runtime.identity.throttle import Throttle
from nexus_cli.settings import Settings
from tests.clock import FakeClock
from tests.e2e.page_world import page_world
from tests.integration.identity_world import PREFIX, People, people
from tests.integration.web_world import WebWorld
from tests.keycloak import Keycloak, running_keycloak

pytestmark = [pytest.mark.needs_database]
PASSWORD = "a-password-of-a-test"
RETURN = f"{PREFIX}/session/oidc/return"
GROUPS = {"plant-operators": "operator"}


def mapper(name: str, kind: str, **config: str) -> dict[str, Any]:
    """A mapper of the client's own scope, as docs/api-access.md says."""
    said = {"id.token.claim": "true", "access.token.claim": "true"} | {
        key.replace("_", "."): value for key, value in config.items()
    }
    return {"name": name, "protocol": "openid-connect", "protocolMapper": kind, "config": said}


MAPPERS = [
    mapper("groups", "oidc-group-membership-mapper", claim_name="groups", full_path="false"),
    mapper(
        "roles",
        "oidc-usermodel-realm-role-mapper",
        claim_name="realm_access.roles",
        multivalued="true",
        jsonType_label="String",
    ),
]
MANY = [f"group-with-a-name-of-forty-characters-{number:03}" for number in range(150)]
REALM = {
    "realm": "plant",
    "enabled": True,
    "sslRequired": "none",
    "roles": {"realm": [{"name": "maker"}]},
    "groups": [{"name": name} for name in ("plant-operators", "office", *MANY)],
    "users": [
        {
            "username": name,
            "enabled": True,
            "email": f"{name}@plant.example",
            "emailVerified": name != "oscar",
            "firstName": name,
            "lastName": "Test",
            "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
            "groups": [f"/{group}" for group in groups],
            "realmRoles": roles,
        }
        for name, groups, roles in (
            ("olga", ["plant-operators"], []),
            ("oscar", ["office"], ["maker"]),
            ("mona", ["plant-operators", *MANY], []),
            ("lena", ["plant-operators"], []),
        )
    ],
    "clients": [
        {
            "clientId": "nexus",
            "publicClient": True,
            "directAccessGrantsEnabled": True,
            "redirectUris": ["http://127.0.0.1:1/set-by-the-test"],
            "attributes": {"pkce.code.challenge.method": "S256"},
            "protocolMappers": MAPPERS,
        },
        {
            "clientId": "other",
            "publicClient": True,
            "directAccessGrantsEnabled": True,
            "protocolMappers": [
                *MAPPERS,
                mapper("audience", "oidc-audience-mapper", included_client_audience="nexus", id_token_claim="false"),
            ],
        },
    ],
}


@pytest.fixture(scope="module")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    """With the realm `plant`."""
    with running_keycloak(tmp_path_factory.mktemp("keycloak"), REALM) as found:
        yield found


def id_token(keycloak: Keycloak, user: str, client: str = "nexus") -> str:
    return str(keycloak.tokens(user, PASSWORD, client=client)["id_token"])


async def configure(world: People | WebWorld, keycloak: Keycloak, **more: Any) -> None:
    config = {"issuer": keycloak.issuer, "audience": "nexus", "groups": GROUPS, **more}
    await world.record({"login.api": {"oidc": config}})


async def log_in(world: People, token: str) -> httpx.Response:
    world.control.identity.logins.throttle = Throttle()  # each of these tries many
    return await world.ask("POST", "/login/oidc", json={"token": token})


async def refused(world: People, token: str) -> str:
    answer = await log_in(world, token)
    assert (answer.status_code, answer.json()["code"]) == (401, "NX6419"), answer.text
    return str(answer.json()["cause"])


async def test_groups_of_keycloak_give_roles(keycloak: Keycloak, database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        await configure(world, keycloak)
        described = (await world.ask("GET", "/login/oidc")).json()
        assert described["authorization_endpoint"] == f"{keycloak.issuer}/protocol/openid-connect/auth"
        session = (await log_in(world, id_token(keycloak, "olga"))).json()
        assert (session["principal"], session["roles"]) == ("olga", ["operator"])
        assert (await world.ask("GET", "/identity", token=session["token"])).json()["roles"] == ["operator"]
        assert "no role" in await refused(world, id_token(keycloak, "oscar"))
        assert await refused(world, id_token(keycloak, "olga", "other")) == "it is for another audience"


async def test_realm_roles_give_roles(keycloak: Keycloak, database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        await configure(world, keycloak, groups_claim="realm_access.roles", groups={"maker": "engineer"})
        assert (await log_in(world, id_token(keycloak, "oscar"))).json()["roles"] == ["engineer"]
        assert "no role" in await refused(world, id_token(keycloak, "olga"))


async def test_an_address_that_keycloak_has_not_verified(
    keycloak: Keycloak, database: Settings, tmp_path: Path
) -> None:
    async with people(database, tmp_path) as world:
        await configure(world, keycloak, user_claim="email", groups={"plant-operators": "operator", "office": "viewer"})
        assert (await log_in(world, id_token(keycloak, "olga"))).json()["principal"] == "olga@plant.example"
        assert "verified" in await refused(world, id_token(keycloak, "oscar"))


async def test_tokens_of_other_clients_and_other_kinds(keycloak: Keycloak, database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        await configure(world, keycloak)
        given, others = keycloak.tokens("olga", PASSWORD), keycloak.tokens("olga", PASSWORD, client="other")
        claims = jwt.decode(others["access_token"], options={"verify_signature": False})
        assert "nexus" in claims["aud"], "this client may call the audience `nexus`, as a service does"
        assert await refused(world, others["access_token"]) == "azp is another client"
        assert await refused(world, given["access_token"]) == "a claim is missing or wrong"  # it has no audience
        assert await refused(world, given["refresh_token"]) == "its algorithm is not taken"


async def test_somebody_in_many_groups(keycloak: Keycloak, database: Settings, tmp_path: Path) -> None:
    """A directory has hundreds of groups; the token is longer than one of ours, and its groups of the site count."""
    async with people(database, tmp_path) as world:
        await configure(world, keycloak)
        token = id_token(keycloak, "mona")
        assert len(token) > 8 * 1024
        session = (await log_in(world, token)).json()
        assert (session["principal"], session["roles"]) == ("mona", ["operator"])
        assert len(session["token"]) < 2048


async def test_clocks_and_the_end_of_a_token(keycloak: Keycloak, database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        await configure(world, keycloak)
        token = id_token(keycloak, "olga")
        claims = jwt.decode(token, options={"verify_signature": False})
        lasts_s = claims["exp"] - claims["iat"]
        logins = world.control.identity.logins
        for off_s, cause in (
            (-30, ""),
            (-90, "it was issued in the future"),
            (lasts_s + 30, ""),
            (lasts_s + 90, "it has ended"),
        ):
            clock = FakeClock(now_us=(claims["iat"] + off_s) * 1_000_000)
            logins.provider = provider.Provider(clock=clock)
            if cause:
                assert await refused(world, token) == cause, off_s
            else:
                assert (await log_in(world, token)).status_code == 200, off_s


def let_pass(clock: FakeClock, seconds: float) -> None:
    """Time of the cache, and not that of the tokens."""
    clock.advance(seconds)
    clock.step(-round(seconds * 1_000_000))


async def test_keys_that_keycloak_rotates(keycloak: Keycloak, database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        await configure(world, keycloak)
        clock = FakeClock(now_us=SystemClock().wall_us())
        world.control.identity.logins.provider = provider.Provider(clock=clock)
        before = id_token(keycloak, "olga")
        assert (await log_in(world, before)).status_code == 200
        component = {
            "name": "newer",
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": {"priority": ["200"], "enabled": ["true"], "active": ["true"], "algorithm": ["RS256"]},
        }
        keycloak.administer("POST", "/components", component)
        after = id_token(keycloak, "olga")
        assert jwt.get_unverified_header(after)["kid"] != jwt.get_unverified_header(before)["kid"]
        unknown = "its key is not among those of the provider"
        assert await refused(world, after) == unknown, "it was asked less than half a minute ago"
        let_pass(clock, provider.REFRESH_S)
        for token in (after, before):
            answer = await log_in(world, token)
            assert answer.status_code == 200, answer.text
        for found in keycloak.administer("GET", "/components?type=org.keycloak.keys.KeyProvider"):
            if found["providerId"] == "rsa-generated" and found["name"] != "newer":
                keycloak.administer("DELETE", f"/components/{found['id']}")
        let_pass(clock, provider.KEPT_S + 1)  # until then the keys are those that were read
        assert (await log_in(world, after)).status_code == 200
        assert await refused(world, before) == unknown


async def test_who_leaves_a_group_or_is_disabled_gets_no_new_session(
    keycloak: Keycloak, database: Settings, tmp_path: Path
) -> None:
    async with people(database, tmp_path) as world:
        await configure(world, keycloak)
        session = (await log_in(world, id_token(keycloak, "lena"))).json()["token"]
        (lena,) = keycloak.administer("GET", "/users?username=lena&exact=true")
        (group,) = keycloak.administer("GET", "/groups?search=plant-operators&exact=true")
        keycloak.administer("DELETE", f"/users/{lena['id']}/groups/{group['id']}")
        assert "no role" in await refused(world, id_token(keycloak, "lena"))
        keycloak.administer("PUT", f"/users/{lena['id']}", {**lena, "enabled": False})
        with pytest.raises(httpx.HTTPStatusError):
            keycloak.tokens("lena", PASSWORD)
        # As docs/api-access.md says: what the login gave holds until the session ends; an administrator ends it.
        assert (await world.ask("GET", "/identity", token=session)).json()["roles"] == ["operator"]
        assert (await world.ask("POST", "/logout", token=session)).json() == {"revoked": True}
        assert (await world.ask("GET", "/identity", token=session)).status_code == 401


class Browser:
    """A person's browser at the page and at Keycloak, each with its own cookies."""

    def __init__(self, world: WebWorld, keycloak: Keycloak, login: httpx.AsyncClient) -> None:
        self.world, self.login = world, login
        self._keycloak = keycloak

        login.event_hooks = {"response": [self._as_on_this_machine]}

    async def _as_on_this_machine(self, _: httpx.Response) -> None:
        """A browser sends a `Secure` cookie to this machine over plain HTTP, too; httpx does not."""
        for cookie in self.login.cookies.jar:
            cookie.secure = False

    async def begin(self) -> httpx.Response:
        """Press the button; gives what Keycloak shows."""
        sent = await self.world.http.get(PREFIX + "/session/oidc", params={"scheme": "http"})
        assert sent.status_code == 303 and sent.headers["location"].startswith(self._keycloak.issuer), sent.text
        return await self.login.get(sent.headers["location"])

    async def submit(self, shown: httpx.Response, password: str = PASSWORD, **fields: str) -> httpx.Response:
        """Fill in Keycloak's form."""
        assert shown.status_code == 200, shown.text
        action = re.search(r'<form[^>]*id="kc-form-login"[^>]*action="([^"]+)"', shown.text)
        assert action is not None, shown.text
        return await self.login.post(html.unescape(action[1]), data={"password": password, **fields})

    async def come_back(self, sent: httpx.Response) -> str:
        """Follow Keycloak's redirect to the page; gives where that leads."""
        assert sent.status_code == 302, sent.text
        assert sent.headers["location"].startswith(self.world.url + RETURN + "?"), sent.headers["location"]
        answer = await self.world.http.get(sent.headers["location"])
        assert answer.status_code == 303
        return str(answer.headers["location"])

    async def user(self) -> str | None:
        """Who is logged in at the page."""
        session = (await self.world.http.get(PREFIX + "/session/ways")).json()["session"]
        return None if session is None else str(session["user"])

    async def log_out(self) -> None:
        head = {"origin": self.world.url, "x-nexus-csrf": "1"}
        assert (await self.world.http.delete(PREFIX + "/session", headers=head)).json() == {"revoked": True}


async def test_a_person_logs_in_at_keycloak_through_the_page(
    keycloak: Keycloak, database: Settings, tmp_path: Path
) -> None:
    async with page_world(database, tmp_path) as world, httpx.AsyncClient(timeout=60) as login:
        (client,) = keycloak.administer("GET", "/clients?clientId=nexus")
        keycloak.administer("PUT", f"/clients/{client['id']}", {**client, "redirectUris": [world.url + RETURN]})
        await configure(world, keycloak)
        browser = Browser(world, keycloak, login)
        wrong = await browser.submit(await browser.begin(), "wrong", username="olga")
        assert wrong.status_code == 200 and await browser.user() is None
        assert await browser.come_back(await browser.submit(wrong, username="olga")) == "/"
        assert await browser.user() == "olga"

        # Keycloak still knows her: the next login asks nothing. After a log-out it has to ask who is there.
        assert await browser.come_back(await browser.begin()) == "/"
        await browser.log_out()
        assert await browser.user() is None
        asked = await browser.begin()
        assert asked.status_code == 200, "the next person at this screen must not become her"
        assert await browser.come_back(await browser.submit(asked)) == "/"
        assert await browser.user() == "olga"


async def test_somebody_without_a_role_comes_back_without_a_session(
    keycloak: Keycloak, database: Settings, tmp_path: Path
) -> None:
    async with page_world(database, tmp_path) as world, httpx.AsyncClient(timeout=60) as login:
        (client,) = keycloak.administer("GET", "/clients?clientId=nexus")
        keycloak.administer("PUT", f"/clients/{client['id']}", {**client, "redirectUris": [world.url + RETURN]})
        await configure(world, keycloak)
        browser = Browser(world, keycloak, login)
        sent = await browser.submit(await browser.begin(), username="oscar")
        assert await browser.come_back(sent) == "/#login=NX6419"
        assert await browser.user() is None
