"""The verbs of rollouts: apply in waves or within windows, follow, show, stop, continue, take back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.apply import ApplyOptions, request_of
from nexus_cli.project.following import FOLLOW_WAIT_S, LOST_S, OnEvent, follow
from nexus_cli.project.ready import Ready
from nexus_cli.settings import Settings
from nexus_cli.wire.control import DeploymentProgress
from nexus_cli.wire.control_rollouts import Rollout
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.rollout import ACTIVE, Gates, RolloutRequest, WaveRequest, WindowUse

OnRollout = Callable[[Rollout], None]
"""Called when a rollout comes to another state, or another wave."""
AGAIN_S = 0.5


def way_of(ready: Ready, *, window: WindowUse, at_once: bool) -> RolloutRequest | None:
    """How a plan is sent: in its waves, and what is done outside a window; None where nothing is to be said of that.

    Args:
        ready: The plan.
        window: `refuse`, `wait` or `ignore`.
        at_once: True leaves the waves of the site out.
    """
    found = ready.document.get("rollout")
    waves = found["waves"] if found is not None and not at_once else []
    if not waves and window == "refuse" and not at_once:
        return None
    gates, on_failure = Gates(), "stop"
    if found is not None:
        gates, on_failure = Gates(**found["gates"]), found["on_failure"]
    return RolloutRequest(
        waves=[WaveRequest(name=each["name"], addresses=each["addresses"], soak_ms=each["soak_ms"]) for each in waves],
        gates=gates,
        on_failure="rollback" if on_failure == "rollback" else "stop",
        window=window,
        at_once=at_once,
    )


def apply_in_waves(
    ready: Ready,
    way: RolloutRequest,
    options: ApplyOptions,
    *,
    settings: Settings,
    on_event: OnEvent,
    on_rollout: OnRollout,
) -> Rollout | DeploymentProgress:
    """Send a plan and follow it to its end; a deployment comes back where it went out at once.

    Raises:
        NexusError: Control refused it (exit code 1, 3, 5), or can't be reached.
    """
    request = request_of(ready, options, rollout=way)

    async def ask() -> Rollout | DeploymentProgress:
        async with ControlClient(settings, site=ready.site) as control:
            accepted = await control.accept(request)
            if not accepted.rollout:
                return await follow(control, accepted.number, on_event=on_event)
            return await _follow(control, accepted.rollout, on_event=on_event, on_rollout=on_rollout)

    return asyncio.run(ask())


def stopped_rollout(settings: Settings, deployment: int = 0) -> int:
    """Number of the rollout that stopped and can continue: the newest one, if this deployment is one of its waves; 0 is none.

    Args:
        settings: Where control is.
        deployment: 0 is the newest deployment.
    """

    async def ask() -> int:
        async with ControlClient(settings) as control:
            newest = await control.deployments(limit=1)
            rollouts = await control.rollouts(limit=1)
            if not rollouts or rollouts[0].state != "stopped":
                return 0
            waves = {wave.deployment for wave in rollouts[0].waves if wave.deployment}
            number = deployment or (newest[0].number if newest else 0)
            begun = number in waves or (not waves and not deployment)
            return rollouts[0].number if begun else 0

    return asyncio.run(ask())


def resume_rollout(
    settings: Settings, number: int, *, reason: str, on_event: OnEvent, on_rollout: OnRollout
) -> Rollout:
    """Let a rollout that stopped continue, and follow it. Raises NexusError NX5037, NX5032 and others of control."""
    return asyncio.run(_changed(settings, number, "resume", reason, on_event, on_rollout))


def take_back(settings: Settings, number: int, *, reason: str, on_event: OnEvent, on_rollout: OnRollout) -> Rollout:
    """Put back what a rollout changed, and follow that. Raises NexusError NX5037, NX5032 and others of control."""
    return asyncio.run(_changed(settings, number, "rollback", reason, on_event, on_rollout))


def stop(settings: Settings, number: int, *, reason: str) -> Rollout:
    """Begin no later wave. Raises NexusError NX5037 and others of control."""

    async def ask() -> Rollout:
        async with ControlClient(settings) as control:
            return await control.change_rollout(number, "stop", reason=reason)

    return asyncio.run(ask())


def one(settings: Settings, number: int = 0) -> Rollout:
    """One rollout, or the newest. Raises NexusError NX5037 and others of control."""

    async def ask() -> Rollout:
        async with ControlClient(settings) as control:
            return await control.rollout(number)

    return asyncio.run(ask())


def newest(settings: Settings, *, limit: int = 20) -> list[Rollout]:
    """The newest rollouts first. Raises NexusError of control."""

    async def ask() -> list[Rollout]:
        async with ControlClient(settings) as control:
            return await control.rollouts(limit=limit)

    return asyncio.run(ask())


async def _changed(
    settings: Settings, number: int, verb: str, reason: str, on_event: OnEvent, on_rollout: OnRollout
) -> Rollout:
    async with ControlClient(settings) as control:
        before = await control.rollout(number)
        deployment = before.waves[before.wave - 1].deployment if before.wave else 0
        lines = (await control.deployment(deployment)).journal if deployment else []
        said = {deployment: max((line.id for line in lines), default=0)} if deployment else {}
        found = await control.change_rollout(number, verb, reason=reason)
        return await _follow(control, found.number, on_event=on_event, on_rollout=on_rollout, said=said)


async def _follow(
    control: ControlClient,
    number: int,
    *,
    on_event: OnEvent,
    on_rollout: OnRollout,
    said: Mapping[int, int] = MappingProxyType({}),
) -> Rollout:
    """Follow a rollout to its end, and each deployment of it.

    Args:
        control: Where it is.
        number: Of the rollout.
        on_event: Gets each line of the journals.
        on_rollout: Gets each state of the rollout.
        said: Last line by deployment of what was followed when it happened: only later lines are new.

    Raises:
        NexusError: Control did not answer for `LOST_S`.
    """
    loop = asyncio.get_running_loop()
    known, answered_s, followed = "", loop.time(), set[int]()
    while True:
        try:
            found = await control.rollout(number, state=known, wait_s=FOLLOW_WAIT_S)
        except NexusError as error:
            if not error.retriable or loop.time() - answered_s > LOST_S:
                raise
            await asyncio.sleep(AGAIN_S)
            continue
        answered_s = loop.time()
        if known != (state := f"{found.state}/{found.wave}"):
            on_rollout(found)
        known = state
        for deployment in (found.waves[found.wave - 1].deployment, found.undone_by):
            if deployment in said and found.state == "waiting":
                continue  # it ended before, and continues when the wave begins again
            if deployment and deployment not in followed:
                followed.add(deployment)
                await follow(control, deployment, after=said.get(deployment, 0), on_event=on_event)
        if found.state not in ACTIVE:
            return found
