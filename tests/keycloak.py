"""Keycloak with a realm of the test: a container where a Docker engine answers, else the distribution of `make peers`.

`python -m tests.keycloak` (which `make peers` runs) fetches and unpacks the distribution with Maven (`tests/peers/keycloak`); the
tests only look whether that was done. It is run from a copy, because it writes into its own folder.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.containers import docker_problem
from tests.servers import free_port
from tests.waiting import wait_until

SOURCE = Path(__file__).parent / "peers" / "keycloak"
FOLDER = Path(os.environ.get("NEXUS_TEST_KEYCLOAK", SOURCE / "target"))
"""With `keycloak-…/bin/kc.sh`, or the distribution itself."""
IMAGE = "quay.io/keycloak/keycloak:26.0"
START_S = 300.0
ADMIN, ADMIN_PASSWORD = "admin", "the-admin-of-a-test"
ACCOUNT = {"KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN, "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN_PASSWORD}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keycloak:
    """A running one.

    Attributes:
        url: Its address, without a path.
        realm: Name of the realm that the test gave.
    """

    url: str
    realm: str

    @property
    def issuer(self) -> str:
        """As its tokens name it."""
        return f"{self.url}/realms/{self.realm}"

    def tokens(self, user: str, password: str, *, client: str = "nexus") -> dict[str, Any]:
        """Tokens for a name and password (the "direct access grant", which tests alone use)."""
        form = {"grant_type": "password", "client_id": client, "username": user, "password": password}
        answer = httpx.post(
            f"{self.issuer}/protocol/openid-connect/token", data=form | {"scope": "openid"}, timeout=60.0
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def administer(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the realm's admin API; gives its JSON, None without one."""
        form = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN, "password": ADMIN_PASSWORD}
        with httpx.Client(base_url=self.url, timeout=60.0) as http:
            given = http.post("/realms/master/protocol/openid-connect/token", data=form).raise_for_status().json()
            head = {"authorization": f"Bearer {given['access_token']}"}
            answer = http.request(method, f"/admin/realms/{self.realm}{path}", json=body, headers=head)
            answer.raise_for_status()
            return answer.json() if answer.content else None


def prepare(folder: Path) -> str:
    """Fetch and unpack; "" when it is ready, else what is missing."""
    if shutil.which("mvn") is None:
        return "mvn missing"
    fetch = ["mvn", "-q", "-B", "-f", str(SOURCE / "pom.xml"), "dependency:unpack-dependencies", "-DexcludeTransitive"]
    done = subprocess.run([*fetch, f"-DoutputDirectory={folder}"], check=False)
    return "" if done.returncode == 0 else f"mvn ended with {done.returncode}"


def problem() -> str:
    """Why no Keycloak can be started here; "" when one can."""
    if not docker_problem():
        return ""
    if shutil.which("java") is None:
        return f"no Keycloak: {docker_problem()}, and there is no Java"
    if _distribution() is None:
        return (
            f"no Keycloak: {docker_problem()}, and there is none in {FOLDER}: `make peers` (mvn);"
            " NEXUS_TEST_KEYCLOAK names another folder"
        )
    return ""


def _distribution() -> Path | None:
    return next((found.parent.parent for found in [*FOLDER.glob("bin/kc.sh"), *FOLDER.glob("*/bin/kc.sh")]), None)


@contextmanager
def running_keycloak(folder: Path, realm: Mapping[str, Any]) -> Iterator[Keycloak]:
    """A Keycloak on loopback with this realm, until the block ends. Skips where none can be had."""
    if problem():
        pytest.skip(problem())
    imported = folder / "import"
    imported.mkdir()
    (imported / "realm.json").write_text(json.dumps(realm), encoding="utf-8")
    with (_contained if not docker_problem() else _spawned)(folder, imported) as url:
        found = Keycloak(url=url, realm=str(realm["realm"]))
        wait_until(lambda: _answers(found), "Keycloak", deadline_s=START_S)
        yield found


def _answers(server: Keycloak) -> bool:
    try:
        return httpx.get(f"{server.issuer}/.well-known/openid-configuration", timeout=5.0).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def _contained(folder: Path, imported: Path) -> Iterator[str]:
    from testcontainers.core.container import DockerContainer

    for each in (folder, imported):
        each.chmod(0o755)
    (imported / "realm.json").chmod(0o644)
    container = (
        DockerContainer(os.environ.get("NEXUS_TEST_KEYCLOAK_IMAGE", IMAGE))
        .with_exposed_ports(8080)
        .with_volume_mapping(str(imported), "/opt/keycloak/data/import", "ro")
        .with_command("start-dev --import-realm")
    )
    for name, value in ACCOUNT.items():
        container = container.with_env(name, value)
    with container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(8080)
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            pytest.skip(
                f"Keycloak could not be used: the engine is at {host}, and plain http is asked on this machine alone"
            )
        yield f"http://{host}:{port}"


@contextmanager
def _spawned(folder: Path, imported: Path) -> Iterator[str]:
    distribution = _distribution()
    assert distribution is not None, problem()
    home, port = folder / "keycloak", free_port()
    shutil.copytree(distribution, home)
    shutil.copytree(imported, home / "data" / "import")
    start = ["bash", str(home / "bin" / "kc.sh"), "start-dev", "--import-realm"]
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [*start, "--http-host=127.0.0.1", f"--http-port={port}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **ACCOUNT, "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m"},
            start_new_session=True,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(child.pid, signal.SIGTERM)  # the script has a Java that it started
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(30)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    missing = prepare(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
    if missing:
        sys.exit(missing)
