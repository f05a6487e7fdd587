"""A push of a site's rights to EMQX's API on a loopback port: cut anywhere, with other tenants beside it, paced."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from click import UsageError
from click.testing import CliRunner

from nexus_cli.access.brokers.emqx.database_rule import CLOSING
from nexus_cli.access.brokers.emqx.present import Setting
from nexus_cli.cli.commands.access_push import command
from nexus_cli.cli.views.access_push import document, plan_text
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.exit_codes import Exit
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.project.access_canary import MqttSubscriber
from nexus_cli.project.access_push import Push, look, prepare, refuse_blocked
from nexus_cli.project.access_push_memory import PushMemory
from nexus_cli.project.access_push_run import Done, PushRun
from nexus_cli.project.access_push_wanted import nothing, wanted_of
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.emqx import Emqx
from nexus_cli.wire.emqx_request import EmqxRequests, Pace
from nexus_cli.wire.emqx_settings import EmqxSettings
from tests.emqx_mqtt import EmqxMqtt, allowed, logs_in
from tests.emqx_server import KEY, SECRET, EmqxServer, Session, State, authenticator
from tests.emqx_site import NEW, OLD, PASSWORD, PEOPLE, SUFFIX, snapshot_of, strangers_of, tenants, write_home

DOCS = Path(__file__).parents[2] / "docs/emqx.md"
TAG = "acme/chicago/packaging/line-1/filler/level"
CAPPER = "acme/chicago/packaging/line-1/capper/torque"


async def no_wait(_seconds: float) -> None:
    await asyncio.sleep(0)


@dataclass
class World:
    """A site in two versions, a folder that pushes, and a cluster."""

    home: Path
    old: Snapshot
    new: Snapshot
    server: EmqxServer

    def settings(self, **more: Any) -> Settings:
        return replace(load_settings(environ={}, home=self.home), **more)

    def emqx(self, *, secret: str = SECRET, sleep: Callable[[float], Awaitable[None]] = no_wait) -> Emqx:
        reach = EmqxSettings(url=self.server.url, key=KEY, secret=secret)
        return Emqx(EmqxRequests(reach, pace=Pace(10_000.0, sleep=sleep), sleep=sleep))

    async def plan(self, snapshot: Snapshot | None, emqx: Emqx, *, settings: bool = False) -> tuple[Push, PushMemory]:
        memory = PushMemory(self.home, emqx.url)
        site = wanted_of(self.old, self.settings()).accounts
        wanted = nothing(site) if snapshot is None else wanted_of(snapshot, self.settings())
        return await prepare(emqx, wanted, memory, settings=settings), memory

    async def push(
        self, snapshot: Snapshot | None, *, settings: bool = False, mqtt: EmqxMqtt | None = None
    ) -> tuple[Push, Done]:
        async with self.emqx() as emqx:
            push, memory = await self.plan(snapshot, emqx, settings=settings)
            refuse_blocked(push)
            subscriber = None
            if mqtt is not None:
                subscriber = MqttSubscriber(
                    self.settings(broker_url=f"mqtt://127.0.0.1:{mqtt.port}"),
                    disconnects=push.present.deny_action == "disconnect",
                )
            return push, await PushRun(emqx, push, memory, subscriber=subscriber, sleep=no_wait).carry_out()

    def connect(self, *names: str) -> None:
        """Sessions of these principals, one each."""
        for name in names:
            self.server.state.sessions[f"{name}-1"] = Session(f"{name}-1", f"{name}{SUFFIX}")


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, Snapshot]:
    folder = tmp_path_factory.mktemp("sites")
    return snapshot_of(OLD, folder / "old"), snapshot_of(NEW, folder / "new")


@pytest.fixture
def world(tmp_path: Path, sites: tuple[Snapshot, Snapshot]) -> Iterator[World]:
    for name, text in (("old", OLD), ("new", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "site.yaml").write_text(text, encoding="utf-8")
    with EmqxServer(tenants()).running() as server:
        yield World(write_home(tmp_path / ".nexus"), *sites, server)


async def test_a_first_push_makes_users_that_can_log_in_and_do_what_they_may(world: World) -> None:
    others = strangers_of(world.server.state)
    push, done = await world.push(world.old)
    state = world.server.state
    assert {change.user for change in push.difference.changes} == {"create"} and done.kicked == {}
    ours = sorted(name.removesuffix(SUFFIX) for name in set(state.users) - set(others.users))
    assert ours == [
        "anna",
        "ben",
        "carl",
        "nexus.cli",
        "nexus.control",
        "nexus.gateway.gw-1",
        "nexus.gateway.gw-2",
        "nexus.historian",
        "nexus.web",
    ]
    assert all(logs_in(state, f"{name}{SUFFIX}", PASSWORD + name) for name in ours)
    assert not logs_in(state, f"anna{SUFFIX}", "other")
    assert allowed(state, f"anna{SUFFIX}", "subscribe", TAG) and not allowed(state, f"anna{SUFFIX}", "publish", TAG)
    assert allowed(state, f"nexus.gateway.gw-1{SUFFIX}", "publish", CAPPER)
    assert not allowed(state, f"nexus.gateway.gw-2{SUFFIX}", "publish", CAPPER)
    assert strangers_of(state) == others
    again, _ = await world.push(world.old)
    assert again.nothing and again.difference.same == 9


async def test_the_affected_sessions_are_ended_and_no_others(world: World) -> None:
    await world.push(world.old)
    world.connect("anna", "ben", "carl", "nexus.gateway.gw-1", "nexus.gateway.gw-2", "nexus.control")
    world.server.lingering = 3
    others, cleared = strangers_of(world.server.state), world.server.cleared
    push, done = await world.push(world.new)
    # anna and gw-1 lose a right, carl is gone; ben keeps his, gw-2 and dora only gain.
    assert done.kicked == {f"{name}{SUFFIX}": [f"{name}-1"] for name in ("anna", "carl", "nexus.gateway.gw-1")}
    assert sorted(name for name in world.server.state.sessions if not name.startswith("other")) == [
        "ben-1",
        "nexus.control-1",
        "nexus.gateway.gw-2-1",
    ]
    assert done.gone_s is not None and done.gone_s >= 0
    assert world.server.cleared > cleared
    assert strangers_of(world.server.state) == others
    state = world.server.state
    assert not allowed(state, f"anna{SUFFIX}", "subscribe", CAPPER) and allowed(
        state, f"anna{SUFFIX}", "subscribe", TAG
    )
    assert allowed(state, f"nexus.gateway.gw-2{SUFFIX}", "publish", CAPPER)
    assert f"carl{SUFFIX}" not in state.users and f"carl{SUFFIX}" not in state.rules
    changed = {push.accounts.principal(each.account) for each in push.difference.changes}
    assert changed == {"anna", "carl", "dora", "nexus.gateway.gw-1", "nexus.gateway.gw-2"}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_cut_at_every_request_and_resumed(world: World, after: bool, tmp_path: Path) -> None:
    """At no moment does a principal lack a right that old and new give; the end is the same, from this machine or another."""
    world.server.state.authenticators = [authenticator(name="sha256", salt_position="suffix")]  # costs little
    await world.push(world.old)
    world.connect("anna", "ben", "carl", "nexus.gateway.gw-1", "nexus.gateway.gw-2")
    begun, memory = copy.deepcopy(world.server.state), (world.home / "emqx.json").read_bytes()
    world.server.log.clear()
    await world.push(world.new)
    end, count = copy.deepcopy(world.server.state), len(world.server.log)
    kept = _rights(begun) & _rights(end)
    assert len(kept) > 30 and count > 20
    violations: list[object] = []

    def look_at(state: State) -> None:
        violations.extend(kept - _rights(state))
        violations.extend(_rights(state) - (_rights(begun) | _rights(end)))

    for cut in range(1, count + 1):
        world.server.state = copy.deepcopy(begun)
        world.server.watch = look_at
        (world.home / "emqx.json").write_bytes(memory)
        world.server.log.clear()
        world.server.cut_at, world.server.cut_after = cut, after
        with pytest.raises(NexusError) as raised:
            await world.push(world.new)
        assert raised.value.code in ("NX7025", "NX7029"), raised.value
        if raised.value.code == "NX7029":
            assert raised.value.exit_code == Exit.PARTLY
        world.server.cut_at = None
        if cut % 2:
            (world.home / "emqx.json").unlink()  # as from another machine
        await world.push(world.new)
        assert _plain(world.server.state) == _plain(end), cut
        assert all(logs_in(world.server.state, f"{name}{SUFFIX}", PASSWORD + name) for name in PEOPLE if name != "carl")
        assert strangers_of(world.server.state) == strangers_of(end)
        assert violations == [], cut
        assert (await world.push(world.new))[0].nothing
    world.server.watch = lambda _state: None


def _plain(state: State) -> tuple[object, ...]:
    """A state without salts."""
    return sorted(state.users), state.rules, sorted(state.sessions), state.sources, state.settings


def _rights(state: State) -> set[tuple[str, str, str]]:
    topics = (
        TAG,
        CAPPER,
        "acme/chicago/packaging/#",
        "acme/chicago/#",
        "_nexus/acme/chicago/config/gw-1",
        "_nexus/acme/chicago/gap/gw-2",
        "other",
    )
    names = [
        f"{name}{SUFFIX}"
        for name in (
            "anna",
            "ben",
            "nexus.control",
            "nexus.historian",
            "nexus.cli",
            "nexus.gateway.gw-1",
            "nexus.gateway.gw-2",
        )
    ]
    names += [name for name in state.users if not name.endswith(SUFFIX)] + ["@acme.chicago"]
    return {
        (name, action, topic)
        for name in names
        for action in ("publish", "subscribe")
        for topic in (*topics, "t/0/x", "t/3/x")
        if allowed(state, name, action, topic)
    }


async def test_a_busy_api_is_asked_again_and_a_lost_connection_too(world: World) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    world.server.busy = [(429, "7"), (503, ""), (429, "100000")]
    async with world.emqx(sleep=sleep) as emqx:
        assert await emqx.version() == "5.8.9"
        assert waits[0] == 7.0 and 0.5 <= waits[1] <= 1.0 and waits[2] == 60.0, "never longer than a minute"
        world.server.cut_at, world.server.cut_for = len(world.server.log) + 1, 3
        assert await emqx.version() == "5.8.9"
        world.server.busy = [(503, "1")] * 6
        with pytest.raises(NexusError, match="asked for patience 6 times") as raised:
            await emqx.version()
        assert raised.value.code == "NX7025" and raised.value.retriable


async def test_never_more_requests_than_the_rate_and_its_burst() -> None:
    now, left = [0.0], []

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(20.0, burst=5, clock=lambda: now[0], sleep=sleep)
    for number in range(400):
        await pace.wait()
        left.append(now[0])
        now[0] += 0.4 if number % 50 == 49 else 0.001
    for start, at in enumerate(left):
        for width in (0.1, 1.0, 5.0):
            count = sum(1 for other in left[start:] if other < at + width)
            assert count <= 5 + 20.0 * width + 1e-6, (at, width, count)
    assert left[-1] < 400 / 20 + 1, "and not much slower"


async def test_a_dry_run_and_a_refusal_write_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await world.push(world.old)
    before, memory = copy.deepcopy(world.server.state), (world.home / "emqx.json").read_bytes()
    world.server.log.clear()
    for arguments in (["--dry-run"], ["--dry-run", "--format", "json"], ["--dry-run", "--settings"]):
        result = await _run(world, monkeypatch, tmp_path / "new", *arguments)
        assert (result.return_value, result.exception) == (0, None)
        assert "may no longer subscribe acme/chicago/packaging/#" in result.output
    result = await _run(world, monkeypatch, tmp_path / "new")
    assert isinstance(result.exception, UsageError) and "no terminal" in result.exception.message
    assert world.server.writes == [] and world.server.state == before
    assert (world.home / "emqx.json").read_bytes() == memory


async def _run(world: World, monkeypatch: pytest.MonkeyPatch, site: Path, *arguments: str, secret: str = SECRET) -> Any:
    for name in [name for name in os.environ if name.startswith("NEXUS_") and name != "NEXUS_LOCKS"]:
        monkeypatch.delenv(name)
    file = world.home / "api-secret"
    file.write_text(secret + "\n", encoding="utf-8")
    monkeypatch.setenv("NEXUS_HOME", str(world.home))
    monkeypatch.setenv("NEXUS_EMQX_URL", world.server.url)
    monkeypatch.setenv("NEXUS_EMQX_KEY", KEY)
    monkeypatch.setenv("NEXUS_EMQX_SECRET_FILE", str(file))
    given = [str(site), "--broker", "emqx", "--rate", "10000", *arguments]
    return await asyncio.to_thread(CliRunner().invoke, command, given, standalone_mode=False)


async def test_no_secret_is_shown_logged_or_kept_in_clear(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    first = await _run(world, monkeypatch, tmp_path / "old", "--yes", "--format", "json")
    second = await _run(world, monkeypatch, tmp_path / "new", "--yes")
    world.server.state.authenticators[0]["enable"] = False
    refused = await _run(world, monkeypatch, tmp_path / "new", "--yes")
    wrong = await _run(world, monkeypatch, tmp_path / "new", "--yes", secret="planted-wrong-secret")
    assert (first.return_value, second.return_value) == (0, 0)
    assert isinstance(refused.exception, NexusError) and refused.exception.code == "NX7032"
    assert isinstance(wrong.exception, NexusError) and wrong.exception.code == "NX7026"
    shown = "".join(one.output + one.stderr for one in (first, second, refused, wrong)) + caplog.text
    shown += repr(refused.exception) + wrong.exception.cause + (world.home / "emqx.json").read_text(encoding="utf-8")
    sent = b"".join(world.server.bodies).decode() + str(world.server.log)
    for secret in (PASSWORD, SECRET, "planted-wrong-secret"):
        assert secret not in shown and secret not in sent
    hashes = [each["password_hash"] for name, each in world.server.state.users.items() if name.endswith(SUFFIX)]
    assert all(each not in "".join(one.output for one in (first, second)) for each in hashes)
    assert stat.S_IMODE((world.home / "emqx.json").stat().st_mode) == 0o600
    assert orjson.loads(first.stdout)["done"]["requests"] > 8


async def test_the_canary_is_refused_what_was_removed_and_granted_what_is_kept(world: World) -> None:
    await world.push(world.old)
    mqtt = EmqxMqtt(world.server.state)
    async with mqtt.running():
        _, done = await world.push(world.new, mqtt=mqtt)
        canary = f"nexus.canary{SUFFIX}"
        assert done.tried == {
            f"anna{SUFFIX}": "acme/chicago/packaging/#",
            f"nexus.gateway.gw-1{SUFFIX}": "_nexus/acme/chicago/cmd/packaging/#",
        }
        assert (canary, "acme/chicago/packaging/line-1/filler/#", True) in mqtt.tried
        assert [granted for _, filter_, granted in mqtt.tried if filter_ == "acme/chicago/packaging/#"] == [
            False,
            False,
        ]
        assert canary not in world.server.state.users and canary not in world.server.state.rules
        assert mqtt.refused_logins == []


@pytest.mark.parametrize("action", ["ignore", "disconnect"])
async def test_the_canary_finds_a_source_that_opens_what_was_removed(world: World, action: str) -> None:
    state = world.server.state
    state.settings["deny_action"] = action
    await world.push(world.old)
    mqtt = EmqxMqtt(state)
    async with mqtt.running():
        await world.push(world.new, mqtt=mqtt)
        assert (f"nexus.canary{SUFFIX}", "acme/chicago/packaging/#", False) in mqtt.tried
        await world.push(world.old)
        state.sources.insert(0, {"type": "file", "enable": True})
        push, _ = await world.push(world.old)
        assert [doubt.code for doubt in push.doubts] == ["NX7034"]
        with pytest.raises(NexusError, match="can still subscribe 'acme/chicago/packaging/#'") as raised:
            await world.push(world.new, mqtt=mqtt)
        assert (raised.value.code, raised.value.exit_code) == ("NX7031", Exit.PARTLY)
        assert f"nexus.canary{SUFFIX}" not in state.users
        # The administrator puts the built-in database in front.
        await world.push(world.old)
        push, _ = await world.push(world.new, settings=True, mqtt=mqtt)
        assert push.settings == (Setting.FRONT,) and [one["type"] for one in state.sources] == [
            "built_in_database",
            "file",
        ]


async def test_a_right_that_is_kept_and_does_not_work_is_found(world: World) -> None:
    await world.push(world.old)
    other = copy.deepcopy(world.server.state)
    other.settings["no_match"] = "deny"
    mqtt = EmqxMqtt(other)  # a node that never takes over a rule
    other.users = world.server.state.users
    async with mqtt.running():
        with pytest.raises(NexusError, match="can't subscribe 'acme/chicago/packaging/line-1/filler/#'") as raised:
            await world.push(world.new, mqtt=mqtt)
    assert raised.value.code == "NX7031"


async def test_a_canary_that_finds_no_broker_says_that_the_rules_are_in_force(world: World) -> None:
    await world.push(world.old)
    mqtt = EmqxMqtt(world.server.state)
    async with mqtt.running():
        pass
    with pytest.raises(NexusError, match="The rules are in force, and the canary could not try them"):
        await world.push(world.new, mqtt=mqtt)
    assert not allowed(world.server.state, f"anna{SUFFIX}", "subscribe", CAPPER)
    assert (await world.push(world.new))[0].nothing, "and it left nothing behind"


async def test_a_cluster_without_its_settings_is_refused_and_made_ready_on_request(world: World) -> None:
    state = world.server.state
    state.authenticators, state.sources = [], [{"type": "file", "enable": True}]
    state.settings["no_match"] = "allow"
    with pytest.raises(NexusError) as raised:
        await world.push(world.old)
    assert raised.value.code == "NX7032" and world.server.writes == []
    push, _ = await world.push(world.old, settings=True)
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
    assert (await world.push(world.old))[0].nothing


async def test_an_open_default_closes_our_accounts_and_no_others(world: World) -> None:
    world.server.state.settings["no_match"] = "allow"
    push, _ = await world.push(world.old)
    assert [doubt.code for doubt in push.doubts] == ["NX7034"]
    assert not allowed(world.server.state, f"anna{SUFFIX}", "subscribe", "other")
    assert allowed(world.server.state, "anna@acme.chicago2", "subscribe", "other")
    assert world.server.state.settings["no_match"] == "allow"
    world.server.state.settings["no_match"] = "deny"
    again, done = await world.push(world.old)
    assert {len(each.new) for each in again.difference.changes} == {
        len(each.old) - len(CLOSING) for each in again.difference.changes
    }
    assert done.kicked == {}


async def test_more_rules_than_an_entry_takes(world: World) -> None:
    database = world.server.state.sources[0]
    database["max_rules"] = 10
    with pytest.raises(NexusError, match="rules, and EMQX takes 10 in one entry") as raised:
        await world.push(world.old)
    assert raised.value.code == "NX7030" and world.server.writes == []
    await world.push(world.old, settings=True)
    assert world.server.state.sources[0] == {"type": "built_in_database", "enable": True, "max_rules": 100}


@pytest.mark.parametrize(
    "how", [{"name": "sha256", "salt_position": "prefix"}, {"name": "pbkdf2", "mac_fun": "sha512", "iterations": 500}]
)
async def test_passwords_fit_the_authenticator_that_is_there(world: World, how: dict[str, Any]) -> None:
    world.server.state.authenticators = [authenticator(**how)]
    await world.push(world.old)
    assert logs_in(world.server.state, f"ben{SUFFIX}", f"{PASSWORD}ben")
    world.server.state.authenticators = [authenticator(name="bcrypt", salt_rounds=10)]
    with pytest.raises(NexusError, match="takes no hash of ours"):
        await world.push(world.old)


async def test_another_password_ends_the_sessions_with_the_old_one(world: World) -> None:
    await world.push(world.old)
    world.connect("anna", "ben")
    credentials = orjson.loads((world.home / "credentials.json").read_bytes())
    credentials["broker"]["anna"] = "planted-new"
    (world.home / "credentials.json").write_bytes(orjson.dumps(credentials))
    push, done = await world.push(world.old)
    assert [(each.account, each.user) for each in push.difference.changes] == [(f"anna{SUFFIX}", "password")]
    assert done.kicked == {f"anna{SUFFIX}": ["anna-1"]}
    assert logs_in(world.server.state, f"anna{SUFFIX}", "planted-new")
    assert sum(method == "POST" for method, _ in world.server.writes) == 2


async def test_all_that_is_ours_is_removed(world: World) -> None:
    before = copy.deepcopy(world.server.state)
    await world.push(world.old)
    world.connect("anna", "nexus.control")
    push, done = await world.push(None)
    assert world.server.state == before and len(done.kicked) == 2
    assert {each.gone for each in push.difference.changes} == {True}
    assert orjson.loads((world.home / "emqx.json").read_bytes()) == {world.server.url: {}}


async def test_pages_are_read_to_their_end(world: World) -> None:
    for number in range(60):
        world.server.state.users[f"old-{number}{SUFFIX}"] = {"password_hash": "0", "salt": "", "is_superuser": False}
        world.server.state.rules[f"old-{number}{SUFFIX}"] = []
    world.server.page_limit = 7
    async with world.emqx() as emqx:
        found = await look(emqx, wanted_of(world.old, world.settings()).accounts, {})
    assert len(found.users) == len(found.rules) == 60
    assert sum("page=9" in path for _, path in world.server.log) == 2


async def test_an_unknown_version_and_another_server_are_refused(world: World) -> None:
    async with world.emqx() as emqx:
        for version in ("4.4.19", "5.7.2", "7.0.0", ""):
            world.server.version = version
            with pytest.raises(NexusError, match="a version whose API is not known here") as raised:
                await emqx.version()
            assert raised.value.code == "NX7027"
        for version in ("5.8.0", "5.10.4", "6.3.2", "e5.9.1"):
            world.server.version = version
            assert await emqx.version() == version
        with pytest.raises(NexusError, match="refuses a request: The maximum number of rules is 100") as raised:
            await emqx.put_rules(f"a{SUFFIX}", [{"topic": "x", "permission": "deny", "action": "all"}] * 101)
        assert raised.value.code == "NX7028"


async def test_the_file_source_is_read_and_replaced_whole_or_not_at_all(world: World) -> None:
    async with world.emqx() as emqx:
        assert await emqx.file_rules() == ""
        world.server.state.sources.append({"type": "file", "enable": True})
        assert await emqx.file_rules() == "{allow, all}.\n"
        with pytest.raises(NexusError, match="bad_acl_file_content"):
            await emqx.put_file_rules("{allow, all}")
        assert await emqx.file_rules() == "{allow, all}.\n"
        await emqx.put_file_rules("{deny, all}.")
        assert world.server.state.file == "{deny, all}."


async def test_a_session_that_does_not_end_is_said(world: World) -> None:
    await world.push(world.old)
    world.connect("anna")
    world.server.lingering = 10_000
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    async with world.emqx() as emqx:
        push, memory = await world.plan(world.new, emqx)
        with pytest.raises(NexusError, match=r"still lists a session of 'anna@acme\.chicago' 30 s after") as raised:
            await PushRun(emqx, push, memory, clock=lambda: now[0], sleep=sleep).carry_out()
    assert raised.value.code == "NX7031"
    world.server.lingering = 0
    world.server.lingers.clear()
    push, _ = await world.push(world.new)
    assert [each.account for each in push.difference.changes if each.resumed] != [], "its mark is still there"


async def test_the_sample_of_the_page_is_what_a_push_shows(world: World) -> None:
    await world.push(world.old)
    async with world.emqx() as emqx:
        push, _ = await world.plan(world.new, emqx)
    text = plan_text(document(push, None), style=lambda words, _name: words).replace(
        world.server.url, "https://emqx.example:18084"
    )
    page = DOCS.read_text(encoding="utf-8")
    begin, end = "<!-- sample: a push -->\n```text\n", "\n```"
    start = page.index(begin) + len(begin)
    stop = page.index(end, start)
    if os.environ.get("NEXUS_SNAPSHOT"):
        DOCS.write_text(page[:start] + text + page[stop:], encoding="utf-8")
    else:
        assert page[start:stop] == text


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
