"""An OPC UA server that trusts the site's CA and nothing else lets our certificate in; one that the CA revoked it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from asyncua import Server, ua
from asyncua.crypto.truststore import TrustStore
from asyncua.crypto.validator import CertificateValidator, CertificateValidatorOptions

from nexus_cli.certificates.authority import authority_of
from nexus_cli.certificates.names import CertificateKind
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.opcua.driver import OpcuaDriver
from nexus_cli.drivers.opcua.security import own_certificate
from nexus_cli.project import certs_ca
from tests.integration.test_opcua_security import device
from tests.servers import free_port

pytestmark = pytest.mark.own_time
SERVER_URI = "urn:acme:line-plc"


async def opened(port: int, home: Path) -> None:
    session = await OpcuaDriver().connect([device(port)], home=str(home))
    await session.close()


async def test_a_server_that_trusts_only_the_ca(tmp_path: Path) -> None:
    home = tmp_path / ".nexus"
    own_certificate(str(home))  # signs itself
    certs_ca.init(home)
    certs_ca.issue(
        home, "line-plc", kind=CertificateKind.OPCUA, uri=SERVER_URI, addresses=("127.0.0.1",), hosts=("line-plc",)
    )
    authority, port = authority_of(home), free_port()
    trusted, lists = tmp_path / "trusted", tmp_path / "lists"
    trusted.mkdir()
    lists.mkdir()
    (trusted / "ca.pem").write_bytes(authority.ca_file.read_bytes())
    (lists / "crl.pem").write_bytes(authority.crl_file.read_bytes())
    store = TrustStore([trusted], [lists])
    await store.load()
    checks = CertificateValidatorOptions.EXT_VALIDATION | CertificateValidatorOptions.PEER_CLIENT
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    await server.set_application_uri(SERVER_URI)
    server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    server.set_certificate_validator(
        CertificateValidator(options=checks | CertificateValidatorOptions.TRUSTED_VALIDATION, trust_store=store)
    )
    certificate, key = authority.files("line-plc")
    await server.load_certificate(certificate)
    await server.load_private_key(key, format="pem")
    async with server:
        with pytest.raises(DriverError):
            await opened(port, home)
        certs_ca.issue(home, "nexus-opcua", kind=CertificateKind.OPCUA, own=True)
        await opened(port, home)
        certs_ca.renew(home, ["nexus-opcua"])
        await opened(port, home)
        certs_ca.revoke(home, "nexus-opcua")
        (lists / "crl.pem").write_bytes(authority.crl_file.read_bytes())
        await store.load()
        with pytest.raises(DriverError):
            await opened(port, home)
