"""The CA of a site: what it signs, what it refuses, what it never overwrites."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from nexus_cli.certificates.authority import Authority
from nexus_cli.certificates.build import Wanted
from nexus_cli.certificates.index import Issued
from nexus_cli.certificates.names import CertificateKind
from nexus_cli.diagnostics.errors import NexusError
from tests.papers import NOW

SERVER, CLIENT, OPCUA = CertificateKind.SERVER, CertificateKind.CLIENT, CertificateKind.OPCUA


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "certs", now=lambda: NOW)
    made.init(name="CA of acme/chicago")
    return made


def wanted(name: str = "server", kind: CertificateKind = SERVER, **more: object) -> Wanted:
    return Wanted(**{"name": name, "kind": kind, "days": 365, **more})  # type: ignore[arg-type]


def loaded(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def listed(authority: Authority) -> set[str]:
    crl = x509.load_pem_x509_crl(authority.crl_file.read_bytes())
    assert crl.is_signature_valid(loaded(authority.ca_file).public_key())  # type: ignore[arg-type]
    return {f"{one.serial_number:032X}" for one in crl}


def test_the_ca_signs_and_its_key_is_its_owners(authority: Authority) -> None:
    ca = loaded(authority.ca_file)
    basic = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.value.ca, basic.value.path_length, basic.critical) == (True, 0, True)
    usage = ca.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
    assert isinstance(ca.public_key(), rsa.RSAPublicKey)
    assert (ca.not_valid_after_utc - NOW).days == 3650
    assert ca.not_valid_before_utc == NOW - timedelta(minutes=5)
    assert stat.S_IMODE(authority.ca_key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(authority.folder.stat().st_mode) == 0o700
    assert listed(authority) == set()


@pytest.mark.parametrize(
    ("kind", "purposes", "key"),
    [
        (SERVER, [ExtendedKeyUsageOID.SERVER_AUTH], ec.EllipticCurvePublicKey),
        (CLIENT, [ExtendedKeyUsageOID.CLIENT_AUTH], ec.EllipticCurvePublicKey),
        (OPCUA, [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH], rsa.RSAPublicKey),
    ],
)
def test_what_a_certificate_is_for(
    authority: Authority, kind: CertificateKind, purposes: list[x509.ObjectIdentifier], key: type
) -> None:
    authority.issue(wanted("one", kind, hosts=("Plant-A",), addresses=("10.0.0.5", "fd00::0001"), uri="urn:a:b"))
    file, key_file = authority.files("one")
    made, ca = loaded(file), loaded(authority.ca_file)
    made.verify_directly_issued_by(ca)
    assert list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == purposes
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["plant-a"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.5", "fd00::1"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:a:b"]
    ours = made.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert ours == ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert isinstance(made.public_key(), key)
    assert made.serial_number.bit_length() > 64
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


def test_nothing_is_overwritten(authority: Authority) -> None:
    before = authority.ca_file.read_bytes()
    with pytest.raises(NexusError, match="There is a CA already") as caught:
        authority.init(name="another")
    assert caught.value.code == "NX6038"
    authority.issue(wanted())
    certificate = authority.files("server")[0].read_bytes()
    with pytest.raises(NexusError, match="There is a certificate server already") as caught:
        authority.issue(wanted())
    assert caught.value.code == "NX6038"
    assert (authority.ca_file.read_bytes(), authority.files("server")[0].read_bytes()) == (before, certificate)


def test_a_renewal_has_the_names_of_the_one_before_and_another_key(authority: Authority) -> None:
    first = authority.issue(wanted(hosts=("a",), addresses=("10.0.0.5",)))
    before = loaded(authority.files("server")[0])
    second = authority.renew("server")
    after = loaded(authority.files("server")[0])
    assert (second.hosts, second.addresses, second.days) == (("a",), ("10.0.0.5",), 365)
    assert before.public_key() != after.public_key()
    assert f"{after.serial_number:032X}" == second.serial != first.serial
    assert list(authority.index().current()) == ["server"]
    assert [one.replaced for one in authority.index().certificates] == [True, False]


def test_revoked_is_every_one_of_the_name_that_has_not_ended(authority: Authority) -> None:
    serials = {authority.issue(wanted("a", CLIENT)).serial, authority.renew("a").serial}
    other = authority.issue(wanted("b", CLIENT)).serial
    at = x509.load_pem_x509_crl(authority.crl_file.read_bytes()).last_update_utc
    assert {one.serial for one in authority.revoke("a")} == serials
    assert listed(authority) == serials == authority.revoked_serials()
    assert not any(file.exists() for file in authority.files("a"))
    # OpenSSL takes the later one of two lists: it is later although the clock stands still.
    assert x509.load_pem_x509_crl(authority.crl_file.read_bytes()).last_update_utc > at
    assert authority.issue(wanted("a", CLIENT)).serial not in listed(authority)
    authority.revoke("b")
    assert listed(authority) == serials | {other}


def test_an_unknown_name_is_told_the_nearest(authority: Authority) -> None:
    authority.issue(wanted())
    for change in (authority.renew, authority.revoke):
        with pytest.raises(NexusError, match="There is no certificate servre") as caught:
            change("servre")
        assert (caught.value.code, "server" in caught.value.hint) == ("NX6039", True)


def test_without_a_ca_the_command_that_makes_it_is_named(tmp_path: Path) -> None:
    for change in (lambda one: one.issue(wanted()), lambda one: one.renew("a"), lambda one: one.revoke("a")):
        with pytest.raises(NexusError) as caught:
            change(Authority(tmp_path / "certs"))
        assert caught.value.code == "NX6036" and "nexus certs init" in caught.value.hint


def test_a_key_that_is_kept_elsewhere_is_asked_for(authority: Authority) -> None:
    authority.ca_key_file.unlink()
    with pytest.raises(NexusError, match="The key of the CA is not here") as caught:
        authority.issue(wanted())
    assert caught.value.code == "NX6036"
    assert authority.index().certificates == ()


def test_the_key_of_another_ca_is_refused(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    other.init(name="other")
    authority.ca_key_file.write_bytes(other.ca_key_file.read_bytes())
    with pytest.raises(NexusError, match="is not the key of"):
        authority.issue(wanted())


def test_a_certificate_ends_with_its_ca_at_the_latest(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "certs", now=lambda: NOW)
    authority.init(name="short", days=10)
    ended: Issued = authority.issue(wanted(days=365))
    assert ended.not_after == int((NOW + timedelta(days=10)).timestamp())
    late = Authority(authority.folder, now=lambda: NOW + timedelta(days=11))
    with pytest.raises(NexusError, match="expired on 2026-03-11"):
        late.renew("server")


def test_what_is_due(authority: Authority) -> None:
    authority.issue(wanted("soon", CLIENT, days=29))
    authority.issue(wanted("later", CLIENT, days=31))
    assert authority.due(timedelta(days=30)) == ["soon"]
    assert authority.due(timedelta(days=400)) == ["later", "soon"]


def test_a_key_that_others_may_read_is_a_doubt(authority: Authority) -> None:
    authority.issue(wanted())
    assert authority.doubts() == []
    key = authority.files("server")[1]
    key.chmod(0o640)
    assert authority.doubts() == [f"the key {key} is open to others (mode 0640): chmod 600 {key}"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"name": "../x"}, "can't name a certificate"),
        ({"name": "server.key"}, "can't name a certificate"),
        ({"name": ""}, "can't name a certificate"),
        ({"hosts": ("bad host",)}, "is not a DNS name"),
        ({"hosts": ("a..b",)}, "is not a DNS name"),
        ({"hosts": ("a" * 64,)}, "is not a DNS name"),
        ({"hosts": ("10.0.0.5",)}, "is an address"),
        ({"addresses": ("10.0.0.500",)}, "is not an IP address"),
        ({"addresses": ("0.0.0.0",)}, "no machine's address"),
        ({"uri": "no uri"}, "is not an ApplicationURI"),
    ],
)
def test_what_no_certificate_can_name(authority: Authority, more: dict[str, object], said: str) -> None:
    with pytest.raises(NexusError, match=said) as caught:
        authority.issue(wanted(**more))  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.exit_code) == ("NX6037", 64)
    assert authority.index().certificates == ()


def test_a_damaged_list_is_not_written_over(authority: Authority) -> None:
    file = authority.folder / "index.json"
    file.write_text("{")
    with pytest.raises(NexusError, match="can't be read") as caught:
        authority.issue(wanted())
    assert (caught.value.code, file.read_text()) == ("NX6036", "{")
