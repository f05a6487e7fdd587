"""Servers as containers, where a Docker engine answers: EMQX 5.8, and the image of TimescaleDB for `tests.postgres`."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from nexus_cli.settings import Settings
from tests.servers import answers
from tests.waiting import wait_until

EMQX_IMAGE = "emqx/emqx:5.8.9"
TIMESCALE_IMAGE = "timescale/timescaledb:2.19.3-pg16"
START_S = 120.0


@functools.cache
def docker_problem() -> str:
    """ "" when a Docker engine answers, else why not."""
    try:
        import docker
        from docker.errors import DockerException
    except ImportError:
        return "the docker library is not installed"
    try:
        client = docker.from_env(timeout=5)
        client.ping()
        client.close()
    except DockerException as error:
        return f"no Docker engine answers ({type(error).__name__})"
    return ""


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """Skips, loudly, where no Docker engine answers."""
    if docker_problem():
        pytest.skip(f"{docker_problem()}: EMQX could not be started")


@pytest.fixture(scope="session")
def emqx_container(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """An EMQX 5.8 with one user, reached by these settings."""
    from testcontainers.core.container import DockerContainer

    folder = tmp_path_factory.mktemp("emqx")
    users = folder / "users.json"
    users.write_text('[{"user_id": "nexus.cli", "password": "a-password", "is_superuser": false}]', encoding="utf-8")
    folder.chmod(0o755)
    users.chmod(0o644)
    place = "EMQX_AUTHENTICATION__1__"
    container = (
        DockerContainer(EMQX_IMAGE)
        .with_exposed_ports(1883)
        .with_volume_mapping(str(users), "/opt/users.json", "ro")
        .with_env(place + "MECHANISM", "password_based")
        .with_env(place + "BACKEND", "built_in_database")
        .with_env(place + "PASSWORD_HASH_ALGORITHM__NAME", "plain")
        .with_env(place + "BOOTSTRAP_FILE", "/opt/users.json")
        .with_env(place + "BOOTSTRAP_TYPE", "plain")
    )
    with container:
        port = int(container.get_exposed_port(1883))
        wait_until(lambda: answers(port), "EMQX", deadline_s=START_S)
        yield Settings(
            home=Path(folder),
            site="acme/chicago",
            broker_url=f"mqtt://{container.get_container_host_ip()}:{port}",
            broker_user="nexus.cli",
            broker_password="a-password",
        )


@contextmanager
def emqx_with(files: Mapping[str, str], folder: Path) -> Iterator[int]:
    """An EMQX with the files that `nexus access render` writes, in their places; gives its port on loopback."""
    from testcontainers.core.container import DockerContainer

    folder.chmod(0o755)
    container = DockerContainer(EMQX_IMAGE).with_exposed_ports(1883)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o644)
        place = "base.hocon" if name.endswith(".hocon") else name
        container = container.with_volume_mapping(str(folder / name), f"/opt/emqx/etc/{place}", "ro")
    with container:
        port = int(container.get_exposed_port(1883))
        wait_until(lambda: answers(port), "EMQX", deadline_s=START_S)
        yield port
