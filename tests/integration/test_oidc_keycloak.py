"""A real Keycloak, where a Docker engine answers: its id tokens log in, and its groups give roles."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nexus_cli.settings import Settings
from tests.containers import docker_problem
from tests.integration.identity_world import people
from tests.waiting import wait_until

IMAGE = "quay.io/keycloak/keycloak:26.0"
START_S = 300.0
PASSWORD = "a-password-of-a-test"
MAPPER = {
    "name": "groups",
    "protocol": "openid-connect",
    "protocolMapper": "oidc-group-membership-mapper",
    "config": {"claim.name": "groups", "full.path": "false", "id.token.claim": "true", "access.token.claim": "true"},
}
REALM = {
    "realm": "plant",
    "enabled": True,
    "sslRequired": "none",
    "groups": [{"name": "plant-operators"}, {"name": "office"}],
    "users": [
        {
            "username": name,
            "enabled": True,
            "email": f"{name}@plant.example",
            "emailVerified": True,
            "firstName": name,
            "lastName": "Test",
            "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
            "groups": [f"/{group}"],
        }
        for name, group in (("olga", "plant-operators"), ("oscar", "office"))
    ],
    "clients": [
        {"clientId": client, "publicClient": True, "directAccessGrantsEnabled": True, "protocolMappers": [MAPPER]}
        for client in ("nexus", "other")
    ],
}


@pytest.fixture(scope="module")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the realm `plant`."""
    if docker_problem():
        pytest.skip(f"{docker_problem()}: Keycloak could not be started")
    from testcontainers.core.container import DockerContainer

    folder = tmp_path_factory.mktemp("keycloak")
    (folder / "plant.json").write_text(json.dumps(REALM))
    folder.chmod(0o755)
    (folder / "plant.json").chmod(0o644)
    image = os.environ.get("NEXUS_TEST_KEYCLOAK_IMAGE", IMAGE)
    container = (
        DockerContainer(image)
        .with_exposed_ports(8080)
        .with_volume_mapping(str(folder), "/opt/keycloak/data/import", "ro")
        .with_command("start-dev --import-realm")
    )
    with container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(8080)
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            pytest.skip(
                f"Keycloak could not be used: the engine is at {host}, and plain http is asked on this machine alone"
            )
        realm = f"http://{host}:{port}/realms/plant"

        def up() -> bool:
            try:
                return httpx.get(f"{realm}/.well-known/openid-configuration", timeout=5.0).status_code == 200
            except httpx.HTTPError:
                return False

        wait_until(up, "Keycloak", deadline_s=START_S)
        yield realm


def tokens_of(realm: str, user: str, client: str = "nexus") -> dict[str, Any]:
    form = {"grant_type": "password", "client_id": client, "username": user, "password": PASSWORD, "scope": "openid"}
    found: dict[str, Any] = httpx.post(f"{realm}/protocol/openid-connect/token", data=form, timeout=30.0).json()
    return found


async def test_groups_of_keycloak_give_roles(keycloak: str, database: Settings, tmp_path: Path) -> None:
    async with people(database, tmp_path) as world:
        oidc = {"issuer": keycloak, "audience": "nexus", "groups": {"plant-operators": "operator"}}
        await world.record({"login.api": {"oidc": oidc}})
        described = (await world.ask("GET", "/login/oidc")).json()
        assert described["authorization_endpoint"] == f"{keycloak}/protocol/openid-connect/auth"
        session = (
            await world.ask("POST", "/login/oidc", json={"token": tokens_of(keycloak, "olga")["id_token"]})
        ).json()
        assert (session["principal"], session["roles"]) == ("olga", ["operator"])
        assert (await world.ask("GET", "/identity", token=session["token"])).json()["roles"] == ["operator"]
        for token in (tokens_of(keycloak, "oscar")["id_token"], tokens_of(keycloak, "olga", "other")["id_token"]):
            refused = await world.ask("POST", "/login/oidc", json={"token": token})
            assert (refused.status_code, refused.json()["code"]) == (401, "NX6419")
