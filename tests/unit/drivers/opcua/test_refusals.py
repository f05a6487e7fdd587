"""Each refusal has a sentence of its own, and says what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.opcua import certificates, refusals, security
from nexus_cli.drivers.opcua.fingerprints import fingerprint
from nexus_cli.drivers.opcua.refusals import Attempt

ENDPOINT = "opc.tcp://plc:4840"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    security.own_certificate(str(folder))
    return folder


@pytest.fixture
def ours(home: Path) -> Path:
    return security.own_certificate(str(home))[0]


def test_each_reason_about_our_certificate_names_file_and_thumbprint(ours: Path) -> None:
    facts = certificates.facts_of(ours)
    assert facts is not None
    attempt = Attempt(ENDPOINT, security="Basic256Sha256/Sign", certificate=ours)
    told = {code: refusals.refused(attempt, code) for code in sorted(refusals.CERTIFICATE)}
    assert len({error.message for error in told.values()}) == len(told)
    for code, error in told.items():
        assert str(ours) in error.message
        assert facts.thumbprint in error.message
        assert "nexus certs " in error.message
        assert error.code == code
        assert error.retriable, "the certificate may be trusted on the server meanwhile"
    assert facts.uri in told[0x80170000].message
    assert f"{facts.valid_until:%Y-%m-%d}" in told[0x80140000].message
    assert "trust" in told[0x801A0000].message


def test_who_we_are_is_told_apart() -> None:
    anonymous = refusals.refused(Attempt(ENDPOINT, identifying=True), 0x80210000)
    assert "takes no anonymous sessions" in anonymous.message
    assert "set `user` and `password`" in anonymous.message
    assert not anonymous.rest_s
    named = refusals.refused(Attempt(ENDPOINT, user="operator", identifying=True), 0x80210000)
    assert "user name or password of 'operator'" in named.message
    assert named.rest_s >= 120
    assert not named.retriable
    certified = refusals.refused(Attempt(ENDPOINT, user_certificate="/u.der", identifying=True), 0x80200000)
    assert "user certificate /u.der" in certified.message
    untrusted = refusals.refused(Attempt(ENDPOINT, user_certificate="/u.der", identifying=True), 0x801A0000)
    assert "user certificate /u.der" in untrusted.message


@pytest.mark.parametrize("code", [0x800E0000, 0x800C0000, 0x800A0000, 0x80250000, 0x80560000, 0x80020000, 0x800D0000])
@pytest.mark.parametrize("user", ["operator", ""])
def test_a_server_that_is_busy_or_starts_is_no_wrong_password(code: int, user: str) -> None:
    error = refusals.refused(Attempt(ENDPOINT, user=user, identifying=True), code)
    assert error.retriable
    assert not error.rest_s
    assert "password" not in error.message and "anonymous" not in error.message


def test_a_signature_that_is_wrong_names_whose_it_is(ours: Path) -> None:
    attempt = Attempt(ENDPOINT, security="Basic256Sha256/Sign", user="operator", certificate=ours, identifying=True)
    assert str(ours) in refusals.refused(attempt, 0x80580000).message
    assert "'operator'" in refusals.refused(attempt, 0x80570000).message


def test_what_the_server_takes_instead_is_named() -> None:
    def told(attempt: Attempt, offered: set[int]) -> str:
        error = refusals.no_such_identity(attempt, offered)
        return error.message if error is not None else ""

    assert "takes no anonymous sessions" in told(Attempt(ENDPOINT), {1, 2})
    assert "it takes user names and user certificates: set `user` and `password`" in told(Attempt(ENDPOINT), {1, 2})
    assert "takes no user names" in told(Attempt(ENDPOINT, user="x"), {0})
    assert "leave out `user`" in told(Attempt(ENDPOINT, user="x"), {0})
    assert not told(Attempt(ENDPOINT, user="x"), {0, 1})
    assert not told(Attempt(ENDPOINT, user="x"), set())
    offered = refusals.not_offered(Attempt(ENDPOINT), ["Basic256Sha256/Sign", "Aes256Sha256RsaPss/SignAndEncrypt"])
    assert "does not offer None; it offers Aes256Sha256RsaPss/SignAndEncrypt, Basic256Sha256/Sign" in offered.message
    assert "set `security: Basic256Sha256/Sign`" in offered.message


def test_hosts_sessions_and_passwords() -> None:
    away = refusals.unreachable(Attempt(ENDPOINT, announced="plc7.factory.invalid:4840"), "Name or service not known")
    assert "announces itself as plc7.factory.invalid:4840" in away.message
    assert "override_host" in away.message
    assert "override_host" not in refusals.unreachable(Attempt(ENDPOINT), "refused").message
    assert "no session left" in refusals.refused(Attempt(ENDPOINT), 0x80560000).message
    long = refusals.password_too_long(Attempt(ENDPOINT, user="x"), size_bytes=300, key=None, hashed=20)
    assert "300 bytes" in long.message


def test_a_key_of_another_certificate_is_named(ours: Path, tmp_path: Path) -> None:
    _, other = security.own_certificate(str(tmp_path))
    with pytest.raises(DriverError, match="is not that of the certificate"):
        security.check_pair(ours, security.load_certificate(ours), other)
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN nothing")
    with pytest.raises(DriverError, match="not a private key in PEM"):
        security.check_pair(ours, security.load_certificate(ours), broken)


def test_doubts_about_a_certificate(ours: Path) -> None:
    der, facts = ours.read_bytes(), certificates.facts_of(ours)
    assert facts is not None
    host = facts.hosts[0]

    def doubts(endpoint: str = f"opc.tcp://{host}:4840", uri: str = facts.uri, year: int = 2030) -> list[str]:
        now = datetime(year, 1, 1, tzinfo=UTC)
        return certificates.doubts(der, endpoint=endpoint, uri=uri, now=now)

    assert doubts() == []
    assert "expired on" in doubts(year=2090)[0]
    assert "not valid before" in doubts(year=2001)[0]
    assert "not for plc9" in doubts(endpoint="opc.tcp://plc9:4840")[0]
    assert "calls itself urn:other" in doubts(uri="urn:other")[0]
    soon = facts.valid_until.replace(day=1)
    assert "expires on" in certificates.own_doubts(ours, now=soon)[0]
    assert "nexus certs renew" in certificates.own_doubts(ours, now=datetime(2090, 1, 1, tzinfo=UTC))[0]


def test_renewing_keeps_the_uri_and_the_one_before(tmp_path: Path) -> None:
    first = certificates.facts_of(security.own_certificate(str(tmp_path))[0])
    before = security.renew(str(tmp_path))
    second = certificates.facts_of(security.own_certificate(str(tmp_path))[0])
    assert first is not None
    assert second is not None
    assert before is not None
    assert first.uri == second.uri
    assert first.thumbprint != second.thumbprint
    kept = certificates.facts_of(before / "certificate.der")
    assert kept is not None
    assert kept.thumbprint == first.thumbprint


SHA1 = "abcdef0123456789abcdef0123456789abcdef01"


@pytest.mark.parametrize(
    "text",
    [
        SHA1,
        SHA1.upper(),
        ":".join(SHA1[at : at + 2] for at in range(0, 40, 2)).upper(),
        " ".join(SHA1[at : at + 2] for at in range(0, 40, 2)),
        f"0x{SHA1.upper()}",
        f"SHA1 Fingerprint={':'.join(SHA1[at : at + 2] for at in range(0, 40, 2)).upper()}",
        f"sha1 Fingerprint={SHA1}",
        f"\u200e{' '.join(SHA1[at : at + 2] for at in range(0, 40, 2))}",
        f"Thumbprint: {SHA1}",
    ],
)
def test_a_fingerprint_is_taken_as_tools_print_it(text: str) -> None:
    assert fingerprint(text) == SHA1


def test_what_is_no_fingerprint() -> None:
    assert fingerprint("certs/server.der") is None
    assert fingerprint("/etc/face.pem") is None
    assert fingerprint(f"sha256 Fingerprint={SHA1}{SHA1[:24]}") == SHA1 + SHA1[:24]
    with pytest.raises(ValueError, match="this has 38"):
        fingerprint(SHA1[:38])
