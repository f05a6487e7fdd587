"""Control and the roles' HTTP over TLS: who is trusted, and a renewal between two requests."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from nexus_cli.certificates.authority import Authority, authority_of
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.probe import Door, http_get, role_lives
from nexus_cli.runtime import http_tls
from nexus_cli.runtime.health import serve_http
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.settings import Settings
from nexus_cli.wire.health import ControlHealth, Health
from nexus_cli.wire.http import ControlClient
from tests.integration.control_world import World, world
from tests.integration.test_local_tls import served
from tests.papers import made_ca
from tests.servers import free_port

__all__ = ["world"]


class Role:
    """It is ready, and says nothing."""

    def __init__(self) -> None:
        self.metrics = Metrics()

    def ready(self) -> tuple[bool, str]:
        return True, ""

    def status(self) -> Health:
        return ControlHealth(site="acme/chicago", ready=True)


def with_certificate(home: Path) -> Settings:
    authority = made_ca(home)
    certificate, key = authority.files("server")
    return Settings(home=home, http_cert=str(certificate), http_key=str(key), http_ca=str(authority.ca_file))


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.5", "plant-server", "::"])
async def test_no_other_machine_is_served_in_the_clear(host: str) -> None:
    with pytest.raises(NexusError) as caught:
        async with serve_http(Role(), host=host, port=0):
            pass
    assert (caught.value.code, caught.value.exit_code) == ("NX6031", 64)
    assert "NEXUS_HTTP_CERT" in caught.value.hint
    assert http_tls.server_context(Settings(http_insecure=True), host) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_the_loopback_interface_needs_none(host: str) -> None:
    assert http_tls.server_context(Settings(), host) is None


def test_files_that_will_not_do(tmp_path: Path) -> None:
    right, other = with_certificate(tmp_path / "a"), with_certificate(tmp_path / "b")
    for wrong in (
        {"http_key": other.http_key},
        {"http_cert": str(tmp_path / "none.pem")},
        {"http_cert": right.http_key},
        {"http_cert": ""},
    ):
        with pytest.raises(NexusError) as caught:
            http_tls.server_context(dataclasses.replace(right, **wrong), "127.0.0.1")
        assert caught.value.code == "NX6040", wrong
        assert "PRIVATE" not in caught.value.message + caught.value.cause


async def test_a_renewed_certificate_is_shown_to_the_next_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_tls, "FOLLOW_S", 0.02)
    settings = with_certificate(tmp_path / ".nexus")
    authority = made_ca_of(settings)
    door, role = Door(ca=settings.http_ca), Role()
    async with serve_http(role, host="0.0.0.0", port=0, settings=settings) as port:
        assert await role_lives(port, door) == ""
        assert await role_lives(port) != "", "HTTP without TLS gets no answer"
        before = await asyncio.to_thread(served, port)
        # Half a renewal: the new key is there, its certificate is not.
        certificate, key = authority.files("server")
        old_certificate, old_key = certificate.read_bytes(), key.read_bytes()
        renewed = authority.renew("server")
        new_certificate = certificate.read_bytes()
        certificate.write_bytes(old_certificate)
        await asyncio.sleep(0.2)
        assert await role_lives(port, door) == ""
        certificate.write_bytes(new_certificate)
        asked, now = 0, before
        while now == before:
            assert await role_lives(port, door) == "", asked
            now = await asyncio.to_thread(served, port)
            asked += 1
        assert (now, old_key != key.read_bytes()) == (renewed.serial, True)
        answer = await http_get(port, "/metrics", door=door)
        assert answer is not None
        lines = [line for line in answer[1].decode().splitlines() if line.startswith(http_tls.METRIC + "{")]
        values = {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in lines}
        assert set(values) == {"http", "http-ca"}
        assert 364 * 86_400 < values["http"] < 365 * 86_400 < values["http-ca"]


def made_ca_of(settings: Settings) -> Authority:
    return authority_of(settings.home)


@pytest.mark.needs_broker
@pytest.mark.needs_database
async def test_control_over_https(world: World, tmp_path: Path) -> None:
    papers = with_certificate(tmp_path / ".nexus")
    url = f"https://127.0.0.1:{free_port()}"
    settings = dataclasses.replace(
        world.settings,
        control_url=url,
        http_cert=papers.http_cert,
        http_key=papers.http_key,
        http_ca=papers.http_ca,
    )
    async with World(settings, world.broker).control() as control:
        assert (await control.state()).deployment == 0
        strange = dataclasses.replace(settings, http_ca=str(made_ca(tmp_path / "other").ca_file))
        for wrong, said in (
            (strange, f"The certificate of control at {url} is not trusted."),
            (dataclasses.replace(settings, http_ca=""), f"The certificate of control at {url} is not trusted."),
            (
                dataclasses.replace(settings, control_url=url.replace("127.0.0.1", "127.0.0.2")),
                "does not answer",
            ),
        ):
            async with ControlClient(wrong) as client:
                with pytest.raises(NexusError) as caught:
                    await client.state()
            assert (caught.value.code, said in caught.value.message) == ("NX6400", True), caught.value
        async with ControlClient(dataclasses.replace(settings, http_ca=str(tmp_path / "none.pem"))) as client:
            with pytest.raises(NexusError) as caught:
                await client.state()
        assert caught.value.code == "NX6040"
