"""Our certificate and the servers': made once, kept, pinned."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.opcua import security


def test_the_certificate_says_its_application_uri(tmp_path: Path) -> None:
    certificate, key = security.own_certificate(str(tmp_path))
    found = security.load_certificate(certificate)
    uri = security.application_uri(found)
    assert uri.startswith("urn:")
    assert uri.endswith(":nexus")
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    assert loaded.public_key() == found.public_key()
    assert security.own_certificate(str(tmp_path)) == (certificate, key)
    assert security.load_certificate(certificate) == found
    assert [path.name for path in (tmp_path / "certs" / "opcua").iterdir()] == ["own"]


def test_a_place_that_can_not_be_written_is_final(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(DriverError) as caught:
        security.own_certificate(str(blocked))
    assert not caught.value.retriable


def test_first_sight_is_kept_and_another_refused(tmp_path: Path) -> None:
    endpoint = "opc.tcp://plc:4840/Server"
    path = security.check_trust(b"one", trust="", endpoint=endpoint, home=str(tmp_path))
    assert path is not None
    assert not path.exists()
    security.keep(path, b"one")
    assert security.check_trust(b"one", trust="", endpoint=endpoint, home=str(tmp_path)) is None
    with pytest.raises(DriverError) as caught:
        security.check_trust(b"two", trust="", endpoint=endpoint, home=str(tmp_path))
    assert not caught.value.retriable
    assert str(path) in caught.value.message
    other = security.check_trust(b"two", trust="", endpoint="opc.tcp://plc:4841/Server", home=str(tmp_path))
    assert other != path


def test_a_chain_gives_its_first_certificate() -> None:
    first = b"\x30\x82\x00\x05hello"
    assert security.first_certificate(first + b"\x30\x82\x00\x02xx", "opc.tcp://plc") == first
    for bad in (b"", b"nonsense"):
        with pytest.raises(DriverError):
            security.first_certificate(bad, "opc.tcp://plc")
