"""The audit trail through control's API and `nexus audit`: real control, real PostgreSQL, rows as the historian writes them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time

import httpx
import orjson
import pytest
from msgspec import UNSET

from nexus_cli.database import sequences as runs
from nexus_cli.database.commands import add_command
from nexus_cli.database.connect import connection
from nexus_cli.database.deployments import write_audit
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project import audit as verb
from nexus_cli.settings import Settings
from nexus_cli.wire.control import as_object, encode
from nexus_cli.wire.control_sequences import RunEnd
from tests.integration.control_world import World, world
from tests.integration.test_control_cli import Shell, running, shell

__all__ = ["shell", "world"]
pytestmark = [pytest.mark.needs_broker, pytest.mark.needs_database]
SITE = "acme/chicago"
TAG = "packaging/line-1/filler/setpoint"
NOW_US = int(time.time() * 1e6)


async def record(settings: Settings) -> None:
    """Two commands of people, one of long ago, one of another site, a run of a sequence, a deployment, a broken lock."""
    facts = {"gateway": "gw-1", "old": 40.0, "written": 42.5, "read_back": 42.5, "unit": "degC", "reason": "shift"}
    refusal = {"gateway": "gw-1", "code": "NX6806", "detail": "95 is out of range", "token": "never-shown"}
    async with connection(settings) as conn, conn.transaction():
        for name, path, who, value, state, detail, ago_s in (
            ("old", TAG, "desk", 1.0, "done", facts, 90_000),
            ("one", TAG, "desk", 42.5, "done", facts, 50),
            ("two", "utilities/air/dryer/mode", "guest", 95, "refused", refusal, 40),
        ):
            await add_command(
                conn,
                SITE,
                command_id=name,
                path=path,
                principal=who,
                value=value,
                state=state,
                detail=detail,
                at_us=NOW_US - ago_s * 1_000_000,
            )
        await add_command(
            conn,
            "acme/other",
            command_id="x",
            path=TAG,
            principal="desk",
            value=1,
            state="done",
            detail={},
            at_us=NOW_US,
        )
        definition = {"steps": [], "arguments": {"amount": 35.5}}
        await runs.begin_run(conn, SITE, run="r1", name="fill", who="nexus.cli", reason="", definition=definition)
        await runs.end_run(conn, SITE, "r1", state="done", detail=RunEnd())
        await write_audit(
            conn,
            SITE,
            who="nexus.cli",
            what="apply",
            subject="deployment 3",
            detail={"outcome": "applied", "counts": {"applied": 2}},
        )
        await write_audit(conn, SITE, who="nexus.cli", what="break-lock", detail={"owner": "ci", "reason": "stuck"})


async def test_filters_order_and_page(world: World) -> None:
    await record(world.settings)
    since_us = NOW_US - 3_600_000_000

    async with world.control() as control:

        async def subjects(**question: object) -> list[str]:
            found = await control.audit(**{"since_us": since_us, **question})  # type: ignore[arg-type]
            assert [one.at for one in found.entries] == sorted(one.at for one in found.entries)
            return [one.id or one.run or one.what for one in found.entries]

        assert await subjects() == ["one", "two", "r1", "apply", "break-lock"]
        assert await subjects(since_us=0) == ["old", "one", "two", "r1", "apply", "break-lock"]
        assert await subjects(kind="command") == ["one", "two"]
        assert await subjects(kind="deployment") == ["apply", "break-lock"]
        assert await subjects(kind="sequence") == ["r1"] == await subjects(path="fill")
        assert await subjects(who="guest") == ["two"] and await subjects(who="nobody") == []
        for path in (TAG, "packaging", "packaging/**", "**/setpoint", "*/line-1/*/set*", "packaging/line-1/filler"):
            assert await subjects(path=path) == ["one"], path
        for path in ("packaging/*/setpoint", "packag", "pack.*", "(", "[a", "ü", "\\", "packaging/line-2/**"):
            assert await subjects(path=path) == [], path
        page = await control.audit(since_us=since_us, limit=2)
        assert page.truncated and [one.what for one in page.entries] == ["apply", "break-lock"]
        (command,) = (await control.audit(path=TAG, since_us=since_us)).entries
        assert as_object(command) == {
            "at": NOW_US - 50_000_000,
            "kind": "command",
            "what": "command",
            "who": "desk",
            "subject": TAG,
            "id": "one",
            "state": "done",
            "value": 42.5,
            "written": 42.5,
            "old": 40.0,
            "read_back": 42.5,
            "unit": "degC",
            "gateway": "gw-1",
            "reason": "shift",
        }
        assert b"never-shown" not in encode(await control.audit()), "only what is known to be for eyes"
        (run,) = (await control.audit(kind="sequence")).entries
        assert (run.state, run.set) == ("done", {"amount": 35.5})


async def test_who_may_read_it(world: World) -> None:
    async with world.control(), httpx.AsyncClient(base_url=world.settings.control_url) as http:
        path = "/v1/sites/acme/chicago/audit"
        assert (await http.get(path)).json()["code"] == "NX6401"
        assert (await http.get(path, headers={"authorization": "Bearer cli-token"})).json() == {
            "entries": [],
            "truncated": False,
        }
        for query in ("limit=0", "limit=1001", "since=-1", "kind=secrets", f"path={'x' * 201}", "who=%00"):
            answer = await http.get(f"{path}?{query}", headers={"authorization": "Bearer cli-token"})
            assert (answer.status_code, answer.json()["code"]) == (422, "NX6405"), query
        async with world.client("nexus.gateway.gw-1") as gateway:
            with pytest.raises(NexusError) as refused:
                await gateway.audit()
            assert refused.value.code == "NX6403"


async def test_on_the_command_line(world: World, shell: Shell) -> None:
    await record(world.settings)
    with running(world):
        done = shell("audit", "--since", "12h", TZ="Europe/Berlin", NEXUS_COLOR="never")
        assert done.returncode == 0, done.stderr
        local = dt.datetime.fromtimestamp((NOW_US - 50_000_000) // 1_000_000, dt.UTC).strftime(":%M:%S+0")
        first, second = done.stdout.splitlines()[:2]
        assert local in first, "local time, with its offset"
        assert "done" in first and f"desk  {TAG}  40 → 42.5 degC, read back 42.5" in first
        assert second.strip() == "reason: shift; id one"
        assert "[NX6806] 95 is out of range" in done.stdout
        assert "sequence fill  amount=35.5" in done.stdout
        assert "deployment 3, 2 applied" in done.stdout
        assert done.stdout.splitlines()[-2].endswith("broke the lock of ci")
        found = orjson.loads(shell("audit", "acme/chicago/" + TAG, "--format", "json").stdout)
        assert [one["id"] for one in found["entries"]] == ["one"] and found["truncated"] is False
        assert shell("audit", "nowhere/**").stdout == "nothing on record since 24h\n"
        assert shell("audit", "--since", "the other day").returncode == 1
        refused = shell("audit", NEXUS_CONTROL_TOKEN="wrong")
        assert refused.returncode == 6 and "NX6401" in refused.stderr


async def test_a_command_for_another_is_found_under_both_names(world: World) -> None:
    async with connection(world.settings) as conn, conn.transaction():
        for name, principal, asked_by in (("w1", "nexus.web", "anna"), ("w2", "desk", "")):
            assert await add_command(
                conn,
                SITE,
                command_id=name,
                path=TAG,
                principal=principal,
                asked_by=asked_by,
                value=42.5,
                state="done",
                detail={"gateway": "gw-1"},
                at_us=NOW_US,
            )
        stored = await conn.fetch("SELECT principal, asked_by FROM nexus.command ORDER BY id")
    assert [tuple(row) for row in stored] == [("nexus.web", "anna"), ("desk", "")]
    async with world.control() as control:
        for who, found in (("anna", ["w1"]), ("nexus.web", ["w1"]), ("desk", ["w2"]), ("", ["w1", "w2"])):
            entries = (await control.audit(who=who, kind="command")).entries
            assert sorted(str(one.id) for one in entries) == found, who
        (line,) = (await control.audit(who="anna")).entries
        assert (line.who, line.via) == ("anna", "nexus.web")


async def test_more_than_a_page_comes_whole_once_and_in_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "PAGE", 3)
    async with connection(world.settings) as conn, conn.transaction():  # one time: the number alone orders them
        for number in range(8):
            await write_audit(conn, SITE, who="nexus.cli", what="apply", subject=f"deployment {number}")
    everything = [f"deployment {number}" for number in range(8)]
    async with world.control() as control:
        for limit, newest, truncated in ((50, 8, False), (8, 8, False), (7, 7, True), (6, 6, True), (3, 3, True)):
            found = await verb.audit(
                limit=limit, settings=dataclasses.replace(world.settings, control_token="cli-token")
            )
            assert [one.subject for one in found.entries] == everything[-newest:], limit
            assert found.truncated is truncated, limit
        first = await control.audit(limit=3)
        async with connection(world.settings) as conn:  # what is written meanwhile is on no older page
            await write_audit(conn, SITE, who="nexus.cli", what="apply", subject="deployment 8")
        second = await control.audit(limit=3, before=first.older or "")
        last = await control.audit(limit=3, before=second.older or "")
        assert [one.subject for page in (last, second, first) for one in page.entries] == everything
        assert last.older is UNSET and "older" not in as_object(last)
        with pytest.raises(NexusError) as refused:
            await control.audit(before="yesterday")
        assert refused.value.code == "NX6405"


async def test_what_changes_history_and_rollouts_is_found_by_kind(world: World) -> None:
    whats = {"rollout": "rollout-stop", "history": "keep-end", "drift": "revert-drift"}
    async with connection(world.settings) as conn:
        for what in whats.values():
            await write_audit(conn, SITE, who="nexus.cli", what=what)
    async with world.control() as control:
        for kind, what in whats.items():
            assert [(one.kind, one.what) for one in (await control.audit(kind=kind)).entries] == [(kind, what)]
