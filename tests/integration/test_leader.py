"""Two controls of one site: one leads, the other waits; what the earlier one still does changes nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import orjson
import psutil
import pytest

from nexus_cli.database import leader as leaders
from nexus_cli.database import lease as leases
from nexus_cli.database import migrate, stopped
from nexus_cli.database.connect import open_pool
from nexus_cli.database.leader import FencedPool, LeadLost
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.control.leadership import Leadership
from nexus_cli.runtime.health import HealthReporter
from nexus_cli.wire.client import BrokerClient
from tests.forks import Fork
from tests.integration.control_world import (
    FAST,
    FakeGateway,
    World,
    applied,
    body_of,
    device,
    ended,
    plan_against,
    rows,
    snapshot,
    world,
)
from tests.waiting import PATIENCE_S, until, until_found

__all__ = ["world"]
SITE = "acme/chicago"
QUICK = dataclasses.replace(FAST, leader_ttl_s=3.0)
BEFORE = snapshot(device("a/l/one"), device("a/l/two"))
LESS = {"tags": {"energy": device("x")["tags"]["energy"]}}
DURING = snapshot(device("a/l/one", **LESS), device("a/l/three"), user__anna={"role": "r"}, role__r={"read": ["**"]})
AFTER = snapshot(device("a/l/one"), device("a/l/four"), user__anna={"role": "r"}, role__r={"read": ["**"]})
STEPS = ("record", "rights", "notify", "observe", "clear", "revoke", "finalise", "verify")
TABLES = ("deployment", "journal", "resource", "lease", "audit", "series", "alert", "alert_change", "gap")


@contextmanager
def ending(process: Fork) -> Iterator[Fork]:
    """Kill a process at the end, also a stopped one."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def everything(world: World) -> dict[str, list[dict[str, Any]]]:
    """All rows that control writes, and who leads (a control that the machine held up may lead in a later term)."""
    found = {table: await rows(world, f"SELECT * FROM nexus.{table} ORDER BY 1, 2, 3, 4") for table in TABLES}
    return {**found, "leader": await rows(world, "SELECT holder FROM nexus.leader")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "stop_at",
    [
        *(f"before {step} {state}" for step in STEPS for state in ("begun", "done")),
        "before end",
        "inside record begun",
        "inside record done",
        "inside finalise done",
        "inside end",
    ],
)
async def test_a_control_stopped_at_any_step_changes_nothing_of_its_successors(world: World, stop_at: str) -> None:
    second = world.twin()
    async with world.control(QUICK) as control, FakeGateway(world.settings).up():
        assert (await applied(control, BEFORE)).outcome == "applied"
    with ending(world.control_process(leader_ttl_s=3.0, stop_at=stop_at)) as first:
        await world.until_leads()
        async with second.control(QUICK, standby=True) as control, FakeGateway(second.settings).up():
            async with world.client() as old:
                plan = await plan_against(old, DURING)
                number = await old.deploy(body_of(plan, allow=("data-loss=**", "acl-widen")))
            await until(
                lambda: psutil.Process(first.pid).status() == psutil.STATUS_STOPPED,
                f"the first control stopping {stop_at}",
            )
            await second.until_leads()
            assert (await ended(control, number)).outcome == "applied"
            assert (await applied(control, AFTER, allow=("data-loss=**",))).outcome == "applied"
            assert await control.lock() is None
            known = await everything(world)
            heard: list[str] = []
            async with _listening(world, heard):
                os.kill(first.pid, signal.SIGCONT)
                await world.until_leads(False)
                await asyncio.sleep(1.0)  # what it had begun has had its chance
                assert await everything(world) == known
            assert heard == []
            assert (await second.status())["leads"] is True


async def test_a_run_of_a_control_that_was_stopped_is_ended_once_and_its_steps_are_never_sent(world: World) -> None:
    second = world.twin()
    write = {"do": "write", "subject": "a/l/one/energy", "value": 1.0, "timeout_ms": 5_000}
    slow = {"steps": [{"do": "wait", "wait_ms": 1_000}, write], "on_abort": [write]}
    level = {"energy": {**device("x")["tags"]["energy"], "writable": True}}
    with ending(world.control_process(leader_ttl_s=3.0)) as first:
        await world.until_leads()
        async with second.control(QUICK, standby=True) as control, FakeGateway(second.settings).up():
            async with world.client() as old:
                await applied(old, snapshot(device("a/l/one", tags=level), sequence__slow=slow))
                await old.start_sequence("slow", run="r1")
                assert (await control.sequence_run("r1")).state == "running", "a standby ends no run"
                os.kill(first.pid, signal.SIGSTOP)
            await second.until_leads()
            while (found := await control.sequence_run("r1", wait_s=1.0)).state == "running":
                pass
            assert (found.state, found.detail.code) == ("interrupted", "NX6835")
            heard: list[str] = []
            async with _listening(world, heard):
                os.kill(first.pid, signal.SIGCONT)
                await world.until_leads(False)
                await asyncio.sleep(1.5)  # longer than what was left of its wait: what must not come has its chance
                assert await control.sequence_run("r1") == found
            assert [topic for topic in heard if "/cmd/" in topic] == []
            trail = (await control.audit(kind="sequence")).entries
            assert [(one.subject, one.state) for one in trail] == [("slow", "interrupted")]


class _listening:
    """Collects topics on which anything but health is published while the block runs."""

    def __init__(self, world: World, heard: list[str]) -> None:
        self._heard = heard
        self._stop = asyncio.Event()
        self._client = BrokerClient(settings=world.settings, client_id="listens")

    async def __aenter__(self) -> None:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._group.create_task(
            self._client.run(
                self._stop,
                subscriptions=[("acme/#", 1), ("_nexus/#", 1)],
                on_message=lambda message: (
                    None
                    if message.retain or "/health/" in message.topic or "/canary/" in message.topic
                    else self._heard.append(message.topic)
                ),
            )
        )
        await until(lambda: self._client.connected)

    async def __aexit__(self, *error: object) -> None:
        self._stop.set()
        await self._group.__aexit__(None, None, None)


async def test_a_standby_answers_questions_and_changes_nothing(world: World) -> None:
    alert = {"tag": "a/l/one/energy", "above": 100.0, "severity": "critical", "on_bad": "hold", "description": "hot"}
    second = world.twin()
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(device("a/l/one"), alert__hot=alert))
        sequence = {"steps": [{"do": "wait", "wait_ms": 60_000}], "timeout_ms": 90_000}
        await applied(control, snapshot(device("a/l/one"), alert__hot=alert, sequence__slow=sequence))
        run = await control.start_sequence("slow", run="r1")
        async with second.control(standby=True) as standby:
            assert (await standby.state()).deployment == 2
            assert sorted((await standby.gateway_index("gw-1")).devices) == ["a/l/one"]
            assert [each.name for each in await standby.alerts()] == ["hot"]
            assert (await standby.sequences()).runs[0].state == "running", "it does not end another's runs"
            assert (await standby.sequence_run("r1")).name == run.name
            for refused in (
                standby.deploy(body_of(await plan_against(standby, BEFORE))),
                standby.start_sequence("slow", run="r2"),
                standby.abort_sequence("r1"),
                standby.acknowledge("hot"),
                standby.break_lock("test"),
            ):
                with pytest.raises(NexusError) as error:
                    await refused
                assert (error.value.code, error.value.retriable) == ("NX6408", True)
                assert world.settings.control_url in error.value.hint
            found = await second.status()
            assert (found["leads"], found["ready"]) == (False, False) and "standby" in found["detail"]
        assert (await control.sequence_run("r1")).state == "running"


async def test_the_lead_goes_over_when_it_is_given_back_or_its_process_is_dead(world: World) -> None:
    """No time passes for either: the lead's time is an hour here."""
    patient = dataclasses.replace(FAST, leader_ttl_s=3600.0)
    second = world.twin()
    with ending(world.control_process(leader_ttl_s=3600.0)) as first:
        await world.until_leads()
        first.terminate()
        first.wait()
        async with second.control(patient) as control:
            assert (await control.state()).deployment == 0
    with ending(world.control_process(leader_ttl_s=3600.0)) as first:
        await world.until_leads()
        first.kill()
        first.wait()
        async with second.control(patient) as control:
            assert (await control.state()).deployment == 0
    assert [row["term"] for row in await rows(world, "SELECT term FROM nexus.leader")] == [4]


async def test_a_term_that_is_over_writes_nothing_and_its_open_transaction_ends_by_itself(world: World) -> None:
    pool = await open_pool(world.settings, size=4)
    try:
        async with pool.acquire() as conn:
            one = await leaders.take(conn, SITE, holder="one", facts={}, seen=None)
        assert one == 1
        fenced = FencedPool(pool, site=SITE, term=1)
        async with fenced.acquire() as stuck:
            await stuck.execute("INSERT INTO nexus.audit (site, who, what) VALUES ($1, 'stuck', 'x')", SITE)
            async with pool.acquire() as conn:
                assert await leaders.renew(conn, SITE, term=1, lock_ttl_s=1.0), "a renewal does not wait for it"
                seen = await leaders.observe(conn, SITE)
                # The client is silent, as a stopped one is: the server ends its transaction, then the term is taken.
                assert await leaders.take(conn, SITE, holder="two", facts={}, seen=seen) == 2
                with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
                    await stuck.execute("SELECT 1")
                with pytest.raises(LeadLost):
                    async with fenced.acquire() as late:
                        await late.execute("INSERT INTO nexus.audit (site, who, what) VALUES ($1, 'late', 'x')", SITE)
                assert not await leaders.renew(conn, SITE, term=1, lock_ttl_s=1.0)
                assert await leaders.take(conn, SITE, holder="three", facts={}, seen=seen) is None, "it moved since"
    except (asyncpg.PostgresError, asyncpg.InterfaceError):
        pass  # the end of `stuck`: its connection is gone
    finally:
        pool.terminate()
    assert await rows(world, "SELECT who FROM nexus.audit") == []


async def test_a_term_whose_process_stopped_in_the_middle_of_a_statement_is_taken_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No limit of the server ends such a session: it is neither idle nor at work, and its locks would stay for ever."""
    monkeypatch.setattr(leaders, "TAKE_LOCK_MS", leaders.IDLE_MS + 1_000)
    monkeypatch.setattr(stopped, "SILENT_S", leaders.IDLE_MS / 1_000)
    pool = await open_pool(world.settings, size=2)
    lead = Leadership(settings=world.settings, clock=SystemClock(), ttl_s=1.0)
    try:
        async with pool.acquire() as conn:
            assert await leaders.take(conn, SITE, holder="one", facts={}, seen=None) == 1
        stuck = await pool.acquire()
        await stuck.execute("BEGIN")
        await leaders.fence(stuck, SITE, term=1)
        await stuck.execute("INSERT INTO nexus.audit (site, who, what) VALUES ($1, 'stuck', 'x')", SITE)
        await stuck.prepare("INSERT INTO nexus.audit (site, who, what) VALUES ($1, 'values never sent', 'x')")
        async with asyncio.timeout(60):
            assert await lead.campaign(asyncio.Event())
        assert lead.term == 2
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await stuck.execute("COMMIT")
        assert await rows(world, "SELECT who FROM nexus.audit") == []
    finally:
        await lead.resign()
        pool.terminate()


async def test_who_can_not_ask_the_database_leads_on_until_another_is_heard(world: World, own_postgres) -> None:
    """Nobody can take over a database that is away; whom it answered nevertheless says so on the broker."""
    settings = dataclasses.replace(
        world.settings, database_url=own_postgres.url, database_password=world.settings.database_password
    )
    await migrate.upgrade(settings)
    now = [1000.0]
    lead = Leadership(settings=settings, clock=SystemClock(), ttl_s=3.0, now_s=lambda: now[0])
    assert await lead.campaign(asyncio.Event()) and lead.acting
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(lead.hold(over))
        await asyncio.to_thread(own_postgres.kill)
        for _ in range(3):
            now[0] += 4.0  # longer than it may act unconfirmed
            assert not lead.acting, "it asks first"
            await asyncio.wait_for(lead.confirmed(), 30)
            assert lead.acting
        lead.receive(lead.term)
        assert lead.acting, "its own word"
        lead.receive(lead.term + 1)
        assert not lead.acting
        with pytest.raises(LeadLost):
            lead.assert_acting()
    assert lead.lost.is_set()


async def test_a_heartbeat_waits_for_no_step_of_its_own_deployment(world: World) -> None:
    pool = await open_pool(world.settings, size=4)
    try:
        async with pool.acquire() as one, pool.acquire() as other:
            await leaders.take(one, SITE, holder="one", facts={}, seen=None)
            assert await leases.acquire(one, SITE, owner="me", reason="", token="t", ttl_s=1.0)
            async with one.transaction():
                assert await leases.holds(one, SITE, token="t")
                async with asyncio.timeout(PATIENCE_S):
                    assert await leases.beat(other, SITE, token="t", ttl_s=1.0)
                    assert not await leases.beat(other, SITE, token="another", ttl_s=1.0)
            await leases.release(one, SITE, token="t")
            assert not await leases.beat(other, SITE, token="t", ttl_s=1.0)
    finally:
        pool.terminate()


async def test_the_last_word_about_control_is_the_leaders(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The will of a control before it must not count as its own, not even until the next health message."""
    monkeypatch.setitem(HealthReporter.__init__.__kwdefaults__, "period_s", 3600.0)
    async with world.control():
        topic = "_nexus/acme/chicago/health/control/control"
        client = BrokerClient(settings=world.settings, client_id="broker")
        async with client.session():
            await client.publish(topic, b'{"state": "lost"}', retain=True)

        async def look() -> dict[str, Any]:
            found: dict[str, Any] = orjson.loads((await world.messages(topic, count=1))[topic])
            return found

        found = await until_found(look, lambda said: said["state"] == "running")
        assert (found["state"], found["term"], found["leads"]) == ("running", 1, True)
