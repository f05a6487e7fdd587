"""A command that is killed between two writes: the next one completes it, and nothing that was revoked stays valid."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from nexus_cli.certificates import authority as module
from nexus_cli.certificates import index as index_module
from nexus_cli.certificates.authority import Authority
from nexus_cli.certificates.build import Wanted
from nexus_cli.certificates.names import CertificateKind
from nexus_cli.diagnostics.errors import NexusError
from tests.papers import NOW


class Killed(BaseException):
    """Stands for SIGKILL: nothing behind it runs."""


class Writes:
    """Counts what changes the folder, and ends at a number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number, self.at = 0, 10**6
        real, unlink = module.replace_file, Path.unlink

        def counted() -> None:
            self.number += 1
            if self.number > self.at:
                raise Killed

        def replace_file(path: Path, data: bytes, *, mode: int | None = None) -> None:
            counted()
            real(path, data, mode=mode)

        def gone(path: Path, missing_ok: bool = False) -> None:
            if path.suffix in (".pem", ".key"):
                counted()
            unlink(path, missing_ok=missing_ok)

        monkeypatch.setattr(module, "replace_file", replace_file)
        monkeypatch.setattr(index_module, "replace_file", replace_file)
        monkeypatch.setattr(Path, "unlink", gone)

    def kill_after(self, writes: int) -> None:
        self.number, self.at = 0, writes

    def let(self) -> None:
        self.at = 10**6


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Writes:
    return Writes(monkeypatch)


def wanted(name: str) -> Wanted:
    return Wanted(name=name, kind=CertificateKind.SERVER, days=365, hosts=("plant",))


def whole(authority: Authority, *names: str) -> None:
    """The CA and these certificates are there, belong together, and are the only ones."""
    ca = x509.load_pem_x509_certificate(authority.ca_file.read_bytes())
    assert sorted(authority.index().current()) == sorted(names)
    for name in names:
        file, key_file = authority.files(name)
        made = x509.load_pem_x509_certificate(file.read_bytes())
        made.verify_directly_issued_by(ca)
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        assert key.public_key() == made.public_key(), name
        assert f"{made.serial_number:032X}" == authority.index().current()[name].serial
    there = {file.name for file in (authority.folder / "issued").glob("*")}
    assert there == {f"{name}{ending}" for name in names for ending in (".pem", ".key")}
    crl = x509.load_pem_x509_crl(authority.crl_file.read_bytes())
    assert {f"{one.serial_number:032X}" for one in crl} == authority.revoked_serials()


@pytest.mark.parametrize("after", range(4))
def test_init(tmp_path: Path, writes: Writes, after: int) -> None:
    authority = Authority(tmp_path / "certs", now=lambda: NOW)
    writes.kill_after(after)
    with pytest.raises(Killed):
        authority.init(name="CA")
    writes.let()
    authority.init(name="CA")
    authority.issue(wanted("server"))
    whole(authority, "server")


@pytest.mark.parametrize("after", range(3))
@pytest.mark.parametrize("renewal", [False, True])
def test_issue_and_renew(tmp_path: Path, writes: Writes, after: int, renewal: bool) -> None:
    authority = Authority(tmp_path / "certs", now=lambda: NOW)
    authority.init(name="CA")
    if renewal:
        authority.issue(wanted("server"))
    writes.kill_after(after)
    with pytest.raises(Killed):
        authority.renew("server") if renewal else authority.issue(wanted("server"))
    writes.let()
    if "server" in authority.index().current():
        authority.renew("server")
    else:
        authority.issue(wanted("server"))
    whole(authority, "server")
    authority.revoke("server")
    assert len(authority.revoked_serials()) == len(authority.index().certificates), "each one that was signed"


@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("how", ["revoke", "revoke another", "issue", "renew"])
def test_revoke(tmp_path: Path, writes: Writes, after: int, how: str) -> None:
    authority = Authority(tmp_path / "certs", now=lambda: NOW)
    authority.init(name="CA")
    for name in ("stolen", "server", "third"):
        authority.issue(wanted(name))
    serial = authority.index().current()["stolen"].serial
    writes.kill_after(after)
    with pytest.raises(Killed):
        authority.revoke("stolen")
    writes.let()
    if after == 0 or how == "revoke":
        assert [one.serial for one in authority.revoke("stolen")] == [serial]
    if how == "revoke another":
        authority.revoke("third")
    elif how == "issue":
        authority.issue(wanted("fourth"))
    elif how == "renew":
        authority.renew("server")
    assert serial in authority.revoked_serials()
    names = {"revoke another": ["server"], "issue": ["server", "third", "fourth"]}.get(how, ["server", "third"])
    whole(authority, *names)


def test_a_ca_whose_certificate_was_lost_is_not_replaced(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "certs", now=lambda: NOW)
    authority.init(name="CA")
    authority.issue(wanted("server"))
    key = authority.ca_key_file.read_bytes()
    authority.ca_file.unlink()
    with pytest.raises(NexusError) as refused:
        authority.init(name="CA")
    assert refused.value.code == "NX6038"
    assert authority.ca_key_file.read_bytes() == key
