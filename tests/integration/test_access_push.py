"""A push of a site's rights to EMQX's API on a loopback port: cut anywhere, with other tenants beside it, paced."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import stat
from pathlib import Path
from typing import Any

import orjson
import pytest
from click import UsageError
from click.testing import CliRunner

from nexus_cli.cli.commands.access_push import command
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.exit_codes import Exit
from nexus_cli.wire.emqx_request import Pace
from tests.emqx_mqtt import allowed, logs_in
from tests.emqx_server import KEY, SECRET, State, authenticator
from tests.emqx_site import (
    PASSWORD,
    PEOPLE,
    SUFFIX,
    strangers_of,
)
from tests.emqx_world import EmqxWorld

DOCS = Path(__file__).parents[2] / "docs/emqx.md"
TAG = "acme/chicago/packaging/line-1/filler/level"
CAPPER = "acme/chicago/packaging/line-1/capper/torque"


async def test_a_first_push_makes_users_that_can_log_in_and_do_what_they_may(emqx: EmqxWorld) -> None:
    others = strangers_of(emqx.server.state)
    push, done = await emqx.push(emqx.old)
    state = emqx.server.state
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
        "nexus.worker",
    ]
    assert all(logs_in(state, f"{name}{SUFFIX}", PASSWORD + name) for name in ours)
    assert not logs_in(state, f"anna{SUFFIX}", "other")
    assert allowed(state, f"anna{SUFFIX}", "subscribe", TAG) and not allowed(state, f"anna{SUFFIX}", "publish", TAG)
    assert allowed(state, f"nexus.gateway.gw-1{SUFFIX}", "publish", CAPPER)
    assert not allowed(state, f"nexus.gateway.gw-2{SUFFIX}", "publish", CAPPER)
    assert strangers_of(state) == others
    again, _ = await emqx.push(emqx.old)
    assert again.nothing and again.difference.same == 10


async def test_the_affected_sessions_are_ended_and_no_others(emqx: EmqxWorld) -> None:
    await emqx.push(emqx.old)
    emqx.connect("anna", "ben", "carl", "nexus.gateway.gw-1", "nexus.gateway.gw-2", "nexus.control")
    emqx.server.lingering = 3
    others, cleared = strangers_of(emqx.server.state), emqx.server.cleared
    push, done = await emqx.push(emqx.new)
    # anna and gw-1 lose a right, carl is gone; ben keeps his, gw-2 and dora only gain.
    assert done.kicked == {f"{name}{SUFFIX}": [f"{name}-1"] for name in ("anna", "carl", "nexus.gateway.gw-1")}
    assert sorted(name for name in emqx.server.state.sessions if not name.startswith("other")) == [
        "ben-1",
        "nexus.control-1",
        "nexus.gateway.gw-2-1",
    ]
    assert done.gone_s is not None and done.gone_s >= 0
    assert emqx.server.cleared > cleared
    assert strangers_of(emqx.server.state) == others
    state = emqx.server.state
    assert not allowed(state, f"anna{SUFFIX}", "subscribe", CAPPER) and allowed(
        state, f"anna{SUFFIX}", "subscribe", TAG
    )
    assert allowed(state, f"nexus.gateway.gw-2{SUFFIX}", "publish", CAPPER)
    assert f"carl{SUFFIX}" not in state.users and f"carl{SUFFIX}" not in state.rules
    changed = {push.accounts.principal(each.account) for each in push.difference.changes}
    assert changed == {"anna", "carl", "dora", "nexus.gateway.gw-1", "nexus.gateway.gw-2"}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_cut_at_every_request_and_resumed(emqx: EmqxWorld, after: bool, tmp_path: Path) -> None:
    """At no moment does a principal lack a right that old and new give; the end is the same, from this machine or another."""
    emqx.server.state.authenticators = [authenticator(name="sha256", salt_position="suffix")]  # costs little
    await emqx.push(emqx.old)
    emqx.connect("anna", "ben", "carl", "nexus.gateway.gw-1", "nexus.gateway.gw-2")
    begun, memory = copy.deepcopy(emqx.server.state), (emqx.home / "emqx.json").read_bytes()
    emqx.server.log.clear()
    await emqx.push(emqx.new)
    end, count = copy.deepcopy(emqx.server.state), len(emqx.server.log)
    kept = _rights(begun) & _rights(end)
    assert len(kept) > 30 and count > 20
    violations: list[object] = []

    def look_at(state: State) -> None:
        violations.extend(kept - _rights(state))
        violations.extend(_rights(state) - (_rights(begun) | _rights(end)))
        # The capper moves from one gateway to the other: at no moment may neither of them publish it.
        gateways = [f"nexus.gateway.{name}{SUFFIX}" for name in ("gw-1", "gw-2")]
        violations.extend([CAPPER] * (not any(allowed(state, name, "publish", CAPPER) for name in gateways)))

    for cut in range(1, count + 1):
        emqx.server.state = copy.deepcopy(begun)
        emqx.server.watch = look_at
        (emqx.home / "emqx.json").write_bytes(memory)
        emqx.server.log.clear()
        emqx.server.cut_at, emqx.server.cut_after = cut, after
        with pytest.raises(NexusError) as raised:
            await emqx.push(emqx.new)
        assert raised.value.code in ("NX7025", "NX7029"), raised.value
        if raised.value.code == "NX7029":
            assert raised.value.exit_code == Exit.PARTLY
        emqx.server.cut_at = None
        if cut % 2:
            (emqx.home / "emqx.json").unlink()  # as from another machine
        await emqx.push(emqx.new)
        assert _plain(emqx.server.state) == _plain(end), cut
        assert all(logs_in(emqx.server.state, f"{name}{SUFFIX}", PASSWORD + name) for name in PEOPLE if name != "carl")
        assert strangers_of(emqx.server.state) == strangers_of(end)
        assert violations == [], cut
        if cut % 5 == 0:
            assert (await emqx.push(emqx.new))[0].nothing
    emqx.server.watch = lambda _state: None


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
    names += ["anna@acme.chicago2", "@acme.chicago", "anna"]
    return {
        (name, action, topic)
        for name in names
        for action in ("publish", "subscribe")
        for topic in (*topics, "t/0/x", "t/3/x")
        if allowed(state, name, action, topic)
    }


async def test_a_busy_api_is_asked_again_and_a_lost_connection_too(emqx: EmqxWorld) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    emqx.server.busy = [(429, "7"), (503, ""), (429, "100000")]
    async with emqx.api(sleep=sleep) as api:
        assert await api.version() == "5.8.9"
        assert waits[0] == 7.0 and 0.5 <= waits[1] <= 1.0 and waits[2] == 60.0, "never longer than a minute"
        emqx.server.cut_at, emqx.server.cut_for = len(emqx.server.log) + 1, 3
        assert await api.version() == "5.8.9"
        emqx.server.busy = [(503, "1")] * 6
        with pytest.raises(NexusError, match="asked for patience 6 times") as raised:
            await api.version()
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
    emqx: EmqxWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await emqx.push(emqx.old)
    before, memory = copy.deepcopy(emqx.server.state), (emqx.home / "emqx.json").read_bytes()
    emqx.server.log.clear()
    for arguments in (["--dry-run"], ["--dry-run", "--format", "json"], ["--dry-run", "--settings"]):
        result = await _run(emqx, monkeypatch, tmp_path / "new", *arguments)
        assert (result.return_value, result.exception) == (0, None)
        assert "may no longer subscribe acme/chicago/packaging/#" in result.output
    result = await _run(emqx, monkeypatch, tmp_path / "new")
    assert isinstance(result.exception, UsageError) and "no terminal" in result.exception.message
    assert emqx.server.writes == [] and emqx.server.state == before
    assert (emqx.home / "emqx.json").read_bytes() == memory


async def _run(
    emqx: EmqxWorld, monkeypatch: pytest.MonkeyPatch, site: Path, *arguments: str, secret: str = SECRET
) -> Any:
    for name in [name for name in os.environ if name.startswith("NEXUS_") and name != "NEXUS_LOCKS"]:
        monkeypatch.delenv(name)
    file = emqx.home / "api-secret"
    file.write_text(secret + "\n", encoding="utf-8")
    monkeypatch.setenv("NEXUS_HOME", str(emqx.home))
    monkeypatch.setenv("NEXUS_EMQX_URL", emqx.server.url)
    monkeypatch.setenv("NEXUS_EMQX_KEY", KEY)
    monkeypatch.setenv("NEXUS_EMQX_SECRET_FILE", str(file))
    given = [str(site), "--broker", "emqx", "--rate", "10000", *arguments]
    return await asyncio.to_thread(CliRunner().invoke, command, given, standalone_mode=False)


async def test_no_secret_is_shown_logged_or_kept_in_clear(
    emqx: EmqxWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    first = await _run(emqx, monkeypatch, tmp_path / "old", "--yes", "--format", "json")
    second = await _run(emqx, monkeypatch, tmp_path / "new", "--yes")
    emqx.server.state.authenticators[0]["enable"] = False
    refused = await _run(emqx, monkeypatch, tmp_path / "new", "--yes")
    wrong = await _run(emqx, monkeypatch, tmp_path / "new", "--yes", secret="planted-wrong-secret")
    assert (first.return_value, second.return_value) == (0, 0)
    assert isinstance(refused.exception, NexusError) and refused.exception.code == "NX7032"
    assert isinstance(wrong.exception, NexusError) and wrong.exception.code == "NX7026"
    shown = "".join(one.output + one.stderr for one in (first, second, refused, wrong)) + caplog.text
    shown += repr(refused.exception) + wrong.exception.cause + (emqx.home / "emqx.json").read_text(encoding="utf-8")
    sent = b"".join(emqx.server.bodies).decode() + str(emqx.server.log)
    for secret in (PASSWORD, SECRET, "planted-wrong-secret"):
        assert secret not in shown and secret not in sent
    hashes = [each["password_hash"] for name, each in emqx.server.state.users.items() if name.endswith(SUFFIX)]
    assert all(each not in "".join(one.output for one in (first, second)) for each in hashes)
    assert stat.S_IMODE((emqx.home / "emqx.json").stat().st_mode) == 0o600
    assert orjson.loads(first.stdout)["done"]["requests"] > 8
