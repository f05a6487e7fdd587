"""OPC UA security against a real server: encrypted sessions, certificates that stay, servers that changed."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from cryptography.hazmat.primitives import serialization

from nexus_cli.drivers.base import DriverError, Scope, points_of
from nexus_cli.drivers.opcua.driver import OpcuaDriver
from nexus_cli.drivers.opcua.security import fingerprints, own_certificate, thumbprint
from nexus_cli.drivers.opcua.simulator.server import Identity, new_identity, serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Reason

pytestmark = pytest.mark.own_time

URI = "http://acme.example/security"


@pytest.fixture(scope="module")
def identity() -> Identity:
    return new_identity()


def device(port: int = 0, *, security: str = "Basic256Sha256/SignAndEncrypt", **more: Any) -> DeviceConfig:
    return DeviceConfig(
        path="area/line/secure",
        protocol="opcua",
        connection={
            "endpoint": f"opc.tcp://127.0.0.1:{port}",
            "security": security,
            "timeout": 2000,
            "connect_timeout": 5000,
            **more,
        },
        tags={
            "level": TagConfig(
                type="float64",
                address=f"nsu={URI};s=Level",
                writable=True,
                simulate={"signal": "constant", "value": 4.5},
            )
        },
    )


async def read_once(config: DeviceConfig, home: Path) -> object:
    driver = OpcuaDriver()
    session = await driver.connect([config], home=str(home))
    try:
        (request,) = driver.group(config, points_of(config))
        result = await session.read(request)
        assert not result.faults
        return result.values[0]
    finally:
        await session.close()


def der(identity: Identity) -> bytes:
    return identity.certificate.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    "security", ["Basic256Sha256/Sign", "Basic256Sha256/SignAndEncrypt", "Aes256Sha256RsaPss/SignAndEncrypt"]
)
async def test_a_secured_session_reads_and_writes(tmp_path: Path, identity: Identity, security: str) -> None:
    server = await serve([device()], identity=identity)
    try:
        config = device(server.port, security=security)
        driver = OpcuaDriver()
        session = await driver.connect([config], home=str(tmp_path))
        try:
            (point,) = points_of(config)
            await session.write(config.path, point, 9.25)
            (request,) = driver.group(config, [point])
            assert (await session.read(request)).values == [9.25]
            policy = session.channel.client.security_policy
            assert policy.URI.endswith(security.partition("/")[0].replace("Aes256Sha256RsaPss", "Aes256_Sha256_RsaPss"))
            assert policy.Mode.name == security.partition("/")[2]
        finally:
            await session.close()
    finally:
        await server.close()


async def test_our_certificate_is_made_once_and_kept(tmp_path: Path, identity: Identity) -> None:
    server = await serve([device()], identity=identity)
    try:
        config = device(server.port)
        assert await read_once(config, tmp_path) == 4.5
        certificate, key = own_certificate(str(tmp_path))
        first = thumbprint(certificate.read_bytes())
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert await read_once(config, tmp_path) == 4.5
        assert thumbprint(own_certificate(str(tmp_path))[0].read_bytes()) == first
    finally:
        await server.close()


async def test_a_server_with_another_certificate_is_refused(tmp_path: Path, identity: Identity) -> None:
    server = await serve([device()], identity=identity)
    port = server.port
    config = device(port)
    await read_once(config, tmp_path)
    await server.close()
    server = await serve([device()], port=port, identity=new_identity())
    try:
        with pytest.raises(DriverError) as caught:
            await read_once(config, tmp_path)
        assert caught.value.scope is Scope.SESSION
        assert not caught.value.retriable
        assert caught.value.reason is Reason.ACCESS_DENIED
        assert "another certificate" in caught.value.message
    finally:
        await server.close()
    server = await serve([device()], port=port, identity=identity)
    try:
        assert await read_once(config, tmp_path) == 4.5
    finally:
        await server.close()


async def test_a_pinned_certificate_decides(tmp_path: Path, identity: Identity) -> None:
    server = await serve([device()], identity=identity)
    sha1, sha256 = fingerprints(der(identity))
    file = tmp_path / "server.pem"
    file.write_bytes(identity.certificate.public_bytes(serialization.Encoding.PEM))
    try:
        for trust in (sha1, sha256, str(file)):
            assert await read_once(device(server.port, trust=trust), tmp_path) == 4.5
        with pytest.raises(DriverError) as caught:
            await read_once(device(server.port, trust="0" * 64), tmp_path)
        assert not caught.value.retriable
        assert sha256 in caught.value.message
        assert not (tmp_path / "certs" / "opcua" / "servers").exists(), "a pinned server needs no memory"
    finally:
        await server.close()


async def test_a_certificate_of_ones_own(tmp_path: Path, identity: Identity) -> None:
    ours = new_identity()
    certificate, key = tmp_path / "plant.der", tmp_path / "plant.pem"
    certificate.write_bytes(der(ours))
    key.write_bytes(
        ours.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    server = await serve([device()], identity=identity)
    try:
        config = device(server.port, certificate=str(certificate), private_key=str(key))
        assert await read_once(config, tmp_path) == 4.5
        assert not (tmp_path / "certs" / "opcua" / "own").exists()
        missing = device(server.port, certificate=str(tmp_path / "none.der"), private_key=str(key))
        with pytest.raises(DriverError) as caught:
            await read_once(missing, tmp_path)
        assert not caught.value.retriable
        assert "none.der" in caught.value.message
    finally:
        await server.close()


async def test_what_the_server_does_not_offer_is_named(tmp_path: Path) -> None:
    server = await serve([device(security="None")])
    try:
        with pytest.raises(DriverError) as caught:
            await read_once(device(server.port), tmp_path)
        assert not caught.value.retriable
        assert "does not offer Basic256Sha256/SignAndEncrypt" in caught.value.message
        assert "None" in caught.value.message
    finally:
        await server.close()


async def test_a_password_goes_encrypted(tmp_path: Path, identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLC_PASSWORD", "s3cret")
    server = await serve([device()], identity=identity, users={"operator": "s3cret"})
    try:
        config = device(server.port, user="operator", password="${env:PLC_PASSWORD}")
        assert await read_once(config, tmp_path) == 4.5
        monkeypatch.setenv("PLC_PASSWORD", "wrong")
        with pytest.raises(DriverError) as caught:
            await read_once(config, tmp_path)
        assert not caught.value.retriable
        assert "wrong" not in caught.value.message
    finally:
        await server.close()


async def test_a_user_may_be_a_certificate(tmp_path: Path, identity: Identity) -> None:
    server = await serve([device()], identity=identity)
    seen: list[Any] = []
    plain = server.server.iserver.user_manager.get_user

    def get_user(*rest: Any, **named: Any) -> Any:
        seen.append(named.get("certificate"))
        return plain(*rest, **named)

    server.server.iserver.user_manager.get_user = get_user
    server.server.set_identity_tokens([ua.X509IdentityToken])
    certificate, key = own_certificate(str(tmp_path / "person"))
    try:
        config = device(server.port, user_certificate=str(certificate), user_private_key=str(key))
        assert await read_once(config, tmp_path) == 4.5
        assert any(seen), "the server was shown no certificate of a user"
        with pytest.raises(DriverError) as caught:
            await read_once(device(server.port), tmp_path)
        assert "takes no anonymous sessions" in caught.value.message
        assert "user_certificate" in caught.value.message
    finally:
        await server.close()


async def test_a_doubtful_certificate_is_told_and_costs_nothing(tmp_path: Path, identity: Identity) -> None:
    server = await serve([device()], identity=identity)
    try:
        session = await OpcuaDriver().connect([device(server.port)], home=str(tmp_path))
        try:
            (doubt,) = session.doubts
            assert "not for 127.0.0.1" in doubt
        finally:
            await session.close()
    finally:
        await server.close()
