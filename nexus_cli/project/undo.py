"""The verbs that make applying safe to interrupt and to undo: confirm, rollback, resume, and the lock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

from nexus_cli.plan.document import PlanDocument
from nexus_cli.project.following import FOLLOW_WAIT_S, OnEvent, follow
from nexus_cli.project.ready import Ready
from nexus_cli.settings import Settings
from nexus_cli.wire.control import DeploymentProgress, Lock, LockBroken, LockHeld
from nexus_cli.wire.http import ControlClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """What takes deployments back, to be shown and applied like any other plan.

    Attributes:
        ready: The plan.
        undoes: The first deployment that is taken back.
        undone: All of them, the newest first.
        base: The deployment whose state comes back; 0 is the empty state before the first.
        again: Rollbacks that come undone, with the first deployment that each took back.
    """

    ready: Ready
    undoes: int
    undone: tuple[int, ...]
    base: int
    again: tuple[tuple[int, int], ...] = ()


def confirm(settings: Settings, number: int = 0) -> int:
    """Keep the deployment that waits to be confirmed, or the one of this number; gives its number.

    Raises:
        NexusError: NX5012, it does not wait; NX5006 and others of control.
    """

    async def ask() -> int:
        async with ControlClient(settings) as control:
            return await control.confirm(number)

    return asyncio.run(ask())


def rollback_plan(settings: Settings, number: int = 0, *, to: bool = False) -> Rollback:
    """What takes deployments back from the newest to `number` (0: the newest alone), or with `to` all those after it.

    Raises:
        NexusError: NX5006 no such deployment; NX5014 nothing to take back; NX4013 the newest is a rollback itself; others of
            control.
    """

    async def ask() -> Rollback:
        async with ControlClient(settings) as control:
            found = await control.rollback_plan(number, to=to)
        document = cast("PlanDocument", found.plan)
        ready = Ready(
            site=settings.site,
            document=document,
            changed=dict(found.changed),
            source={"path": "", "env": None, "variables": {}},
        )
        return Rollback(
            ready=ready, undoes=found.undoes, undone=tuple(found.undone), base=found.base, again=tuple(found.again)
        )

    return asyncio.run(ask())


def stop_running(settings: Settings, *, reason: str) -> int:
    """Break the lock of the deployment that runs and wait for its end; gives its number, 0 when none runs."""

    async def ask() -> int:
        async with ControlClient(settings) as control:
            held = await control.lock()
            if held is None or not held.deployment:
                return 0
            await control.break_lock(reason, acquired=held.acquired)
            while (await control.deployment(held.deployment, after=2**62, wait_s=FOLLOW_WAIT_S)).state != "ended":
                pass  # each answer waited for an end
            return held.deployment

    return asyncio.run(ask())


def resume(settings: Settings, number: int = 0, *, reason: str = "", on_event: OnEvent) -> DeploymentProgress:
    """Let a deployment continue that did not come to its end (0: the newest), and follow it to that.

    Raises:
        NexusError: NX5015 there is nothing to resume; NX5016 another one recorded its state since; NX5001, NX5006 and
            others of control.
    """

    async def ask() -> DeploymentProgress:
        async with ControlClient(settings) as control:
            taken = await control.resume(number, reason=reason)
            before = (await control.deployment(taken)).journal
            after = max((line.id for line in before if line.step == "resume"), default=0)
            return await follow(control, taken, after=after, on_event=on_event)

    return asyncio.run(ask())


def lock(settings: Settings) -> LockHeld:
    """Who holds the lock. Raises NexusError of control."""

    async def ask() -> LockHeld:
        async with ControlClient(settings) as control:
            return LockHeld(lock=await control.lock())

    return asyncio.run(ask())


def break_lock(settings: Settings, held: Lock | None, *, reason: str) -> LockBroken:
    """Take this lock away from its holder; none that was taken since it was looked at.

    Raises:
        NexusError: NX4313, another lock is held by now; others of control.
    """
    if held is None:
        return LockBroken(broken=False)

    async def ask() -> LockBroken:
        async with ControlClient(settings) as control:
            return await control.break_lock(reason, acquired=held.acquired)

    return asyncio.run(ask())
