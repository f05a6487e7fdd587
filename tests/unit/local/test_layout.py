"""`runtime.json` keeps URLs over restarts, and every server has a port of its own."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nexus_cli.access.compile import compile_grants
from nexus_cli.access.grants_file import Wanted, read_wanted
from nexus_cli.access.passwords import Hashes
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local import start
from nexus_cli.local.credentials import read_credentials
from nexus_cli.local.layout import EXTERNAL, MOSQUITTO, Home, Runtime, assign_ports, port_of
from nexus_cli.local.start import StartRequest, gateways_of, write_request
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.settings import load_settings

HASHES = Hashes(argon2id="", sha512="1$c2FsdA==$a2V5", sha256="1$00$00")


def _snapshot(*gateways: str, site: str = "chicago") -> Snapshot:
    resources: dict[str, dict[str, object]] = {f"gateway.{name}": {} for name in gateways}
    resources["device.a/b/c"] = {"gateway": gateways[0], "protocol": "modbus", "tags": {"t": {}}}
    return Snapshot.of("acme", site, resources)


def _wish(*gateways: str, **more: str) -> StartRequest:
    environ = {key: value for key, value in more.items() if key.startswith("NEXUS_")}
    given = {key: value for key, value in more.items() if not key.startswith("NEXUS_") and key != "site"}
    return StartRequest(snapshot=_snapshot(*gateways, site=more.get("site", "chicago")), environ=environ, **given)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / ".nexus")


def test_twice_is_once(home: Home) -> None:
    first = write_request(home, _wish("gw"))
    written = home.runtime_file.read_bytes()
    second = write_request(home, _wish("gw"))
    assert second == first
    assert home.runtime_file.read_bytes() == written
    ports = [port_of(first.broker_url), port_of(first.database_url), *first.http_ports.values()]
    assert len(set(ports)) == len(ports) == 7
    assert all(ports)


def test_settings_read_what_was_written(home: Home) -> None:
    runtime = write_request(home, _wish("gw"))
    settings = load_settings(principal="nexus.gateway.gw", environ={}, home=home.path)
    assert settings.site == "acme/chicago"
    assert settings.broker_url == runtime.broker_url
    assert settings.control_url == runtime.control_url
    assert settings.broker_password == read_credentials(home.path)["broker"]["nexus.gateway.gw"]
    assert settings.control_token and settings.database_password
    assert settings.http_port == runtime.http_ports["nexus.gateway.gw"]


def test_a_taken_port_is_replaced_and_the_others_stay(home: Home) -> None:
    first = write_request(home, _wish("gw"))
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", port_of(first.broker_url)))
        thief.listen()
        second = write_request(home, _wish("gw"))
    assert second.broker_url != first.broker_url
    assert (second.database_url, second.http_ports) == (first.database_url, first.http_ports)


def test_a_running_runtime_keeps_its_ports_and_takes_a_new_gateway(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_request(home, _wish("gw"))
    monkeypatch.setattr(start, "supervisor_runs", lambda _: True)
    with socket.socket() as itself:
        itself.bind(("127.0.0.1", port_of(first.broker_url)))
        itself.listen()
        second = write_request(home, _wish("gw", "other"))
    assert second.broker_url == first.broker_url
    assert second.gateways == ["gw", "other"]
    assert second.http_ports.items() > first.http_ports.items()
    assert "nexus.gateway.other" in read_credentials(home.path)["api"]
    with pytest.raises(NexusError) as caught:
        write_request(home, _wish("gw", site="springfield"))
    assert caught.value.code == "NX6512"


def test_rights_that_control_wrote_stay(home: Home) -> None:
    home.make()
    snapshot = Snapshot.of(
        "acme",
        "chicago",
        {**_snapshot("gw").resources, "role.r": {"read": ["a/**"]}, "user.u": {"role": "r"}},
    )
    Wanted(compile_grants(snapshot), {"u": HASHES}).write(home.path)
    write_request(home, _wish("gw", "new"))
    found = read_wanted(home.path)
    assert found is not None
    assert {"u", "nexus.gateway.new", "nexus.gateway.gw"} <= {grant.principal for grant in found.grants}
    assert found.people == {"u": HASHES}
    assert "u" not in read_credentials(home.path)["broker"], "of a declared user the hash is kept alone"
    assert (home.path / "access.json").stat().st_mode & 0o777 == 0o600


def test_urls_of_your_own(home: Home) -> None:
    runtime = write_request(
        home,
        _wish("gw", broker="mqtts://broker:8883", database="postgresql://nexus@db/nexus", NEXUS_BROKER_CA="/ca.pem"),
    )
    assert (runtime.broker_kind, runtime.broker_url, runtime.broker_ca) == (EXTERNAL, "mqtts://broker:8883", "/ca.pem")
    assert (runtime.database_kind, runtime.database_url) == (EXTERNAL, "postgresql://nexus@db/nexus")
    from_environment = write_request(home, _wish("gw", NEXUS_BROKER_URL="mqtt://other"))
    assert from_environment.broker_url == "mqtt://other:1883"
    assert from_environment.database_url == "postgresql://nexus@db/nexus", "never silently another database"
    again = write_request(home, _wish("gw"))
    assert (again.broker_kind, again.broker_url) == (EXTERNAL, "mqtt://other:1883")
    back = write_request(home, _wish("gw", broker=MOSQUITTO, database="embedded"))
    assert (back.broker_kind, back.database_kind) == (MOSQUITTO, "embedded")
    assert back.database_url.startswith("postgresql://nexus@127.0.0.1:")


def test_passwords_in_urls_are_refused_without_repeating_them(home: Home) -> None:
    with pytest.raises(NexusError) as caught:
        write_request(home, _wish("gw", database="postgresql://nexus:hunter2@db/nexus"))
    assert "hunter2" not in f"{caught.value.message}{caught.value.hint}{caught.value.cause}"
    assert caught.value.exit_code == 64
    with pytest.raises(NexusError) as caught:
        write_request(home, _wish("gw", broker="mqtt://me:hunter2@db"))
    assert "hunter2" not in f"{caught.value.message}{caught.value.hint}{caught.value.cause}"
    assert caught.value.exit_code == 64


def test_a_broken_runtime_file_is_said(home: Home) -> None:
    home.make()
    home.runtime_file.write_text('{"site": 3}', encoding="utf-8")
    with pytest.raises(NexusError) as caught:
        home.read_runtime()
    assert caught.value.code == "NX6501"


def test_gateways_come_from_names_and_devices() -> None:
    assert gateways_of(_snapshot("b", "a")) == ["a", "b"]


def test_assigning_gives_everyone_another_port() -> None:
    runtime = Runtime(broker_kind=MOSQUITTO, database_kind="embedded", gateways=[f"g{number}" for number in range(20)])
    assign_ports(runtime, running=False)
    assert len(set(runtime.http_ports.values())) == 24
    assert runtime.control_url.endswith(str(runtime.http_ports["nexus.control"]))


@pytest.mark.parametrize(
    ("given", "code", "hint"),
    [
        ({"broker": "mosquito"}, "NX6505", "did you mean 'mosquitto'? mosquitto, amqtt, or mqtt://mosquito:1883"),
        ({"broker": "plant"}, "NX6505", "mosquitto, amqtt, or mqtt://plant:1883"),
        ({"database": "embeded"}, "NX6203", "write embedded, or postgresql://"),
    ],
)
def test_a_misspelt_kind_lists_the_kinds_and_leaves_nothing_behind(
    home: Home, given: dict[str, str], code: str, hint: str
) -> None:
    with pytest.raises(NexusError) as caught, start.one_at_a_time(home):
        write_request(home, _wish("gw", **given))
    assert caught.value.code == code and caught.value.hint.startswith(hint)
    assert not home.path.exists()


def test_a_refused_start_leaves_what_was_there(home: Home) -> None:
    write_request(home, _wish("gw"))
    with pytest.raises(NexusError), start.one_at_a_time(home):
        write_request(home, _wish("gw", broker="plant"))
    assert home.runtime_file.exists() and home.logs.exists()


def test_on_a_broker_that_others_use_names_carry_the_site(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write_request(home, _wish("gw", broker="mqtt://broker.example:1883"))
    settings = load_settings(principal="nexus.gateway.gw", environ={}, home=home.path)
    assert (settings.principal, settings.broker_user) == ("nexus.gateway.gw", "nexus.gateway.gw@acme.chicago")
    plain = load_settings(principal="nexus.cli", environ={"NEXUS_BROKER_ACCOUNTS": "plain"}, home=home.path)
    assert plain.broker_user == "nexus.cli"
    named = load_settings(principal="nexus.cli", environ={"NEXUS_BROKER_USER": "plant"}, home=home.path)
    assert named.broker_user == "plant"
    write_request(home, _wish("gw", broker="mosquitto"))
    assert load_settings(principal="nexus.cli", environ={}, home=home.path).broker_user == "nexus.cli"


def test_an_external_broker_of_an_earlier_version_keeps_its_plain_names(home: Home) -> None:
    home.make()
    home.write_runtime(
        Runtime(site="acme/chicago", broker_kind="external", broker_url="mqtt://broker.example:1883", gateways=["gw"])
    )
    write_request(home, _wish("gw"))
    assert load_settings(principal="nexus.cli", environ={}, home=home.path).broker_user == "nexus.cli"
