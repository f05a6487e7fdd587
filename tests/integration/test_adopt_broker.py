"""Rights of running brokers: a real Mosquitto with its plug-in, and an EMQX as its API is documented. Only questions leave."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.cli.views.adopt import adoption_document
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.discover.adopt.entries import counts
from nexus_cli.project import adopt
from nexus_cli.project.adopt_broker import BrokerAsked, access_of_broker
from nexus_cli.project.text import load
from nexus_cli.wire import dynamic_security
from tests.emqx_server import KEY, SECRET, EmqxServer, authenticator, shared_state
from tests.mosquittos import plugin, running_mosquitto

SITE = """nexus: 1
enterprise: acme
site: chicago  # by hand
areas:
  pack:
    lines:
      l1:
        devices:
          filler: {protocol: modbus, connection: {host: 10.0.0.9}, tags: {t: {address: "holding:0", type: float32}}}
          scale: {protocol: external, tags: {weight: {type: float64, unit: kg}}}
"""
PASSWORD = "planted-broker-password-7f2a"
QUESTIONS = {"getDefaultACLAccess", "getAnonymousGroup", "listRoles", "listGroups", "listClients"}
needs_plugin = pytest.mark.skipif(not plugin() or not shutil.which("mosquitto"), reason="no dynamic security plug-in")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ADMIN", PASSWORD)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    file = tmp_path / "site.yaml"
    file.write_text(SITE, encoding="utf-8")
    return file


def acl(kind: str, topic: str, *, allow: bool = True, priority: int = 0) -> dict[str, Any]:
    return {"acltype": kind, "topic": topic, "allow": allow, "priority": priority}


def client(name: str, *roles: str, **more: Any) -> dict[str, Any]:
    salt = b"0123456789ab"
    key = hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), salt, 101, 64)
    return {
        "username": name,
        "password": base64.b64encode(key).decode(),
        "salt": base64.b64encode(salt).decode(),
        "iterations": 101,
        "roles": [{"rolename": role} for role in roles],
        **more,
    }


CONTROL = "$CONTROL/dynamic-security/#"
ADMIN = {
    "rolename": "dynsec",
    "acls": [acl(kind, CONTROL) for kind in ("publishClientSend", "publishClientReceive", "subscribePattern")],
}


def security(*clients: dict[str, Any], roles: list[dict[str, Any]], groups: Any = (), **more: Any) -> dict[str, Any]:
    return {
        "defaultACLAccess": {
            "publishClientSend": False,
            "publishClientReceive": True,
            "subscribe": False,
            "unsubscribe": True,
        },
        "clients": [client("admin", "dynsec"), *clients],
        "groups": list(groups),
        "roles": [ADMIN, *roles],
        **more,
    }


def asked(port: int, user: str = "admin", password: str = "${env:ADMIN}") -> BrokerAsked:
    return BrokerAsked(address=f"mqtt://127.0.0.1:{port}", user=user, password=password)


@contextlib.asynccontextmanager
async def recording(port: int, *, cut_after: int | None = None) -> AsyncIterator[tuple[int, bytearray]]:
    """A wire to a port: what clients send is written down; it ends after so many bytes of answers."""
    sent = bytearray()

    async def pump(
        source: asyncio.StreamReader, target: asyncio.StreamWriter, keep: bytearray, most: int | None
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(4096):
                keep += data
                if most is not None and len(keep) > most:
                    break
                target.write(data)
                await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        both = [
            asyncio.ensure_future(pump(reader, back, sent, None)),
            asyncio.ensure_future(pump(there, writer, bytearray(), cut_after)),
        ]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        writer.close()
        back.close()
        await asyncio.wait(both)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], sent


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and body of each MQTT packet (MQTT 3.1.1 §2.2)."""
    at = 0
    while at < len(data):
        kind, length, shift = data[at] >> 4, 0, 0
        at += 1
        while True:
            length |= (data[at] & 127) << shift
            shift += 7
            at += 1
            if not data[at - 1] & 128:
                break
        yield kind, data[at : at + length]
        at += length


def commands(data: bytes) -> list[str]:
    """Commands of each PUBLISH, which has QoS 1."""
    found: list[str] = []
    for kind, body in packets(data):
        if kind == 3:
            length = int.from_bytes(body[:2])
            assert body[2 : 2 + length] == b"$CONTROL/dynamic-security/v1"
            found += [each["command"] for each in json.loads(body[4 + length :])["commands"]]
    return found


@needs_plugin
async def test_mosquitto_is_asked_and_each_thing_is_adopted_or_listed(
    tmp_path: Path, site: Path, free_port: Callable[[], int]
) -> None:
    there = security(
        client("desk", "see"),
        client("bound", "see", clientid="only-this"),
        client("off", "see", disabled=True),
        client("zoë"),
        roles=[
            {
                "rolename": "see",
                "acls": [
                    acl("subscribePattern", "acme/chicago/#", priority=5),
                    acl("publishClientSend", "acme/chicago/pack/l1/filler/t"),
                    acl("publishClientSend", "acme/chicago/*/l1/scale/weight"),
                ],
            },
            {"rolename": "weigh", "acls": [acl("publishClientSend", "acme/chicago/pack/l1/scale/+")]},
            {"rolename": "empty", "acls": []},
        ],
        groups=[
            {"groupname": "scales", "roles": [{"rolename": "weigh"}], "clients": [{"username": "desk", "priority": 3}]},
            {"groupname": "nobody", "roles": [{"rolename": "see"}], "clients": []},
        ],
        anonymousGroup="nobody",
    )
    before = json.dumps(there)
    port = free_port()
    with running_mosquitto(tmp_path, port, dynsec=before):
        async with recording(port) as (wire, sent):
            found = await access_of_broker(asked(wire), into=site)
        kept = (tmp_path / "mosquitto" / "dynsec.json").read_text()
    assert set(commands(bytes(sent))) == QUESTIONS, "nothing else leaves"
    assert kept == before, "the broker has what it had"
    states = {entry.what: (entry.state, entry.becomes, entry.reason) for entry in found.entries}
    roles, groups, defaults = 4, 2, 4
    assert len(found.entries) == 3 + 3 + 1 + 5 + roles + groups + defaults, states
    assert states["user desk"] == ("adopted", "user desk with see, weigh", "")
    assert states["role weigh"][:2] == ("adopted", "role weigh")
    assert states["group scales"][:2] == ("adopted", "weigh of desk")
    assert "bound to the client id 'only-this'" in states["user bound"][2]
    assert "disabled" in states["client off"][2]
    assert states["role empty"][2] == "it has no rules"
    assert all(entry.reason for entry in found.entries if entry.state == "left")
    assert found.edit is not None
    assert "publish: [pack/l1/scale/*]" in found.edit.after.replace('"', "")
    shown = json.dumps(adoption_document(found, written=False))
    assert PASSWORD not in shown and "0123456789ab" not in shown
    adopt.write(found)
    assert load(site).ok
    port = free_port()
    with running_mosquitto(tmp_path, port, dynsec=before):
        again = await access_of_broker(asked(port), into=site)
    assert again.edit is None
    assert counts(again.entries)["found"] == len(found.entries)


@needs_plugin
async def test_many_clients_come_page_by_page(
    tmp_path: Path, site: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamic_security, "PAGE", 7)
    names = [f"user-{number:03}" for number in range(50)]
    see = {"rolename": "see", "acls": [acl("subscribePattern", "acme/chicago/pack/#")]}
    port = free_port()
    with running_mosquitto(
        tmp_path, port, dynsec=json.dumps(security(*(client(one, "see") for one in names), roles=[see]))
    ):
        found = await access_of_broker(asked(port), into=site)
    assert [one.what for one in found.entries if one.state == "adopted" and one.what.startswith("user ")] == [
        f"user {name}" for name in names
    ]


@needs_plugin
@pytest.mark.parametrize(
    ("user", "password", "code"),
    [("admin", "${env:WRONG}", "NX6011"), ("desk", "${env:ADMIN}", "NX6012"), ("deaf", "${env:ADMIN}", "NX4204")],
)
async def test_a_broker_that_refuses_says_so(
    tmp_path: Path,
    site: Path,
    free_port: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    user: str,
    password: str,
    code: str,
) -> None:
    monkeypatch.setenv("WRONG", "not-it")
    monkeypatch.setattr("nexus_cli.project.adopt_broker.ANSWER_S", 0.5)
    listens = {"rolename": "listens", "acls": [acl("subscribePattern", CONTROL)]}
    port = free_port()
    text = json.dumps(security(client("desk"), client("deaf", "listens"), roles=[listens]))
    with running_mosquitto(tmp_path, port, dynsec=text), pytest.raises(NexusError) as caught:
        await access_of_broker(asked(port, user, password), into=site)
    assert caught.value.code == code
    assert "not-it" not in str(caught.value) + caught.value.cause
    assert site.read_text() == SITE


@needs_plugin
async def test_an_answer_that_is_cut_adopts_nothing(tmp_path: Path, site: Path, free_port: Callable[[], int]) -> None:
    see = {"rolename": "see", "acls": [acl("subscribePattern", f"acme/chicago/pack/l{n}/#") for n in range(200)]}
    port = free_port()
    with running_mosquitto(tmp_path, port, dynsec=json.dumps(security(roles=[see]))):
        async with recording(port, cut_after=6_000) as (wire, _):
            with pytest.raises(NexusError) as caught:
                await access_of_broker(asked(wire), into=site)
    assert caught.value.code == "NX6010"
    assert site.read_text() == SITE


async def test_a_password_that_is_written_out_is_refused(site: Path) -> None:
    with pytest.raises(NexusError) as caught:
        await access_of_broker(BrokerAsked(address="mqtt://127.0.0.1:1", user="a", password="plain"), into=site)
    assert caught.value.code == "NX6601"


@pytest.mark.parametrize("address", ["https://broker.plant", "broker.plant", "", "emqxx", "mqtt"])
async def test_an_address_of_no_such_broker_is_refused(site: Path, address: str) -> None:
    with pytest.raises(NexusError) as caught:
        await access_of_broker(BrokerAsked(address=address), into=site)
    assert caught.value.code == "NX4207"


# --- EMQX, as its API is documented: there is none here ---------------------------------------------------------


def rule(topic: str, permission: str = "allow", action: str = "subscribe", **more: Any) -> dict[str, Any]:
    return {"topic": topic, "permission": permission, "action": action, **more}


@pytest.fixture
def emqx(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmqxServer]:
    state = shared_state()
    state.sources.append({"type": "http", "enable": True, "url": "http://planted-source-password-9d@auth"})
    state.authenticators.append({**authenticator(), "id": "jwt", "secret": "planted-jwt-secret-31"})
    state.users = {
        "desk": {"is_superuser": False, "password_hash": "planted-hash-77"},
        "root": {"is_superuser": True, "password_hash": "planted-hash-78"},
        "zoë/1": {"is_superuser": False},
    }
    state.rules = {
        "desk": [
            rule("acme/chicago/pack/#"),
            rule("acme/chicago/pack/l1/scale/+", action="all"),
            rule("#", "deny", "all"),
        ],
        "gone": [rule("acme/chicago/pack/#")],
        "zoë/1": [rule("acme/chicago/pack/#", qos=[1])],
    }
    state.client_rules = {"panel": [rule("acme/chicago/pack/#")]}
    state.for_all = [rule("$SYS/#", "deny", "all")]
    monkeypatch.setattr("nexus_cli.wire.emqx_request.RATE_PER_S", 10_000.0)
    with EmqxServer(state).running() as server:
        monkeypatch.setenv("NEXUS_EMQX_URL", server.url)
        monkeypatch.setenv("NEXUS_EMQX_KEY", KEY)
        monkeypatch.setenv("NEXUS_EMQX_SECRET", SECRET)
        yield server


EMQX = BrokerAsked(address="emqx")


async def test_emqx_is_asked_and_each_thing_is_adopted_or_listed(emqx: EmqxServer, site: Path) -> None:
    found = await access_of_broker(EMQX, into=site)
    assert emqx.writes == [], "questions alone"
    states = {entry.what: (entry.state, entry.becomes, entry.reason) for entry in found.entries}
    users, rules, elsewhere, default = 3, 3 + 1 + 1 + 1 + 1, 2, 1
    assert len(found.entries) == users + rules + elsewhere + default, states
    assert states["user desk"] == ("adopted", "user desk with desk", "")
    assert states["user desk: deny publish and subscribe #"][0] == "left"
    assert "superuser" in states["user root"][2]
    assert found.edit is not None and "read: [pack/**, pack/l1/scale/*]" in found.edit.after.replace('"', "")
    shown = json.dumps(adoption_document(found, written=False))
    assert "planted" not in shown and SECRET not in shown
    adopt.write(found)
    assert load(site).ok
    assert (await access_of_broker(EMQX, into=site)).edit is None


async def test_emqx_gives_pages_as_small_as_it_likes(emqx: EmqxServer, site: Path) -> None:
    emqx.state.users = {f"user-{number:04}": {"is_superuser": False} for number in range(1_200)}
    emqx.state.rules = {name: [rule("acme/chicago/pack/#")] for name in emqx.state.users}
    emqx.page_limit = 499
    found = await access_of_broker(EMQX, into=site)
    assert counts(found.entries)["adopted"] == 2_400


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (lambda server: setattr(server, "cut_at", 4), "NX7025"),
        (lambda server: setattr(server, "version", "7.0.0"), "NX7027"),
        (lambda server: server.busy.extend([(500, "")]), "NX7028"),
        (lambda server: server.busy.extend([(404, "")]), "NX7028"),
        (lambda server: server.busy.extend([(401, "")]), "NX7026"),
    ],
)
async def test_emqx_that_refuses_or_is_cut_adopts_nothing(
    emqx: EmqxServer, site: Path, monkeypatch: pytest.MonkeyPatch, prepare: Callable[[EmqxServer], None], code: str
) -> None:
    monkeypatch.setattr("nexus_cli.wire.emqx_request.TRIES", 1)
    prepare(emqx)
    with pytest.raises(NexusError) as caught:
        await access_of_broker(EMQX, into=site)
    assert caught.value.code == code
    assert SECRET not in caught.value.message + caught.value.cause + caught.value.hint
    assert site.read_text() == SITE


async def test_a_wrong_key_is_refused_without_its_secret(
    emqx: EmqxServer, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXUS_EMQX_SECRET", "planted-wrong-secret")
    with pytest.raises(NexusError) as caught:
        await access_of_broker(EMQX, into=site)
    assert caught.value.code == "NX7026"
    assert "planted-wrong-secret" not in caught.value.message + caught.value.cause + caught.value.hint


async def test_emqx_without_a_database_has_nothing_to_adopt(emqx: EmqxServer, site: Path) -> None:
    emqx.state.authenticators, emqx.state.sources = [], []
    found = await access_of_broker(EMQX, into=site)
    assert [entry.what for entry in found.entries] == ["no_match: deny"]


async def test_rules_that_change_while_they_are_read_are_not_adopted(emqx: EmqxServer, site: Path) -> None:
    class Changing(list[tuple[str, str]]):
        def append(self, entry: tuple[str, str]) -> None:
            super().append(entry)
            if len(self) == 10:
                emqx.state.rules["desk"] = [rule("#", "deny", "all")]

    emqx.log = Changing()
    with pytest.raises(NexusError) as caught:
        await access_of_broker(EMQX, into=site)
    assert caught.value.code == "NX4206"
