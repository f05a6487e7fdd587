"""A push to clusters as they are: the canary, settings, hashes, versions, pages, and what the page shows."""

from __future__ import annotations

import contextlib
import copy
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from nexus_cli.access.brokers.emqx.database_rule import CLOSING
from nexus_cli.access.brokers.emqx.present import Setting
from nexus_cli.access.passwords import hash_password
from nexus_cli.cli.views.access_push import document, plan_text
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.exit_codes import Exit
from nexus_cli.project.access_push import look, prepare
from nexus_cli.project.access_push_memory import PushMemory
from nexus_cli.project.access_push_run import PushRun
from nexus_cli.project.access_push_wanted import wanted_of
from nexus_cli.wire.emqx import Emqx, NewUser
from nexus_cli.wire.emqx_request import EmqxRequests
from nexus_cli.wire.emqx_settings import EmqxSettings
from tests.emqx_mqtt import EmqxMqtt, allowed, logs_in
from tests.emqx_server import Session, authenticator
from tests.emqx_site import (
    PASSWORD,
    PRINCIPALS,
    SUFFIX,
    strangers_of,
)
from tests.emqx_world import EmqxWorld

DOCS = Path(__file__).parents[2] / "docs/emqx.md"
TAG = "acme/chicago/packaging/line-1/filler/level"
CAPPER = "acme/chicago/packaging/line-1/capper/torque"


async def test_the_canary_is_refused_what_was_removed_and_granted_what_is_kept(emqx: EmqxWorld) -> None:
    await emqx.push(emqx.old)
    mqtt = EmqxMqtt(emqx.server.state)
    async with mqtt.running():
        _, done = await emqx.push(emqx.new, mqtt=mqtt)
        canary = f"nexus.canary{SUFFIX}"
        assert done.tried == {
            f"anna{SUFFIX}": "acme/chicago/packaging/#",
            f"nexus.gateway.gw-1{SUFFIX}": "_nexus/acme/chicago/cmd/packaging/#",
        }
        assert (canary, "acme/chicago/packaging/line-1/filler/#", True) in mqtt.tried
        assert [granted for _, filter_, granted in mqtt.tried if filter_ == "acme/chicago/packaging/#"] == [False]
        assert canary not in emqx.server.state.users and canary not in emqx.server.state.rules
        assert mqtt.refused_logins == []


@pytest.mark.parametrize("action", ["ignore", "disconnect"])
async def test_the_canary_finds_a_source_that_opens_what_was_removed(emqx: EmqxWorld, action: str) -> None:
    state = emqx.server.state
    state.settings["deny_action"] = action
    await emqx.push(emqx.old)
    mqtt = EmqxMqtt(state)
    async with mqtt.running():
        await emqx.push(emqx.new, mqtt=mqtt)
        assert (f"nexus.canary{SUFFIX}", "acme/chicago/packaging/#", False) in mqtt.tried
        await emqx.push(emqx.old)
        state.sources.insert(0, {"type": "file", "enable": True})
        push, _ = await emqx.push(emqx.old)
        assert [doubt.code for doubt in push.doubts] == ["NX7034"]
        with pytest.raises(NexusError, match="can still subscribe 'acme/chicago/packaging/#'") as raised:
            await emqx.push(emqx.new, mqtt=mqtt)
        assert (raised.value.code, raised.value.exit_code) == ("NX7031", Exit.PARTLY)
        assert f"nexus.canary{SUFFIX}" not in state.users
        # The administrator puts the built-in database in front.
        await emqx.push(emqx.old)
        push, _ = await emqx.push(emqx.new, settings=True, mqtt=mqtt)
        assert push.settings == (Setting.FRONT,) and [one["type"] for one in state.sources] == [
            "built_in_database",
            "file",
        ]


async def test_a_right_that_is_kept_and_does_not_work_is_found(emqx: EmqxWorld) -> None:
    await emqx.push(emqx.old)
    other = copy.deepcopy(emqx.server.state)
    other.settings["no_match"] = "deny"
    mqtt = EmqxMqtt(other)  # a node that never takes over a rule
    other.users = emqx.server.state.users
    async with mqtt.running():
        with pytest.raises(NexusError, match="can't subscribe 'acme/chicago/packaging/line-1/filler/#'") as raised:
            await emqx.push(emqx.new, mqtt=mqtt)
    assert raised.value.code == "NX7031"


async def test_a_canary_that_finds_no_broker_says_that_the_rules_are_in_force(emqx: EmqxWorld) -> None:
    await emqx.push(emqx.old)
    mqtt = EmqxMqtt(emqx.server.state)
    async with mqtt.running():
        pass
    with pytest.raises(NexusError, match="The rules are in force, and the canary could not try them"):
        await emqx.push(emqx.new, mqtt=mqtt)
    assert not allowed(emqx.server.state, f"anna{SUFFIX}", "subscribe", CAPPER)
    assert (await emqx.push(emqx.new))[0].nothing, "and it left nothing behind"


async def test_a_cluster_without_its_settings_is_refused_and_made_ready_on_request(emqx: EmqxWorld) -> None:
    state = emqx.server.state
    state.authenticators, state.sources = [], [{"type": "file", "enable": True}]
    state.settings["no_match"] = "allow"
    with pytest.raises(NexusError) as raised:
        await emqx.push(emqx.old)
    assert raised.value.code == "NX7032" and emqx.server.writes == []
    push, _ = await emqx.push(emqx.old, settings=True)
    assert push.settings == (Setting.AUTHENTICATOR, Setting.SOURCE)
    assert state.authenticators[0]["password_hash_algorithm"] == authenticator()["password_hash_algorithm"]
    assert [one["type"] for one in state.sources] == ["built_in_database", "file"]
    assert state.settings == {
        "no_match": "deny",
        "deny_action": "ignore",
        "cache": {"enable": True, "max_size": 32, "ttl": "1m"},
    }
    assert logs_in(state, f"anna{SUFFIX}", f"{PASSWORD}anna")
    assert not allowed(state, f"anna{SUFFIX}", "subscribe", "other"), "the file source behind it allows all"
    assert (await emqx.push(emqx.old))[0].nothing


async def test_an_open_default_closes_our_accounts_and_no_others(emqx: EmqxWorld) -> None:
    emqx.server.state.settings["no_match"] = "allow"
    push, _ = await emqx.push(emqx.old)
    assert [doubt.code for doubt in push.doubts] == ["NX7034"]
    assert not allowed(emqx.server.state, f"anna{SUFFIX}", "subscribe", "other")
    assert allowed(emqx.server.state, "anna@acme.chicago2", "subscribe", "other")
    assert emqx.server.state.settings["no_match"] == "allow"
    emqx.server.state.settings["no_match"] = "deny"
    again, done = await emqx.push(emqx.old)
    assert {len(each.new) for each in again.difference.changes} == {
        len(each.old) - len(CLOSING) for each in again.difference.changes
    }
    assert done.kicked == {}


async def test_more_rules_than_an_entry_takes(emqx: EmqxWorld) -> None:
    database = emqx.server.state.sources[0]
    database["max_rules"] = 10
    with pytest.raises(NexusError, match="rules, and EMQX takes 10 in one entry") as raised:
        await emqx.push(emqx.old)
    assert raised.value.code == "NX7030" and emqx.server.writes == []
    await emqx.push(emqx.old, settings=True)
    assert emqx.server.state.sources[0] == {"type": "built_in_database", "enable": True, "max_rules": 100}


@pytest.mark.parametrize(
    "how", [{"name": "sha256", "salt_position": "prefix"}, {"name": "pbkdf2", "mac_fun": "sha512", "iterations": 500}]
)
async def test_passwords_fit_the_authenticator_that_is_there(emqx: EmqxWorld, how: dict[str, Any]) -> None:
    emqx.server.state.authenticators = [authenticator(**how)]
    await emqx.push(emqx.old)
    assert logs_in(emqx.server.state, f"ben{SUFFIX}", f"{PASSWORD}ben")
    emqx.server.state.authenticators = [authenticator(name="bcrypt", salt_rounds=10)]
    with pytest.raises(NexusError, match="takes no hash of ours"):
        await emqx.push(emqx.old)


async def test_another_password_ends_the_sessions_with_the_old_one(emqx: EmqxWorld) -> None:
    await emqx.push(emqx.old)
    emqx.connect("anna", "ben")
    credentials = orjson.loads((emqx.home / "credentials.json").read_bytes())
    credentials["broker"]["anna"] = "planted-new"
    (emqx.home / "credentials.json").write_bytes(orjson.dumps(credentials))
    push, done = await emqx.push(emqx.old)
    assert [(each.account, each.user) for each in push.difference.changes] == [(f"anna{SUFFIX}", "password")]
    assert done.kicked == {f"anna{SUFFIX}": ["anna-1"]}
    assert logs_in(emqx.server.state, f"anna{SUFFIX}", "planted-new")
    assert sum(method == "POST" for method, _ in emqx.server.writes) == 2


async def test_a_second_account_has_the_rights_of_the_first_and_what_control_stored_wins(emqx: EmqxWorld) -> None:
    """While a password is rotated, both are valid; clear text in this folder is older then."""
    stored = {"ben": hash_password("planted-a", argon2id=False), "ben.b": hash_password("planted-b", argon2id=False)}
    wanted = wanted_of(emqx.old, emqx.settings(), hashes=stored)
    async with emqx.api() as api:
        memory = PushMemory(emqx.home, api.url)
        await PushRun(api, await prepare(api, wanted, memory), memory).carry_out()
        assert (await prepare(api, wanted, memory)).nothing, "a stored hash has one form"
        later = wanted_of(emqx.old, emqx.settings(), hashes={"ben": stored["ben"]})
        assert [each.gone for each in (await prepare(api, later, memory)).difference.changes] == [True]
    state = emqx.server.state
    assert logs_in(state, f"ben{SUFFIX}", "planted-a") and logs_in(state, f"ben.b{SUFFIX}", "planted-b")
    assert not logs_in(state, f"ben{SUFFIX}", f"{PASSWORD}ben")
    assert state.rules[f"ben.b{SUFFIX}"] == state.rules[f"ben{SUFFIX}"] != []


async def test_a_principal_without_a_known_password_gets_rules_and_no_user(emqx: EmqxWorld) -> None:
    credentials = orjson.loads((emqx.home / "credentials.json").read_bytes())
    del credentials["broker"]["anna"]
    (emqx.home / "credentials.json").write_bytes(orjson.dumps(credentials))
    push, _ = await emqx.push(emqx.old)
    assert push.difference.without_password == (f"anna{SUFFIX}",)
    assert "no password is known here, so no user is made: anna" in plan_text(
        document(push, None), style=lambda words, _: words
    )
    assert f"anna{SUFFIX}" not in emqx.server.state.users and emqx.server.state.rules[f"anna{SUFFIX}"]


async def test_from_5_9_on_rules_are_bound_to_client_ids(emqx: EmqxWorld) -> None:
    await emqx.push(emqx.old)
    assert not any("clientid_re" in rule for rules in emqx.server.state.rules.values() for rule in rules)
    emqx.server.version = "5.10.4"
    mqtt = EmqxMqtt(emqx.server.state)
    async with mqtt.running():
        push, done = await emqx.push(emqx.old, mqtt=mqtt)
    bound = {name for name, rules in emqx.server.state.rules.items() if any("clientid_re" in rule for rule in rules)}
    assert bound == {f"{name}{SUFFIX}" for name in PRINCIPALS}
    assert (done.tried, mqtt.tried) == ({}, []), "no topic was lost"
    assert {each.kick for each in push.difference.changes} == {True}, "sessions with other ids end"


async def test_all_that_is_ours_is_removed(emqx: EmqxWorld) -> None:
    before = copy.deepcopy(emqx.server.state)
    await emqx.push(emqx.old)
    emqx.connect("anna", "nexus.control")
    push, done = await emqx.push(None)
    assert emqx.server.state == before and len(done.kicked) == 2
    assert {each.gone for each in push.difference.changes} == {True}
    assert orjson.loads((emqx.home / "emqx.json").read_bytes()) == {emqx.server.url: {}}


async def test_pages_are_read_to_their_end(emqx: EmqxWorld) -> None:
    for number in range(60):
        emqx.server.state.users[f"old-{number}{SUFFIX}"] = {"password_hash": "0", "salt": "", "is_superuser": False}
        emqx.server.state.rules[f"old-{number}{SUFFIX}"] = []
    emqx.server.page_limit = 7
    async with emqx.api() as api:
        found = await look(api, wanted_of(emqx.old, emqx.settings()).accounts, {})
    assert len(found.users) == len(found.rules) == 60
    assert sum("page=9" in path for _, path in emqx.server.log) == 2


async def test_an_unknown_version_and_another_server_are_refused(emqx: EmqxWorld) -> None:
    async with emqx.api() as api:
        for version in ("4.4.19", "5.7.2", "7.0.0", ""):
            emqx.server.version = version
            with pytest.raises(NexusError, match="a version whose API is not known here") as raised:
                await api.version()
            assert raised.value.code == "NX7027"
        for version in ("5.8.0", "5.10.4", "6.3.2", "e5.9.1"):
            emqx.server.version = version
            assert await api.version() == version
        with pytest.raises(NexusError, match="refuses a request: The maximum number of rules is 100") as raised:
            await api.put_rules(f"a{SUFFIX}", [{"topic": "x", "permission": "deny", "action": "all"}] * 101)
        assert raised.value.code == "NX7028"


async def test_the_file_source_is_read_and_replaced_whole_or_not_at_all(emqx: EmqxWorld) -> None:
    async with emqx.api() as api:
        assert await api.file_rules() == ""
        emqx.server.state.sources.append({"type": "file", "enable": True})
        assert await api.file_rules() == "{allow, all}.\n"
        with pytest.raises(NexusError, match="bad_acl_file_content"):
            await api.put_file_rules("{allow, all}")
        assert await api.file_rules() == "{allow, all}.\n"
        await api.put_file_rules("{deny, all}.")
        assert emqx.server.state.file == "{deny, all}."


async def test_a_session_that_does_not_end_is_said(emqx: EmqxWorld) -> None:
    await emqx.push(emqx.old)
    emqx.connect("anna")
    emqx.server.lingering = 10_000
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += 10 * seconds

    async with emqx.api() as api:
        push, memory = await emqx.plan(emqx.new, api)
        with pytest.raises(NexusError, match=r"still lists a session of 'anna@acme\.chicago' 30 s after") as raised:
            await PushRun(api, push, memory, clock=lambda: now[0], sleep=sleep).carry_out()
    assert raised.value.code == "NX7031"
    emqx.server.lingering = 0
    emqx.server.lingers.clear()
    push, _ = await emqx.push(emqx.new)
    assert [each.account for each in push.difference.changes if each.resumed] != [], "its mark is still there"


async def test_the_sample_of_the_page_is_what_a_push_shows(emqx: EmqxWorld) -> None:
    await emqx.push(emqx.old)
    async with emqx.api() as api:
        push, _ = await emqx.plan(emqx.new, api)
    text = plan_text(document(push, None), style=lambda words, _name: words).replace(
        emqx.server.url, "https://emqx.example:18084"
    )
    page = DOCS.read_text(encoding="utf-8")
    begin, end = "<!-- sample: a push -->\n```text\n", "\n```"
    start = page.index(begin) + len(begin)
    stop = page.index(end, start)
    if os.environ.get("NEXUS_SNAPSHOT"):
        DOCS.write_text(page[:start] + text + page[stop:], encoding="utf-8")
    else:
        assert page[start:stop] == text


async def test_an_account_that_was_made_a_superuser_is_none_any_more(emqx: EmqxWorld) -> None:
    await emqx.push(emqx.old)
    emqx.connect("anna", "carl")
    emqx.server.state.users[f"anna{SUFFIX}"]["is_superuser"] = True
    emqx.server.state.users[f"x{SUFFIX}2"] = {"password_hash": "0", "salt": "0", "is_superuser": True}
    others = strangers_of(emqx.server.state)
    push, done = await emqx.push(emqx.old)
    assert [(change.account, change.user) for change in push.difference.changes] == [(f"anna{SUFFIX}", "superuser")]
    assert done.kicked == {f"anna{SUFFIX}": ["anna-1"]}
    assert [
        name for name, user in emqx.server.state.users.items() if user["is_superuser"] and name.endswith(SUFFIX)
    ] == []
    assert emqx.server.state.users[f"x{SUFFIX}2"]["is_superuser"] and strangers_of(emqx.server.state) == others
    assert (await emqx.push(emqx.old))[0].nothing


async def test_a_client_id_of_dots_hides_no_session(emqx: EmqxWorld) -> None:
    await emqx.push(emqx.old)
    ids = {".", "..", "...", "a/../b", "%2e%2e", "a b", "a?b#c", "kickout"}
    for name in ids:
        emqx.server.state.sessions[name] = Session(name, f"carl{SUFFIX}")
    _, done = await emqx.push(emqx.new)
    assert set(done.kicked[f"carl{SUFFIX}"]) == ids
    assert [each for each in emqx.server.state.sessions.values() if each.username == f"carl{SUFFIX}"] == []


@pytest.mark.parametrize(
    ("answer", "lost"),
    [
        ({"total": 3, "success": 3, "override": 0, "skipped": 0, "failed": 0}, ""),
        ({"total": 3, "success": 1, "override": 2}, ""),
        ({}, ""),
        (None, ""),
        ({"total": 3, "success": 1, "override": 1, "skipped": 0, "failed": 0}, "1 of 3"),
        ({"total": 0, "success": 0, "override": 0}, "3 of 3"),
        ({"success": 3, "failed": 2}, "2 of 3"),
        ({"success": 2, "skipped": 1}, "1 of 3"),
    ],
)
async def test_an_import_counts_what_it_did_not_take(answer: Any, lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def call(*_arguments: Any, **_keys: Any) -> Any:
        return answer

    requests = EmqxRequests(EmqxSettings(url="http://127.0.0.1:1", key="k", secret="s"))
    monkeypatch.setattr(requests, "call", call)
    users = [NewUser(user_id=f"{name}{SUFFIX}", password_hash="00", salt="00") for name in "abc"]
    async with Emqx(requests) as emqx:
        if not lost:
            await emqx.import_users(users)
            return
        with pytest.raises(NexusError, match=lost):
            await emqx.import_users(users)


def test_addresses_and_keys_that_are_refused(tmp_path: Path) -> None:
    from nexus_cli.wire.emqx_settings import load_emqx

    sound = {"NEXUS_EMQX_URL": "https://emqx:18084/", "NEXUS_EMQX_KEY": "k", "NEXUS_EMQX_SECRET": "planted"}
    found = load_emqx(environ=sound, broker_ca="/ca.pem")
    assert (found.url, found.ca) == ("https://emqx:18084", "/ca.pem") and "planted" not in repr(found)
    secret = tmp_path / "secret"
    secret.write_text("planted\n", encoding="utf-8")
    by_file = {**sound, "NEXUS_EMQX_SECRET_FILE": str(secret), "NEXUS_EMQX_CA": "/own.pem"}
    del by_file["NEXUS_EMQX_SECRET"]
    assert (load_emqx(environ=by_file).secret, load_emqx(environ=by_file, broker_ca="/x").ca) == ("planted", "/own.pem")
    assert load_emqx(environ={**sound, "NEXUS_EMQX_URL": "http://[::1]:18083"}).url == "http://[::1]:18083"
    for name, value, words in (
        ("NEXUS_EMQX_URL", "", "is not set"),
        ("NEXUS_EMQX_SECRET", "", "is not set"),
        ("NEXUS_EMQX_URL", "mqtt://emqx", "is not an address"),
        ("NEXUS_EMQX_URL", "https://k:planted@emqx", "holds credentials"),
        ("NEXUS_EMQX_URL", "http://10.0.0.9:18083", "is not encrypted"),
        ("NEXUS_EMQX_KEY", "a:b", "are not a key and a secret"),
    ):
        with pytest.raises(NexusError, match=words) as raised:
            load_emqx(environ={**sound, name: value})
        assert raised.value.code == "NX7033" and "planted" not in str(raised.value) + raised.value.hint
    with contextlib.suppress(FileNotFoundError):
        secret.unlink()
    with pytest.raises(NexusError, match="can't be read"):
        load_emqx(environ=by_file)
