"""`nexus up --listen`: what it needs, what it writes into `runtime.json`, and what it refuses."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from nexus_cli.access.encrypted import refuse_open_broker
from nexus_cli.certificates.authority import Authority, authority_of
from nexus_cli.certificates.build import Wanted
from nexus_cli.certificates.expiry import utc_now
from nexus_cli.certificates.names import CertificateKind
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local import expiring
from nexus_cli.local.environment import environment_of
from nexus_cli.local.layout import AMQTT, EMBEDDED, EXTERNAL, MOSQUITTO, Home, Runtime, assign_ports
from nexus_cli.local.listening import checked_listen, choose_listen, listener_files
from nexus_cli.local.services import role_environment
from nexus_cli.settings import Settings, load_settings
from tests.papers import made_ca

EVERYWHERE = "0.0.0.0"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / ".nexus")
    made.make()
    return made


def runtime(**more: object) -> Runtime:
    return Runtime(
        **{"site": "a/b", "broker_kind": MOSQUITTO, "database_kind": EMBEDDED, "gateways": ["gw"], **more}  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("text", ["127.0.0.1", "127.0.0.2", "localhost", "::1", ""])
def test_a_loopback_address_is_the_default(home: Home, text: str) -> None:
    one = runtime(listen=EVERYWHERE, mutual_tls=True, http_ca="x", broker_ca="x")
    choose_listen(home, one, listen=text, mutual=None)
    assert one == runtime()


@pytest.mark.parametrize("text", ["10.255.255.254", "10.0.0.500", "no.such.host.invalid", "a b"])
def test_an_address_of_another_machine(text: str) -> None:
    with pytest.raises(NexusError) as caught:
        checked_listen(text)
    assert (caught.value.code, caught.value.exit_code) == ("NX6033", 64)


def refusal(home: Home, listen: str = EVERYWHERE, **more: object) -> NexusError:
    with pytest.raises(NexusError) as caught:
        choose_listen(home, runtime(**more), listen=listen, mutual=None)
    return caught.value


def test_each_missing_piece_has_its_command(home: Home) -> None:
    def said(**more: object) -> tuple[str, str, str]:
        error = refusal(home, **more)
        return error.code, error.cause, error.hint

    issue = "nexus certs issue server --kind server"
    assert said() == (
        "NX6032",
        "there is no CA in this folder",
        f"nexus certs init, then {issue} --dns NAME --ip ADDRESS",
    )
    authority = authority_of(home.path)
    authority.init(name="ca")
    assert said() == ("NX6032", "no certificate is named server", f"{issue} --dns NAME --ip ADDRESS")
    authority.issue(Wanted(name="server", kind=CertificateKind.CLIENT, days=1))
    assert said()[1] == "the certificate server is for a client"
    authority.revoke("server")
    assert said()[1] == "no certificate is named server"
    past = Authority(authority.folder, now=lambda: utc_now() - timedelta(days=3))
    past.issue(Wanted(name="server", kind=CertificateKind.SERVER, addresses=("127.0.0.1",), days=1))
    assert said()[1:] == ("the certificate server has expired", "nexus certs renew server")
    assert refusal(home, broker_kind=AMQTT).code == "NX6034"


def test_a_certificate_for_another_address(home: Home) -> None:
    authority = authority_of(home.path)
    authority.init(name="ca")
    authority.issue(Wanted(name="server", kind=CertificateKind.SERVER, addresses=("10.0.0.5",), days=9))
    found = refusal(home)
    assert (found.code, found.cause) == ("NX6032", "the certificate server does not name 127.0.0.1")
    assert "--ip 127.0.0.1" in found.hint


def test_what_is_written(home: Home) -> None:
    authority = made_ca(home.path)
    one = runtime()
    choose_listen(home, one, listen=EVERYWHERE, mutual=True)
    assign_ports(one, running=False)
    issued = authority.folder / "issued"
    assert one.broker_url.startswith("mqtts://127.0.0.1:")
    assert one.control_url.startswith("https://127.0.0.1:")
    assert one.database_url.startswith("postgresql://nexus@127.0.0.1:")
    assert one.database_ca == "", "without TLS it stays on the loopback interface"
    assert one.broker_cert == str(issued / "nexus.cli.pem")
    current = set(authority.index().current())
    assert current == {
        "server",
        "nexus",
        "nexus.cli",
        "nexus.control",
        "nexus.historian",
        "nexus.web",
        "nexus.worker",
        "nexus.gateway.gw",
    }
    home.write_runtime(one)
    settings = load_settings(environ={}, home=home.path, principal="nexus.historian")
    assert (settings.http_host, settings.listen) == (EVERYWHERE, EVERYWHERE)
    assert (settings.http_cert, settings.http_ca) == (str(issued / "server.pem"), str(authority.ca_file))
    environment = role_environment(home, one, {"NEXUS_BROKER_CERT": "mine"}, principal="nexus.historian")
    assert environment["NEXUS_BROKER_CERT"] == str(issued / "nexus.historian.pem")
    assert "NEXUS_BROKER_CERT" not in role_environment(home, one, {"NEXUS_BROKER_CERT": "mine"})
    serials = {name: entry.serial for name, entry in authority.index().current().items()}
    choose_listen(home, one, listen=None, mutual=None)
    assert one.mutual_tls, "it is remembered"
    assert {name: entry.serial for name, entry in authority.index().current().items()} == serials


def test_the_database_of_your_own_keeps_its_files(home: Home) -> None:
    made_ca(home.path)
    one = runtime(
        database_kind=EXTERNAL, database_ca="db-ca.pem", broker_kind=EXTERNAL, broker_ca="mq-ca.pem", broker_cert="c"
    )
    choose_listen(home, one, listen=EVERYWHERE, mutual=True)
    assert (one.database_ca, one.broker_ca, one.broker_cert) == ("db-ca.pem", "mq-ca.pem", "c")


def test_with_tls_the_database_asks_for_the_roles_certificate(home: Home) -> None:
    authority = made_ca(home.path)
    one = runtime(database_tls=True)
    choose_listen(home, one, listen=EVERYWHERE, mutual=True)
    assert one.database_ca == str(authority.ca_file)
    assert one.database_cert == str(authority.files("nexus")[0])
    choose_listen(home, one, listen=EVERYWHERE, mutual=False)
    assert (one.database_ca, one.database_cert) == (str(authority.ca_file), "")


def test_roles_own_certificates_are_renewed_before_their_end(home: Home) -> None:
    authority = made_ca(home.path)
    authority.issue(Wanted(name="nexus.cli", kind=CertificateKind.CLIENT, days=20))
    authority.issue(Wanted(name="nexus.control", kind=CertificateKind.CLIENT, days=200))
    before = authority.index().current()
    choose_listen(home, runtime(), listen=EVERYWHERE, mutual=True)
    after = authority.index().current()
    assert before["nexus.cli"].serial != after["nexus.cli"].serial
    assert before["nexus.control"].serial == after["nexus.control"].serial


def test_certificate_and_key_of_two_renewals(home: Home) -> None:
    authority = made_ca(home.path)
    key = authority.files("server")[1]
    before = key.read_bytes()
    authority.renew("server")
    assert listener_files(home.path, runtime(listen=EVERYWHERE)) is not None
    key.write_bytes(before)
    with pytest.raises(NexusError) as caught:
        listener_files(home.path, runtime(listen=EVERYWHERE))
    assert caught.value.code == "NX6032"
    assert listener_files(home.path, runtime()) is None


def test_http_without_tls_is_a_choice_that_reaches_the_roles() -> None:
    given = {"NEXUS_HTTP_INSECURE": "1", "NEXUS_HTTP_KEY": "k"}
    assert environment_of("nexus.control", given, references={}) == {"NEXUS_HTTP_INSECURE": "1"}


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("mqtt://broker.plant:1883", True),
        ("ws://10.0.0.2:8083/mqtt", True),
        ("mqtts://broker.plant:8883", False),
        ("wss://broker.plant:8084", False),
        ("mqtt://127.0.0.1:1883", False),
        ("mqtt://localhost:1883", False),
        ("mqtt://[::1]:1883", False),
        ("", False),
    ],
)
def test_restricted_data_needs_an_encrypted_way(url: str, refused: bool) -> None:
    device = {"tags": {"a": {}, "recipe": {"classification": "restricted"}}}
    resources = {"site": {"enterprise": "a"}, "device.hall/one/mixer": device, "device.x/y/z": None}
    refuse_open_broker({"device.hall/one/mixer": {"tags": {"a": {"classification": "confidential"}}}}, url)
    if not refused:
        refuse_open_broker(resources, url)
        return
    with pytest.raises(NexusError) as caught:
        refuse_open_broker(resources, url)
    assert caught.value.code == "NX6035"
    assert caught.value.message.startswith("hall/one/mixer/recipe is restricted")


async def test_what_a_runtime_depends_on(home: Home) -> None:
    authority = made_ca(home.path)
    authority.issue(Wanted(name="scada", kind=CertificateKind.CLIENT, days=5))
    certificate = str(authority.files("server")[0])
    settings = Settings(home=home.path, http_cert=certificate, broker_ca=str(authority.ca_file))
    found = expiring.of_files(home.path, settings)
    assert [one.name for one in found] == ["ca", "scada", "server"], "each file once"
    (warning,) = expiring.findings(found)
    assert (warning.code, warning.hint) == ("NX6041", "nexus certs renew scada")
    assert warning.message.startswith("the certificate scada expires in 4 days, on ")
    assert await expiring.of_servers(settings) == []
