"""`nexus certs init`, `issue`, `renew NAME` and `revoke` by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509

from nexus_cli.cli.main import cli
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.opcua.security import application_uri, own_certificate


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


def shown() -> Any:
    return json.loads(certs("show", "--format", "json").stdout)


def test_from_nothing_to_a_server(home: Path) -> None:
    with pytest.raises(NexusError, match="There is no CA") as caught:
        certs("issue", "server", "--kind", "server")
    assert caught.value.hint == "`nexus certs init` makes it"
    made = certs("init")
    assert made.stdout.startswith(f"CA: {home}/certs/ca.pem, until ")
    said = certs("issue", "server", "--kind", "server", "--dns", "Plant-A", "--ip", "10.0.0.5", "--days", "90")
    assert said.stdout.splitlines()[0] == f"server (server): {home}/certs/issued/server.pem"
    assert "  names   plant-a, localhost, 10.0.0.5, 127.0.0.1" in said.stdout
    (entry,) = shown()["ca"]["issued"]
    assert (entry["hosts"], entry["doubts"]) == (["plant-a", "localhost", "10.0.0.5", "127.0.0.1"], [])
    for text in (made.output, said.output, certs("show").output):
        assert "PRIVATE" not in text


def test_renew_takes_one_form_at_a_time(home: Path) -> None:
    certs("init")
    certs("issue", "a", "--kind", "client", "--days", "10")
    certs("issue", "b", "--kind", "client", "--days", "90")
    serials = {one["name"]: one["serial"] for one in shown()["ca"]["issued"]}

    def changed() -> set[str]:
        now = {one["name"]: one["serial"] for one in shown()["ca"]["issued"]}
        found = {name for name in now if now[name] != serials[name]}
        serials.update(now)
        return found

    certs("renew", "b")
    assert changed() == {"b"}
    certs("renew", "--due", "30d")
    assert changed() == {"a"}
    certs("renew", "--all")
    assert changed() == {"a", "b"}
    assert certs("renew", "--due", "1d").stdout == "nothing to renew\n"
    assert changed() == set()
    with pytest.raises(Exception, match="Give one of NAME, --all and --due"):
        certs("renew", "a", "--all")
    with pytest.raises(Exception, match="'soon' is not a duration"):
        certs("renew", "--due", "soon")
    with pytest.raises(NexusError, match="There is no certificate c"):
        certs("renew", "c")


def test_an_expiring_one_and_an_open_key_are_warnings(home: Path) -> None:
    certs("init")
    certs("issue", "a", "--kind", "client", "--days", "10")
    (home / "certs" / "issued" / "a.key").chmod(0o644)
    text = certs("show").stdout
    assert "warning: the certificate a expires in 9 days" in text
    assert f"warning: the key {home}/certs/issued/a.key is open to others (mode 0644)" in text


def test_revoke_says_which(home: Path) -> None:
    certs("init")
    certs("issue", "scada", "--kind", "client")
    serial = shown()["ca"]["issued"][0]["serial"]
    assert certs("revoke", "scada").stdout == f"revoked scada, serial {serial}\n"
    assert [one["serial"] for one in shown()["ca"]["revoked"]] == [serial]
    assert "scada  client  revoked on " in certs("show").stdout
    with pytest.raises(NexusError, match="There is no certificate scada"):
        certs("revoke", "scada")


def test_our_opcua_certificate_from_the_ca(home: Path) -> None:
    certs("init")
    before = own_certificate(str(home))[0]
    uri = application_uri(x509.load_der_x509_certificate(before.read_bytes()))
    certs("issue", "nexus-opcua", "--kind", "opcua", "--own")
    ca = x509.load_pem_x509_certificate((home / "certs" / "ca.pem").read_bytes())

    def ours() -> x509.Certificate:
        return x509.load_der_x509_certificate(own_certificate(str(home))[0].read_bytes())

    first = ours()
    first.verify_directly_issued_by(ca)
    assert application_uri(first) == uri
    certs("renew")  # without a name: ours, by whoever issued it
    second = ours()
    second.verify_directly_issued_by(ca)
    assert (application_uri(second), second.serial_number != first.serial_number) == (uri, True)
    certs("revoke", "nexus-opcua")
    certs("renew")  # the CA has none for us any more: it signs itself again
    assert ours().issuer == ours().subject


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a b", "--kind", "client"), "can't name a certificate"),
        (("a", "--kind", "client", "--ip", "10.0.0.500"), "is not an IP address"),
        (("a", "--kind", "server", "--dns", "10.0.0.5"), "is an address, not a DNS name"),
        (("a", "--kind", "client", "--application-uri", "urn:x"), "has no ApplicationURI"),
        (("a", "--kind", "server", "--own"), "has no ApplicationURI"),
        (("a", "--kind", "opcua", "--application-uri", "x"), "is not an ApplicationURI"),
        (("a", "--kind", "ca"), "Invalid value for '--kind'|'ca' is not one of"),
        (("a", "--kind", "client", "--days", "0"), "0 is not in the range"),
    ],
)
def test_mistakes(words: tuple[str, ...], said: str) -> None:
    certs("init")
    with pytest.raises(Exception, match=said):
        certs("issue", *words)
    assert shown()["ca"]["issued"] == []
