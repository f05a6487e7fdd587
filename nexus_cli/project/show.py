"""`nexus show`: what is on record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from nexus_cli.diagnostics import NexusError
from nexus_cli.diagnostics.missing import hint_of_missing
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.json_value import JsonObject
from nexus_cli.plan.document import PlanDocument
from nexus_cli.settings import Settings
from nexus_cli.wire.control import Deployment, Lock, Running
from nexus_cli.wire.control_aliases import Alias
from nexus_cli.wire.control_plans import DeploymentPlan
from nexus_cli.wire.http import ControlClient


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedState:
    """What is recorded, in the order in which `nexus show` prints it.

    Attributes:
        site: `enterprise/site`.
        deployment, digest, digests, running: As in `wire.control.State`.
        deployments: The newest first.
        lock: Who holds it; None when it is free.
        aliases: Old paths under which values are published for a while.
    """

    site: str
    deployment: int
    digest: str
    digests: dict[str, str]
    running: list[Running]
    deployments: list[Deployment]
    lock: Lock | None
    aliases: list[Alias] = field(default_factory=list)


def recorded_state(settings: Settings) -> RecordedState:
    """What is recorded. Raises NexusError of control."""
    return asyncio.run(_recorded(settings))


def recorded_resource(settings: Settings, address: str) -> JsonObject:
    """Attributes of one resource; a device or tag may be named by its bare path.

    Raises:
        NexusError: NX6406, it is not recorded, with what it is called now, or the nearest that is; NX6400 and others of control.
    """
    return asyncio.run(_resource(settings, address))


def deployment_plan(settings: Settings, number: int) -> tuple[PlanDocument, str]:
    """The plan of a deployment on record, and what of it can't be computed any more ("" when it is whole).

    Raises:
        NexusError: NX5006, there is no such deployment; NX6400 and others of control.
    """
    found = asyncio.run(_deployment_plan(settings, number))
    return cast("PlanDocument", found.plan), found.note


async def _deployment_plan(settings: Settings, number: int) -> DeploymentPlan:
    async with ControlClient(settings) as control:
        return await control.call("GET", f"/deployments/{number}/plan", DeploymentPlan, params={"document": "true"})


async def _recorded(settings: Settings) -> RecordedState:
    async with ControlClient(settings) as control:
        state = await control.state()
        return RecordedState(
            site=settings.site,
            deployment=state.deployment,
            digest=state.digest,
            digests=state.digests,
            running=state.running,
            deployments=await control.deployments(),
            lock=await control.lock(),
            aliases=state.aliases,
        )


async def _resource(settings: Settings, address: str) -> JsonObject:
    kind, _, name = address.partition(".")
    if "/" in kind:  # a bare path
        kind, name = ("tag" if address.count("/") == 3 else "device"), address
    async with ControlClient(settings) as control:
        if kind != "tag":
            wanted = f"{kind}.{name}" if name else kind
            found = (await control.resources([wanted])).get(wanted)
            near: Sequence[str] = ()
        else:
            device, _, tag = name.rpartition("/")
            wanted = f"device.{device}"
            tags = (await control.resources([wanted])).get(wanted, {}).get("tags", {})
            found, near = tags.get(tag), [f"{device}/{each}" for each in tags]
        if found is not None:
            return dict(found)
        full = f"{kind}.{name}" if name else kind
        now = (await control.recorded([full])).renamed.get(full)
        digests = (await control.state()).digests

    if now is not None:
        path = now.partition(".")[2]
        raise NexusError(f"'{address}' was renamed: it is {path} now.", code="NX6406", hint=f"nexus show {path}")
    hint = ""
    if Path(address).suffix and kind not in {each.partition(".")[0] for each in digests}:
        hint = hint_of_missing(address)  # it may be the path of a saved plan
    hint = hint or (did_you_mean(name, near) if near else did_you_mean(wanted, digests))
    raise NexusError(
        f"'{address}' is not recorded.",
        code="NX6406",
        hint=hint or "`nexus show` counts what is; name it KIND.NAME or by its path",
    )
