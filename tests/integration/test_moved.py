"""What follows a rename on a running plant: old topics are cleared whatever is killed, and are published for a while where it is declared."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from nexus_cli.access.brokers.mosquitto import acl_file
from nexus_cli.access.compile import compile_grants
from nexus_cli.access.grants import CONTROL, Grant, gateway_principal, join
from nexus_cli.access.passwords import hash_password
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import to_json
from nexus_cli.runtime.control import retained
from nexus_cli.wire.http_kept import KeptClient
from nexus_cli.wire.topic import matches
from tests.access_requests import ACCOUNTS
from tests.asking import Asker
from tests.commanding import GW, CountingServer, counting, drive
from tests.integration.control_world import (
    API,
    TOPICS,
    FakeGateway,
    World,
    applied,
    body_of,
    device,
    ended,
    plan_against,
    rows,
    snapshot,
    tag,
)
from tests.integration.control_world import world as world
from tests.integration.test_out_of_service import plant
from tests.integration.test_retained import kept
from tests.mosquittos import running_mosquitto
from tests.servers import free_port, mosquitto_program
from tests.waiting import until, until_found

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker, pytest.mark.every_database]
OLD, NEW = "a/l/drive", "a/l/mixer"
MOVED = [(OLD, NEW)]
WRITE = ("write-enable",)
HOUR_MS = 3_600_000


@pytest.fixture
async def field() -> AsyncIterator[CountingServer]:
    async with counting([drive()]) as server:
        yield server


def alias(for_ms: int) -> dict[str, dict[str, Any]]:
    return {f"alias.{OLD}": {"to": NEW, "for_ms": for_ms, "gateways": [GW]}}


def under(topics: dict[str, bytes], path: str) -> dict[str, Any]:
    """Retained values of a device by tag."""
    prefix = TOPICS.tag(path) + "/"
    return {topic[len(prefix) :]: orjson.loads(data) for topic, data in topics.items() if topic.startswith(prefix)}


async def test_values_are_under_both_paths_until_the_key_goes(
    world: World, field: CountingServer, tmp_path: Path
) -> None:
    async with world.control() as control:
        await applied(control, snapshot(to_json(drive(port=field.port))), allow=WRITE)
        async with plant(world, tmp_path / "gw", field):
            await until_found(lambda: kept(world), lambda found: "fixed" in under(found, OLD))
            moved = snapshot(to_json(drive(NEW, port=field.port)), **alias(HOUR_MS))
            assert (await applied(control, moved, moved=MOVED)).outcome == "applied"
            await until_found(lambda: kept(world), lambda found: "fixed" in under(found, NEW))
            field.server.set(OLD, "fixed", 4711)  # as the simulator calls it
            both = await until_found(
                lambda: kept(world),
                lambda found: (
                    under(found, OLD).get("fixed", {}).get("value") == 4711
                    and under(found, NEW).get("fixed") == under(found, OLD)["fixed"]
                ),
            )
            assert set(under(both, OLD)) == set(under(both, NEW))
            (found,) = (await control.state()).aliases
            assert (found.old, found.to, found.until - found.since) == (OLD, NEW, HOUR_MS * 1000) and found.left_us > 0
            # the key goes: no more values, and nothing is left there
            await applied(control, snapshot(to_json(drive(NEW, port=field.port))), moved=MOVED)
            await until_found(lambda: kept(world), lambda found: not under(found, OLD))
            assert under(await kept(world), NEW)
            assert (await control.state()).aliases == []


async def test_it_ends_by_itself_over_restarts_of_gateway_and_control(
    world: World, field: CountingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retained, "OLD_PATH_S", 0.5)
    home = tmp_path / "gw"
    async with world.control() as control:
        await applied(control, snapshot(to_json(drive(port=field.port))), allow=WRITE)
        moved = snapshot(to_json(drive(NEW, port=field.port)), **alias(HOUR_MS))
        async with plant(world, home, field):
            await applied(control, moved, moved=MOVED)
            await until_found(lambda: kept(world), lambda found: "fixed" in under(found, OLD))
    async with plant(world, home, field) as bench:  # while control is away: from the local copy
        await until(lambda: bench.gateway.aliases.published > 0, "values under the old path without control")
        async with world.control() as control:
            shorter = snapshot(to_json(drive(NEW, port=field.port)), **alias(1))
            await applied(control, shorter, moved=MOVED)
            await until_found(lambda: kept(world), lambda found: not under(found, OLD))
            assert len(bench.gateway.aliases) == 0
            (found,) = (await control.state()).aliases
            assert found.left_us == 0


STOPS = [
    "before observe done",
    "before clear begun",
    "inside clear begun",
    "before clear done",
    "before revoke begun",
    "before revoke done",
    "before finalise begun",
]


@pytest.mark.parametrize("stop_at", STOPS)
async def test_control_killed_at_any_step_leaves_no_retained_message_on_the_old_topic(
    world: World, stop_at: str
) -> None:
    async with FakeGateway(world.settings).up() as gateway:
        async with world.control() as control:
            await applied(control, snapshot(device("a/l/one")))
        ulid = (await rows(world, "SELECT ulid FROM nexus.series WHERE path = 'a/l/one/energy'"))[0]["ulid"]
        for name in ("energy", "voltage"):
            await gateway.client.publish(TOPICS.tag(f"a/l/one/{name}"), b'{"value":1}', retain=True)
        first = world.control_process(leader_ttl_s=2.0, stop_at=stop_at)
        try:
            await world.until_leads()
            async with world.client() as control:
                plan = await plan_against(control, snapshot(device("a/l/two")), moved=[("a/l/one", "a/l/two")])
                number = await control.deploy(body_of(plan))
                await until(
                    lambda: psutil.Process(first.pid).status() == psutil.STATUS_STOPPED,
                    f"control stops itself {stop_at}",
                )
        finally:
            first.kill()
            first.wait()
        async with world.control() as control:
            assert (await ended(control, number)).outcome == "applied"
            await until_found(lambda: kept(world), lambda found: not under(found, "a/l/one"))
        assert await rows(world, "SELECT ulid, former_paths FROM nexus.series WHERE path = 'a/l/two/energy'") == [
            {"ulid": ulid, "former_paths": ["a/l/one/energy"]}
        ]


async def test_with_the_rights_of_the_new_state_alone_control_may_still_clear_the_old_topic(tmp_path: Path) -> None:
    """Its right is on the whole live view: what was not cleared before `revoke` can be cleared after it, by no other."""
    if not mosquitto_program():
        pytest.skip("mosquitto is not installed")
    gateway, password = gateway_principal("gw-1"), "secret"
    hashes = {name: hash_password(password, argon2id=False, iterations=10) for name in (CONTROL, gateway)}
    files = acl_file.render(compile_grants(snapshot(device("a/new/two"))), ACCOUNTS, hashes).files
    port, old, new = free_port(), TOPICS.tag("a/l/one/energy"), TOPICS.tag("a/new/two/energy")
    with running_mosquitto(tmp_path, port, acl=files["acl"], passwords=files["passwords"]):
        with Asker(port, ACCOUNTS.account(gateway), password, "gateway") as asker:
            assert asker.publish(new, b"1", retain=True)
        with Asker(port, ACCOUNTS.account(CONTROL), password, "control") as asker:
            assert asker.publish(old, b"1", retain=True)
            assert asker.publish(old, b"", retain=True), "cleared"
        with Asker(port, ACCOUNTS.account(CONTROL), password, "reads") as asker:
            assert asker.subscribe(f"{TOPICS.live}/#")
            asker.fence()
            assert [topic for topic, _ in asker.heard] == [new]


def test_the_gateway_may_publish_on_both_topics_in_the_rights_of_the_deployment_and_on_the_new_one_after_it() -> None:
    before, after = compile_grants(snapshot(device("a/l/one"))), compile_grants(snapshot(device("a/new/two")))
    old, new, gateway = TOPICS.tag("a/l/one/energy"), TOPICS.tag("a/new/two/energy"), gateway_principal("gw-1")

    def may(grants: Iterable[Grant], who: str, topic: str) -> bool:
        return any((each.principal, each.action) == (who, "publish") and matches(each.filter, topic) for each in grants)

    together = join(before, after)
    assert may(together, gateway, old) and may(together, gateway, new)
    assert may(after, gateway, new)
    assert all(may(some, CONTROL, old) for some in (before, together, after))


QUALITY = {"range": "alarm", "range_priority": "high"}


async def test_the_alarm_of_a_rule_keeps_its_state_shelving_and_journal_under_its_new_name(world: World) -> None:
    old, new = "quality.range.a.l.one.energy", "quality.range.a.l.two.energy"

    def plant_of(path: str, name: str) -> Any:
        alert = {
            "tag": f"{path}/energy",
            "quality": "range",
            "priority": "high",
            "severity": "warning",
            "on_bad": "hold",
        }
        return snapshot(device(path), **{f"alert.{name}": {**alert, "above": 100.0}})

    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, plant_of("a/l/one", old))
    await rows(world, "DELETE FROM nexus.alert")
    await rows(
        world,
        "INSERT INTO nexus.alert (site, name, state, since, severity, shelved_until, shelved_by) "
        "VALUES ('acme/chicago', $1, 'active', now(), 'warning', now() + interval '1 hour', 'anna')",
        old,
    )
    await rows(
        world,
        "INSERT INTO nexus.alert_change (site, name, at, state, severity, tag, kind) "
        "VALUES ('acme/chicago', $1, now(), 'active', 'warning', 'a/l/one/energy', 'raised')",
        old,
    )
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, plant_of("a/l/two", new), moved=[("a/l/one", "a/l/two")])
        found = await rows(world, "SELECT name, shelved_by FROM nexus.alert")
        assert found == [{"name": new, "shelved_by": "anna"}]
        assert {row["name"] for row in await rows(world, "SELECT DISTINCT name FROM nexus.alert_change")} == {new}


async def test_keep_always_outlives_its_line_and_its_tag_and_ends_by_an_act_of_its_own(world: World) -> None:
    kept_, plain = device("a/l/one", tags={"energy": tag(keep_always=True)}), device("a/l/one", tags={"energy": tag()})
    async with world.control() as control, FakeGateway(world.settings).up():
        client = KeptClient(dataclasses.replace(world.settings, control_token=API["nexus.cli"]))
        async with client:
            await applied(control, snapshot(kept_))
            (one,) = await client.kept()
            assert (one.path, one.deployment, one.active, one.declared) == ("a/l/one/energy", 1, True, True)
            with pytest.raises(NexusError) as declared:
                await client.end_keep("a/l/one/energy")
            assert declared.value.code == "NX4115"
            await applied(control, snapshot(plain))
            (one,) = await client.kept()
            assert one.active and not one.declared and one.deployment == 1
            # under another name, and when its tag is gone
            moved = device("a/l/two", tags={"energy": tag()})
            await applied(control, snapshot(moved), moved=[("a/l/one", "a/l/two")])
            assert [each.path for each in await client.kept()] == ["a/l/two/energy"]
            await applied(control, snapshot(device("a/l/two", tags={"x": tag()})), allow=("data-loss=**",))
            (one,) = await client.kept()
            assert (one.path, one.active) == ("a/l/two/energy", False)
            with pytest.raises(NexusError) as missing:
                await client.end_keep("a/l/one/energy")
            assert missing.value.code == "NX4116"
            assert (await client.end_keep("a/l/two/energy")).path == "a/l/two/energy"
            assert await client.kept() == []
            trail = await rows(world, "SELECT who, what, subject FROM nexus.audit WHERE what = 'keep-end'")
            assert trail == [{"who": "nexus.cli", "what": "keep-end", "subject": "a/l/two/energy"}]
