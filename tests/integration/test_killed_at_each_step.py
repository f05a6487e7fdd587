"""A deployment of 50 changes, and every part of the plant killed at each line of its journal.

Control stops itself (SIGSTOP) exactly before, or inside the transaction of, a line of the journal; then the victim is killed.
However it was, `apply --resume` ends in the plan's snapshot and `rollback` in the former one, as control and the gateway say.

A run takes a sample that a seed draws; `NEXUS_EVERY_STEP=1` takes every case.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from nexus_cli.apply.run import gateway_digest
from nexus_cli.database import migrate
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.plan.document import plan_document
from nexus_cli.plan.planfile import write_planfile
from nexus_cli.plan.stages import stages_of
from nexus_cli.wire.control import DeploymentRequest, PlanSummary
from nexus_cli.wire.http import ControlClient
from tests.forks import Fork, nexus
from tests.integration.control_world import (
    API,
    FAST,
    TOPICS,
    FakeGateway,
    World,
    applied,
    body_of,
    device,
    ended,
    plan_against,
    snapshot,
    world,
)
from tests.integration.gateway_process import gateway_process
from tests.postgres import EmbeddedPostgres
from tests.waiting import until, until_found

__all__ = ["world"]

CONSENTS = ("data-loss", "acl-widen", "acl-narrow", "empty-target")
LINES = [
    *(
        f"{when} {step} {state}"
        for step in ("record", "rights", "notify", "observe", "clear", "revoke", "finalise", "verify")
        for state in ("begun", "done")
        for when in ("before", "inside")
    ),
    "before end",
    "inside end",
]
VICTIMS = ("control", "control-stopped", "command-line", "gateway", "database")
ENDINGS = ("resume", "rollback")
ALL = [(victim, line, ending) for victim in VICTIMS for line in LINES for ending in ENDINGS]
SAMPLE = 12


def _cases() -> list[tuple[str, str, str]]:
    """All, or a sample in which no victim and no ending is missing."""
    if os.environ.get("NEXUS_EVERY_STEP"):
        return ALL
    drawn = random.Random(14)
    lines = drawn.sample(LINES, SAMPLE)
    return [(VICTIMS[n % len(VICTIMS)], line, ENDINGS[n % len(ENDINGS)]) for n, line in enumerate(lines)]


def _name(number: int) -> str:
    return f"a/l/d{number:02}"


BEFORE = snapshot(*(device(_name(n)) for n in range(20)), role__r={"read": ["a/l/d00"], "write": []})
AFTER = snapshot(
    *(device(_name(n), host="10.0.0.7") for n in range(10)),
    *(device(f"a/l/m{n}") for n in range(15, 20)),
    *(device(_name(n)) for n in range(20, 49)),
    role__r={"read": ["a/**"], "write": []},
)
MOVED = [(_name(n), f"a/l/m{n}") for n in range(15, 20)]


@contextlib.contextmanager
def _ending(*processes: Fork) -> Iterator[list[Fork]]:
    """Processes of a test; whatever is in the list at the end is killed."""
    kept = list(processes)
    try:
        yield kept
    finally:
        for each in kept:
            each.kill()
            each.wait()


async def test_the_deployment_has_fifty_changes_and_every_step(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, BEFORE)
        plan = await plan_against(control, AFTER, moved=MOVED)
        assert len(plan.changes) == 50
        assert {stage.step for stage in stages_of(plan.changes)} == {line.split()[1] for line in LINES} - {"end"}


@pytest.fixture
def victims_postgres(victim: str) -> Iterator[EmbeddedPostgres | None]:
    """A server of its own where the database is the victim."""
    if victim != "database":
        yield None
        return
    server = EmbeddedPostgres()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "line", "ending"), _cases())
async def test_both_ways_end_exactly(
    world: World, tmp_path: Path, victims_postgres: EmbeddedPostgres | None, victim: str, line: str, ending: str
) -> None:
    postgres = victims_postgres
    if postgres is not None:
        world = World(dataclasses.replace(world.settings, database_url=postgres.url), world.broker)
        await migrate.upgrade(world.settings)
    async with world.control(FAST) as control, FakeGateway(world.settings).up():
        assert (await applied(control, BEFORE)).outcome == "applied"
    stopping = world.control_process(observe_s=1.0, stop_at=line)
    with _ending(stopping, gateway_process(world)) as parts:
        await world.until_leads()
        async with world.client() as control:
            command = await _begin(control, world, tmp_path)
            parts.append(command)
            await until(lambda: psutil.Process(stopping.pid).status() == psutil.STATUS_STOPPED, f"the stop {line}")
            await _kill(victim, stopping, parts, postgres)
            await _again(world, parts)
            await ended(control, 2)
            if ending == "resume":
                with contextlib.suppress(NexusError):  # it came to its end by itself: NX5015
                    await control.resume(2)
                found = await ended(control, 2)
                assert found.outcome == "applied", found
                await _is(world, control, AFTER)
            else:
                await _take_back(control)
                await _is(world, control, BEFORE)
            assert await control.lock() is None


async def _begin(control: ControlClient, world: World, folder: Path) -> Fork:
    """Have the command line apply the plan."""
    plan = await plan_against(control, AFTER, moved=MOVED)
    path = folder / "fifty.plan"
    source: Any = {"path": str(folder / "elsewhere.yaml"), "env": None, "variables": {}}
    write_planfile(path, document=plan_document(plan), changed=body_of(plan).changed, source=source)
    environment = {
        "PATH": os.environ["PATH"],
        "NEXUS_CONTROL_URL": world.settings.control_url,
        "NEXUS_CONTROL_TOKEN": API["nexus.cli"],
        "NEXUS_SITE": world.settings.site,
        "NEXUS_BROKER_URL": world.settings.broker_url,
    }
    consents = [word for name in CONSENTS[:2] for word in ("--allow", name)]
    log = folder / "command.txt"
    return nexus(["apply", str(path), "--yes", *consents], folder=folder, environment=environment, log=log)


async def _kill(victim: str, control: Fork, parts: list[Fork], postgres: EmbeddedPostgres | None) -> None:
    """Kill one part while control has stopped, and let the others go on."""
    if victim == "control":
        control.kill()
        control.wait()
    elif victim == "gateway":
        parts[1].kill()
        parts[1].wait()
    elif victim == "command-line":
        parts[2].kill()
        parts[2].wait()
    elif victim == "database":
        assert postgres is not None
        await asyncio.to_thread(postgres.kill)
    control.send_signal(signal.SIGCONT)
    if postgres is not None:
        await asyncio.to_thread(postgres.start)


async def _again(world: World, parts: list[Fork]) -> None:
    """Start what has ended, and wait for the end of what control does. Its stop at the line is over, so it is replaced."""
    if parts[0].poll() is None:
        await world.until_leads()
        async with world.client() as control:
            await ended(control, 2)
        parts[0].kill()
        parts[0].wait()
    parts[0] = world.control_process(observe_s=15.0)
    if parts[1].poll() is not None:
        parts[1] = gateway_process(world)
    await world.until_leads()


async def _take_back(control: ControlClient) -> None:
    """As `nexus rollback 2 --yes` does, with every consent."""
    back = await control.rollback_plan(2)
    request = DeploymentRequest(
        base_digest=back.base_digest,
        desired_digest=back.desired_digest,
        changed=back.changed,
        plan=PlanSummary(moved=back.moved),
        allow=list(CONSENTS),
        undoes=back.undoes,
    )
    found = await ended(control, await control.deploy(request))
    assert found.outcome == "applied", found


async def _is(world: World, control: ControlClient, wanted: Any) -> None:
    """Control has recorded this snapshot, and the gateway says that it runs its devices."""
    state = await control.state()
    assert (state.digest, state.digests) == (wanted.digest, dict(wanted.digests))
    devices = {name.removeprefix("device."): value for name, value in state.digests.items() if name[:7] == "device."}
    topic = TOPICS.observed("gw-1")

    async def observed() -> str:
        return str(orjson.loads((await world.messages(topic, count=1))[topic])["digest"])

    await until_found(observed, lambda said: said == gateway_digest(devices))
