"""Commands through web: whose they are, what refuses them, and that nothing is sent twice."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import to_json
from nexus_cli.project.write import prepare
from nexus_cli.runtime.web.steering import commands
from nexus_cli.settings import Settings
from nexus_cli.wire import http as door
from nexus_cli.wire.command import Response, State
from nexus_cli.wire.message import Message
from tests.commanding import Asker, drive
from tests.integration.steering_world import SETPOINT, steering_world
from tests.integration.web_world import web_world
from tests.waiting import until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]


async def test_a_command_is_done_under_the_callers_name(database: Settings, tmp_path: Path) -> None:
    async with steering_world(database, tmp_path) as world:
        status, found = await world.command("otto", 20.5, expect=20.0, reason="shift change")
        assert status == 200, found
        assert (found["state"], found["value"], found["old"], found["read_back"]) == ("done", 20.5, 20.0, 20.5)
        await until(lambda: found["id"] in world.bench.asker.reports)
        report = world.bench.asker.reports[found["id"]]
        assert (report.principal, report.asked_by, report.reason) == ("nexus.web", "otto", "shift change")
        assert report.response.path == SETPOINT
        status, found = await world.command("mes", "21.5", expect="20.5")
        assert (status, found["state"], found["value"]) == (200, "done", 21.5), "a text is read as a person types it"
        status, found = await world.command("otto", 30, expect=99)
        assert (status, found["state"], found["code"], found["old"]) == (200, "refused", "NX6813", 21.5)
        assert [int.from_bytes(data[:2], "big") for _, _, data in world.field.writes] == [205, 215]
        for user, status in (("vera", 403), ("nina", 404), ("erik", 403), ("past", 404), ("ada", 403)):
            refused = await world.command(user, 21.0)
            assert (refused[0], refused[1]["code"]) == (status, {403: "NX6403", 404: "NX6802"}[status]), (user, refused)
        assert len(world.field.writes) == 2


async def test_who_may_write_and_not_read_learns_nothing_of_what_the_tag_holds(
    database: Settings, tmp_path: Path
) -> None:
    blind = {"role.blind": {"write": ["a/l/drive/setpoint"]}, "user.blind": {"roles": ["blind"]}}
    async with steering_world(database, tmp_path, more=blind) as world:
        status, found = await world.command("blind", 21.5, expect=33)
        assert (status, found["state"], found["code"]) == (200, "refused", "NX6813")
        assert found["detail"] == "the tag does not hold what was expected"
        assert "20" not in f"{found['old']} {found['read_back']} {found['detail']} {found['value']}"
        status, found = await world.command("otto", 21.5, expect=33)
        assert found["detail"] == "the tag holds 20.0, not 33 as expected" and found["old"] == 20.0
        held = Response(
            id="x", state=State.FAILED, path=SETPOINT, code="NX6815", old=20.0, read_back=19.0, detail="holds 19.0"
        )
        assert commands._without_held(held).detail == "the device took the write, and then held another value"


async def test_the_same_wish_under_the_same_id_is_carried_out_once(database: Settings, tmp_path: Path) -> None:
    async with steering_world(database, tmp_path) as world:
        first = await world.command("otto", 20.5, id="order-17")
        again = await world.command("otto", 20.5, id="order-17")
        assert (first[0], first[1]["state"]) == (200, "done") and again == first
        other = await world.command("otto", 21.5, id="order-17")
        assert (other[1]["state"], other[1]["code"]) == ("refused", "NX6817"), "another wish under the same id"
        assert len(world.field.writes) == 1
        mes = await world.command("mes", 21.5, id="order-17")
        assert mes[1]["state"] == "done", "ids are each caller's own"
        assert [int.from_bytes(data[:2], "big") for _, _, data in world.field.writes] == [205, 215]


@pytest.mark.parametrize(
    ("path", "value", "status", "code"),
    [
        ("a/l/drive/setpoint", 90.1, 422, "NX6806"),
        ("a/l/drive/setpoint", "42 degC", 422, "NX6805"),
        ("a/l/drive/setpoint", 20.53, 422, "NX6807"),
        ("a/l/drive/setpoint", True, 422, "NX6805"),
        ("a/l/drive/setpoint", None, 422, "NX6805"),
        ("a/l/drive/mode", "onn", 422, "NX6806"),
        ("a/l/drive/fixed", 1, 409, "NX6803"),
        ("a/l/drive/off", 1, 409, "NX6804"),
        ("a/l/drive/setpiont", 20.0, 404, "NX6802"),
        ("a/l/drvie/setpoint", 20.0, 404, "NX6802"),
        ("a/l/drive", 20.0, 404, "NX6802"),
        ("a.l.drive.setpoint", 20.0, 404, "NX6802"),
        ("a/l/drive/*", 20.0, 404, "NX6802"),
    ],
)
async def test_it_refuses_as_nexus_write_does(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, value: Any, status: int, code: str
) -> None:
    plant = {"device.a/l/drive": drive_resource()}
    async with web_world(database, tmp_path, **plant) as web:
        token = await web.people.token("otto")
        found = await web.ask("POST", "/commands", token=token, json={"path": path, "value": value})
        said = found.json()
        assert (found.status_code, said["code"]) == (status, code), said
        dry = await web.ask("POST", "/commands", token=token, json={"path": path, "value": value, "dry_run": True})
        assert dry.status_code == (status if status == 404 else 200)
        if status != 404:
            assert dry.json()["refusal"]["message"] == said["message"]
        if isinstance(value, str | float | int) and not isinstance(value, bool):
            with pytest.raises(NexusError) as refused:
                await _as_the_command_line(web.people.http, web.people.settings, monkeypatch, path, str(value))
            assert (refused.value.code, refused.value.message, refused.value.hint) == (
                code,
                said["message"],
                said["hint"],
            )


async def _as_the_command_line(
    http: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch, path: str, text: str
) -> None:
    """`nexus write`, up to its check, against the same control."""

    def client(*_: Any, **__: Any) -> Any:
        return _NotClosed(http)

    monkeypatch.setattr(door.httpx, "AsyncClient", client)
    own = dataclasses.replace(settings, control_url="http://control", control_token="cli-token", principal="nexus.cli")
    await prepare(path, text, settings=own)


class _NotClosed:
    """The test's client, which outlives the command."""

    def __init__(self, inner: Any) -> None:
        self.request = inner.request

    async def aclose(self) -> None:
        """Stays open."""


def drive_resource() -> dict[str, Any]:
    return to_json(drive())


async def test_a_dry_run_sends_nothing(database: Settings, tmp_path: Path) -> None:
    async with steering_world(database, tmp_path) as world:
        topic = f"acme/chicago/{SETPOINT}"
        cache = world.web.web.parts.cache
        await until(lambda: cache.read(cache.slot(topic)).value == 20.0, "the live value")
        status, found = await world.command("otto", "42.5", dry_run=True)
        assert (status, found) == (
            200,
            {"path": SETPOINT, "old": 20.0, "will_be": 42.5, "unit": "degC", "refusal": None},
        )
        status, found = await world.command("otto", 99, dry_run=True)
        assert (status, found["will_be"], found["refusal"]["code"], found["old"]) == (200, None, "NX6806", 20.0)
        status, found = await world.command("vera", 42.5, dry_run=True)
        assert (status, found["code"]) == (403, "NX6403")
        assert world.field.writes == []


async def test_nobody_else_speaks_for_others(database: Settings, tmp_path: Path) -> None:
    more = {"user.desk": {"roles": ["operator"]}}
    async with steering_world(database, tmp_path, more=more) as world:
        desk, stop = Asker(world.broker.settings(principal="desk"), principal="desk"), asyncio.Event()
        desk.reports_too = False
        async with asyncio.TaskGroup() as group:
            group.create_task(desk.run(stop))
            await until(lambda: desk.client.connected)
            forged = await desk.ask(SETPOINT, 33.0, asked_by="ada", id="forged")
            assert (forged["state"], forged["code"]) == ("refused", "NX6930")
            await until(lambda: "forged" in world.bench.asker.reports)
            report = world.bench.asker.reports["forged"]
            assert (report.principal, report.asked_by) == ("desk", ""), "nobody is named who did not ask"
            honest = await desk.ask(SETPOINT, 34.0, id="honest")
            assert honest["state"] == "done"
            again = await desk.send(SETPOINT, 34.0, id="honest", asked_by="ada")
            other = await desk.answer(again, count=2)
            assert (other["state"], other["code"]) == ("refused", "NX6817")
            stop.set()
        # Web itself always says for whom.
        client = world.web.web.parts.client
        body = {"id": "nobodys", "value": 35.0, "expires_at": 1}
        await client.publish(f"_nexus/acme/chicago/cmd/{SETPOINT}/nexus.web", json.dumps(body).encode(), qos=2)
        await until(lambda: "nobodys" in world.bench.asker.reports)
        assert world.bench.asker.reports["nobodys"].response.code == "NX6930"
        assert [int.from_bytes(data[:2], "big") for _, _, data in world.field.writes] == [340]


async def test_a_right_that_was_taken_away_meanwhile_is_none(database: Settings, tmp_path: Path) -> None:
    async with steering_world(database, tmp_path) as world:
        web = world.web
        token = await web.people.token("otto")
        body = {"path": SETPOINT, "value": 22.0}
        assert (await web.ask("POST", "/commands", token=token, json=body)).json()["state"] == "done"
        # Nothing waits in between: what web remembers of caller and site is not asked.
        await web.people.record({"role.operator": {"read": ["**"], "write": []}})
        await web.people.pool.execute(
            "INSERT INTO nexus.journal (deployment_id, step, state) SELECT max(id), 'record', 'done' FROM nexus.deployment"
        )
        refused = await web.ask("POST", "/commands", token=token, json=body | {"value": 23.0})
        assert (refused.status_code, refused.json()["code"]) == (403, "NX6403")
        await web.people.pool.execute("UPDATE nexus.api_token SET revoked = now() WHERE principal = 'otto'")
        gone = await web.ask("POST", "/commands", token=token, json=body | {"value": 23.0})
        assert (gone.status_code, gone.json()["code"]) == (401, "NX6413")
        assert len(world.field.writes) == 1


async def test_a_token_without_the_scope_sends_nothing(database: Settings, tmp_path: Path) -> None:
    async with steering_world(database, tmp_path) as world:
        token = await world.web.people.token("otto", scopes=["values:read"])
        found = await world.web.ask("POST", "/commands", token=token, json={"path": SETPOINT, "value": 22.0})
        assert (found.status_code, found.json()["code"]) == (403, "NX6421")
        caller = await world.web.web.parts.callers.caller(f"Bearer {token}")
        with pytest.raises(NexusError) as refused:
            await commands.send_command(world.web.web.parts, caller, path=SETPOINT, value=22.0)
        assert refused.value.code == "NX6421"
        assert world.field.writes == []


async def test_a_caller_has_a_bound_and_takes_nobody_elses_place(database: Settings, tmp_path: Path) -> None:
    async with steering_world(database, tmp_path) as world:
        sender = world.web.web.parts.sender
        loop = asyncio.get_running_loop()
        mine = {f"x{at}": ("gw-1", "otto", loop.create_future()) for at in range(commands.MOST_WAITING)}
        sender._waiting |= mine
        status, found = await world.command("otto", 25.0)
        assert (status, found["code"]) == (429, "NX6931")
        status, found = await world.command("mes", 25.0)
        assert (status, found["state"]) == (200, "done")
        sender._waiting.pop("x0")
        status, found = await world.command("otto", 26.0)
        assert (status, found["state"]) == (200, "done")
        assert sender.waiting == commands.MOST_WAITING - 1, "what has ended waits no more"


async def test_without_a_gateway_it_is_refused_or_unknown_and_never_sent_again(
    database: Settings, tmp_path: Path
) -> None:
    async with steering_world(database, tmp_path) as world:
        parts = world.web.web.parts
        caller = await parts.callers.caller(f"Bearer {await world.web.people.token('otto')}")
        health = parts.topics.health("gateway", "gw-1")
        await until(lambda: bool(parts.cache.payload(parts.cache.slot(health))), "the gateway's health")
        world.bench.gateway.commands._client.hold(True)  # hears nothing
        found = await commands.send_command(parts, caller, path=SETPOINT, value=22.0, timeout_s=0.1)
        assert (found.state, found.code) == (State.UNKNOWN, "NX6819")
        world.bench.gateway.commands._client.hold(False)
        lost = json.dumps({"state": "lost"}).encode()
        parts.cache.take(Message(health, lost, 0, False))
        found = await commands.send_command(parts, caller, path=SETPOINT, value=23.0)
        assert (found.state, found.code, found.detail) == (State.REFUSED, "NX6812", "gateway gw-1 is lost")


async def test_without_the_database_nothing_is_sent(database: Settings, tmp_path: Path) -> None:
    async with steering_world(database, tmp_path) as world:
        parts = world.web.web.parts
        token = await world.web.people.token("otto")
        assert (await world.web.ask("GET", f"/values/{SETPOINT}", token=token)).status_code == 200

        class _Away:
            async def caller(self, _: str | None) -> Any:
                raise NexusError("The database does not answer.", code="NX6200", retriable=True)

        parts.callers._gate = _Away()  # type: ignore[assignment]
        found = await world.web.ask("POST", "/commands", token=token, json={"path": SETPOINT, "value": 22.0})
        assert (found.status_code, found.json()["code"]) == (503, "NX6932")
        assert (await world.web.ask("GET", f"/values/{SETPOINT}", token=token)).status_code == 200, "reads go on"
        assert world.field.writes == []
