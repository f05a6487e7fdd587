"""Control's API: closed by default, bounded, plain errors, gateways see their own configuration alone."""

from __future__ import annotations

import dataclasses

import httpx
import msgspec
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.runtime.api.decisions import NAMES_BODY
from nexus_cli.wire.control import DeploymentRequest, State, encode
from nexus_cli.wire.http import ControlClient
from tests.integration.control_world import FakeGateway, World, applied, body_of, device, plan_against, snapshot, world

__all__ = ["world"]
PREFIX = "/v1/sites/acme/chicago"


async def test_empty_state_is_deployment_0(world: World) -> None:
    async with world.control() as control:
        empty = Snapshot.of("acme", "chicago", {}).digest
        assert await control.state() == State(deployment=0, digest=empty, digests={}, running=[])
        assert await control.resources(["device.a/b/c"]) == {}
        assert await control.lock() is None
        assert await control.deployments() == []


async def test_unknown_token_and_no_token_are_refused_everywhere_but_health(world: World) -> None:
    async with world.control(), httpx.AsyncClient(base_url=world.settings.control_url) as http:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic cli-token"}):
            for method, path in (
                ("GET", "/state"),
                ("GET", "/gateways/gw-1/index"),
                ("DELETE", "/lock"),
                ("GET", "/alerts"),
            ):
                answer = await http.request(method, PREFIX + path, headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (401, "NX6401"), (method, path, headers)
        assert (await http.get("/health/live")).status_code == 200
        assert (await http.get("/health/ready")).json()["ready"] is True
        assert b"nexus_control_deployment_running" in (await http.get("/metrics")).content
        assert (await http.get("/openapi.json")).json()["paths"]["/v1/sites/{enterprise}/{site}/state"]


async def test_a_gateway_reads_its_own_configuration_and_nothing_else(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(device("a/l/one"), device("a/l/two", gateway="gw-2")))
        async with world.client("nexus.gateway.gw-1") as gateway:
            assert list((await gateway.gateway_index("gw-1")).devices) == ["a/l/one"]
            # A device of another gateway is not given, whatever is asked for.
            assert list(await gateway.gateway_devices("gw-1", ["a/l/one", "a/l/two"])) == ["a/l/one"]
            for call in (
                gateway.gateway_index("gw-2"),
                gateway.state(),
                gateway.break_lock("test"),
                gateway.deploy({}),
            ):
                with pytest.raises(NexusError) as refused:
                    await call
                assert refused.value.code in ("NX6403", "NX6405")


async def test_a_gateway_learns_how_it_sends_its_record(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(device("a/l/one")))
        assert (await control.gateway_index("gw-1")).frames == "columns"
        ended = await applied(control, snapshot(device("a/l/one"), **{"gateway.gw-1": {"frames": "json"}}))
        assert ended.outcome == "applied"
        found = await control.gateway_index("gw-1")
        assert (found.frames, found.deployment) == ("json", 2)


async def test_another_site_is_named(world: World) -> None:
    async with world.control(), world.client(site="acme/berlin") as control:
        with pytest.raises(NexusError) as refused:
            await control.state()
        assert refused.value.code == "NX6402"
        assert "acme/chicago" in refused.value.message and "acme/berlin" in refused.value.message
        hint = "the runtime of this folder (or NEXUS_CONTROL_URL) is of another site; `--home DIR` names another one"
        assert refused.value.hint == hint


async def test_control_that_is_not_there_is_one_plain_sentence(world: World) -> None:
    async with world.client() as control:
        with pytest.raises(NexusError) as refused:
            await control.state()
        assert (refused.value.code, refused.value.exit_code, refused.value.retriable) == ("NX6400", 6, True)
    with pytest.raises(NexusError) as refused:
        await ControlClient(dataclasses.replace(world.settings, control_url="")).state()
    assert (refused.value.code, refused.value.exit_code) == ("NX6400", 6)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/deployments", b""),
        ("/deployments", b"{"),
        ("/deployments", b"[]"),
        ("/deployments", b"null"),
        ("/deployments", b'{"base_digest": 1}'),
        ("/deployments", b"\xff\xfe"),
        ("/deployments", b'{"a":' * 5000 + b"1" + b"}" * 5000),
        ("/resources", b'{"addresses": ["\\u0000"]}'),
        ("/resources", b'{"addresses": ["\\ud800"]}'),
        ("/resources", b'{"addresses": "all"}'),
        ("/resources", b'{"addresses": [' + b'"x",' * 300_000 + b'"x"]}'),
        ("/gateways/%00/devices", b'{"paths": ["a"]}'),
        ("/gateways/gw-1/devices", b'{"paths": ["a\\u0000"]}'),
        ("/alerts/nobody/acknowledge", b"{}"),
    ],
)
async def test_broken_bodies_get_a_code_and_never_a_traceback(world: World, path: str, body: bytes) -> None:
    async with world.control(), httpx.AsyncClient(base_url=world.settings.control_url) as http:
        answer = await http.post(
            PREFIX + path,
            content=body,
            headers={"authorization": "Bearer cli-token", "content-type": "application/json"},
        )
        assert 400 <= answer.status_code < 500
        assert answer.json()["code"].startswith("NX")
        assert "Traceback" not in answer.text and "File " not in answer.text
        assert (await http.get("/health/ready")).status_code == 200


async def test_a_body_over_the_limit_is_refused_unread(world: World) -> None:
    async def endless():
        for _ in range(64):
            yield b"x" * (NAMES_BODY // 16)

    async with world.control(), httpx.AsyncClient(base_url=world.settings.control_url) as http:
        headers = {"authorization": "Bearer cli-token"}
        answer = await http.post(PREFIX + "/resources", content=endless(), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "NX6405")


def _wrong_path(body):
    body.changed["device.a/l/one"]["path"] = "a/l/other"


def _no_device(body):
    body.changed["device.a/l/one"] = {"path": "a/l/one"}


def _infinite(body):
    body.changed["device.a/l/one"]["tags"]["energy"]["deadband"] = "much"


def _not_built(body):
    body.changed["device.a/l/one"]["protocol"] = "telepathy"


def _plain_secret(body):
    body.changed["device.a/l/one"]["connection"]["password"] = "hunter2"


def _odd_address(body):
    body.changed["volcano.etna"] = {}


def _nul(body):
    body.changed["device.a/l/one"]["description"] = "a\0b"


def _other_state(body):
    body.changed["device.a/l/one"]["description"] = "not what was planned"


def _role_of_text(body):
    body.changed["role.x"] = {"read": "everything"}


def _retention_of_nothing(body):
    body.changed["retention.x"] = {"keep_ms": True}


def _alert_of_nothing(body):
    body.changed["alert.x"] = {"above": "much"}


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_role_of_text, "NX5000"),
        (_retention_of_nothing, "NX5000"),
        (_alert_of_nothing, "NX5000"),
        (_wrong_path, "NX5000"),
        (_no_device, "NX5000"),
        (_infinite, "NX5000"),
        (_not_built, "NX4001"),
        (_plain_secret, "NX5000"),
        (_odd_address, "NX5000"),
        (_nul, "NX5000"),
        (_other_state, "NX5007"),
    ],
)
async def test_a_deployment_that_is_not_what_it_says_changes_nothing(world: World, spoil, code: str) -> None:
    async with world.control() as control:
        request = body_of(await plan_against(control, snapshot(device("a/l/one"))))
        body = msgspec.json.decode(encode(request), type=DeploymentRequest)
        spoil(body)
        with pytest.raises(NexusError) as refused:
            await control.deploy(body)
        assert refused.value.code in (code, "NX4004") and refused.value.exit_code == 1
        assert "hunter2" not in refused.value.message
        assert (await control.state()).deployment == 0
        assert await control.deployments() == [] and await control.lock() is None
