"""`nexus certs` by the command line: what it prints, writes and removes, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from nexus_cli.cli.main import cli
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.opcua import security

ENDPOINT = "opc.tcp://10.0.0.5:4840"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path / ".nexus"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".nexus"


def certs(*words: str) -> Any:
    result = CliRunner().invoke(cli, ["certs", *words], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result


def sha256(data: bytes) -> str:
    return x509.load_der_x509_certificate(data).fingerprint(hashes.SHA256()).hex(":").upper()


def plain(text: str) -> str:
    """A fingerprint however it is printed."""
    return "".join(text.split()).replace(":", "").upper()


def test_show_says_that_there_is_none_and_how_to_get_one() -> None:
    shown = certs("show")
    assert shown.stdout == "OPC UA client: none yet, `nexus certs export` makes it\n" and shown.return_value == 0
    assert json.loads(certs("show", "--format", "json").stdout) == {"ca": None, "ours": None, "servers": []}


@pytest.mark.parametrize(
    ("words", "name", "pem"),
    [
        ((), "nexus.der", False),
        (("--pem",), "nexus.pem", True),
        (("server.crt",), "server.crt", False),
        (("out", "--pem"), "out/nexus.pem", True),
    ],
)
def test_export_copies_our_certificate_without_its_key(
    words: tuple[str, ...], name: str, pem: bool, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    result = certs("export", *words)
    written = (tmp_path / name).read_bytes()
    assert result.return_value == 0 and result.stdout.startswith(f"copied: {name}\n")
    assert written.startswith(b"-----BEGIN CERTIFICATE-----") == pem and b"PRIVATE" not in written
    made = x509.load_pem_x509_certificate(written) if pem else x509.load_der_x509_certificate(written)
    der = made.public_bytes(serialization.Encoding.DER)
    assert der == (security.folder(str(home)) / "own" / "certificate.der").read_bytes()
    ours = json.loads(certs("show", "--format", "json").stdout)["ours"]
    assert plain(ours["sha256"]) == plain(sha256(der)) and plain(ours["sha256"]) in plain(result.stdout)
    assert ours["thumbprint"] in certs("show").stdout


def test_export_to_where_nothing_can_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(NexusError) as failed:
        certs("export", str(tmp_path / "nowhere" / "nexus.der"))
    assert failed.value.code == "NX6523" and "can't be written" in failed.value.message


def test_renew_makes_another_and_keeps_the_one_before(home: Path) -> None:
    first = certs("renew")
    assert first.return_value == 0 and "the one before" not in first.stderr
    before = (security.folder(str(home)) / "own" / "certificate.der").read_bytes()
    again = certs("renew")
    after = (security.folder(str(home)) / "own" / "certificate.der").read_bytes()
    assert before != after and plain(sha256(after)) in plain(again.stdout)
    kept = Path(again.stderr.partition("the one before is in ")[2].splitlines()[0])
    folder = kept if kept.is_dir() else kept.parent
    assert before in [file.read_bytes() for file in folder.rglob("*.der")]
    assert "nexus certs export" in again.stderr


def test_forget_removes_the_certificate_of_one_server(home: Path) -> None:
    certs("renew")
    der = (security.folder(str(home)) / "own" / "certificate.der").read_bytes()
    files = [security.kept_file(endpoint, str(home)) for endpoint in (ENDPOINT, "opc.tcp://10.0.0.6:4840")]
    for file in files:
        security.keep(file, der)
    assert certs("show").stdout.count("server: ") == 2
    result = certs("forget", ENDPOINT)
    assert (result.return_value, result.stdout) == (0, f"removed {files[0]}\n")
    assert [file.exists() for file in files] == [False, True]
    result = certs("forget", ENDPOINT)
    assert (result.return_value, result.stdout) == (1, f"no certificate is kept of {ENDPOINT}\n")
    with pytest.raises(NexusError) as failed:
        certs("forget", "10.0.0.5")
    assert failed.value.code == "NX6525"


def test_a_certificate_that_can_not_be_read_hides_no_other(home: Path) -> None:
    certs("export")
    for name in ("damaged", "well"):
        file = security.folder(str(home)) / "servers" / f"{name}.der"
        der = (security.folder(str(home)) / "own" / "certificate.der").read_bytes()
        security.keep(file, b"not a certificate" if name == "damaged" else der)
    shown = certs("show").stdout
    assert "damaged.der\n  it can't be read" in shown and "well.der\n  thumbprint" in shown
