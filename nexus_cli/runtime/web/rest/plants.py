"""How everything runs: what `nexus status` shows, from health messages and the database."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from fastapi import FastAPI, Response

from nexus_cli.certificates.expiry import utc_now
from nexus_cli.certificates.files import expiries_of
from nexus_cli.database.records import database_bytes
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import route
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.rest.asking import described
from nexus_cli.runtime.web.rest.branches import counts_of
from nexus_cli.runtime.web.rest.documents import differing
from nexus_cli.runtime.web.rest.reports import Reports
from nexus_cli.runtime.web.rest.stored import Stored
from nexus_cli.settings import Settings
from nexus_cli.wire.gateway_health import GatewayHealth
from nexus_cli.wire.health import ControlHealth, DriftHealth, Health, HistorianHealth, WebHealth, WorkerHealth
from nexus_cli.wire.web_plant import (
    CertificateState,
    DatabaseHealth,
    DiskState,
    OutboxState,
    PartHealth,
    PlantHealth,
    RoleHealth,
)

ROUTES = (route("GET", "/health", "values:read"),)
SILENT_US = 30_000_000
"""A process that runs reports every 10 s."""
LITTLE_FREE = 0.05
"""Less of a disk is reported."""
LITTLE_BYTES = 1 << 30
"""Of a gateway's disk, whose size is not known."""
REQUIRED = ("control", "historian")
"""Roles of which one must run."""


def add_plant_routes(app: FastAPI, *, base: str, parts: WebParts, stored: Stored, reports: Reports) -> None:
    """Add them."""

    @app.get(base + "/health", responses=described(PlantHealth))
    async def health(caller: Caller = CALLING) -> Response:
        """Roles, broker, database, outboxes, disk and certificates. As `nexus status`."""
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        counts = counts_of((await parts.qualities.of(view))[rights.readable])
        said, gateways = list(reports.all()), reports.gateways()
        roles = sorted(
            (_role(*one, now_us=parts.clock.wall_us()) for one in said), key=lambda one: (one.role, one.name)
        )
        broker, database = _broker(parts), await _database(parts, stored)
        certificates, disks = await asyncio.to_thread(_here, parts.settings)
        outboxes = [_outbox(name, one) for name, one in sorted(gateways.items()) if one.outbox.epoch]
        declared = {name for name, _ in view.of_kind("gateway")} | {one.gateway for one in view.devices.values()}
        problems = [
            *_of_parts(broker, database),
            *_of_roles(roles, declared - {""}),
            *(f"gateway {one.gateway}: {one.failing}" for one in outboxes if one.failing),
            *differing(view, gateways),
            *_of_disks(disks, outboxes),
            *(one.doubt for one in certificates if one.doubt),
        ]
        return answer(
            PlantHealth(
                site=parts.settings.site,
                deployment=view.number,
                state="degraded" if problems else "up",
                problems=problems,
                roles=roles,
                broker=broker,
                database=database,
                outboxes=outboxes,
                disks=disks,
                certificates=certificates,
                links=dict(Counter(link.state for one in gateways.values() for link in one.links.values())),
                silent_devices=_silent(gateways.values()),
                counts=counts,
                drift=_drift([one for _, _, one in said]),
            )
        )


def _role(role: str, name: str, health: Health, *, now_us: int) -> RoleHealth:
    time = health.time if isinstance(health.time, int) else 0
    state = health.state if isinstance(health.state, str) else "lost"
    if state in ("running", "waiting") and time < now_us - SILENT_US:
        state = "silent"
    return RoleHealth(
        role=role,
        name=name,
        state=state,
        time=time,
        version=health.version if isinstance(health.version, str) else "",
        host=health.host if isinstance(health, GatewayHealth) else "",
        detail=_detail(health),
    )


def _drift(said: Iterable[Health]) -> DriftHealth | None:
    """Of the control that leads."""
    found = (one.drift for one in said if isinstance(one, ControlHealth) and one.leads)
    return next((one for one in found if isinstance(one, DriftHealth)), None)


def _detail(health: Health) -> str:
    """What a process says is wrong with it."""
    said: list[str] = []
    if isinstance(health, GatewayHealth):
        said = [health.waiting, health.configuration, health.clock.doubt, health.commands.failing, *health.stalled]
    elif isinstance(health, HistorianHealth):
        said = [*_away("broker", health.broker), *_away("database", health.database), health.clock_doubt]
        said += health.stalled
    elif isinstance(health, (WebHealth, WorkerHealth)):
        said = [*_away("broker", health.broker), *_away("database", health.database), *health.stalled]
    elif isinstance(health, ControlHealth):
        stalled = health.stalled if isinstance(health.stalled, list) else []
        said = [health.detail, *(stalled if health.leads else ["standby"])]
    return "; ".join(filter(None, said))


def _away(name: str, said: str) -> list[str]:
    return [] if said in ("", "connected") else [f"{name}: {said}"]


def _broker(parts: WebParts) -> PartHealth:
    if parts.client.connected:
        return PartHealth(state="up")
    problem = parts.client.problem
    return PartHealth(state="down", detail=problem.message if problem is not None else "there is no connection yet")


async def _database(parts: WebParts, stored: Stored) -> DatabaseHealth:
    try:
        async with stored.reading() as conn:
            return DatabaseHealth(state="up", size_bytes=await database_bytes(conn))
    except NexusError as error:
        return DatabaseHealth(state="down", detail=error.message)


def _here(settings: Settings) -> tuple[list[CertificateState], list[DiskState]]:
    """Certificates and disk of this machine. Reads files."""
    now = utc_now()
    certificates = [
        CertificateState(name=one.name, not_after=round(one.not_after.timestamp() * 1e6), doubt=one.doubt(now))
        for one in expiries_of(settings.home, settings)
    ]
    try:
        usage = shutil.disk_usage(settings.home)
    except OSError:
        return certificates, []
    return certificates, [DiskState(where="web", total_bytes=usage.total, free_bytes=usage.free)]


def _outbox(name: str, health: GatewayHealth) -> OutboxState:
    outbox = health.outbox
    return OutboxState(
        gateway=name,
        size_bytes=outbox.bytes,
        free_bytes=outbox.free_bytes,
        uncommitted=outbox.uncommitted,
        failing=outbox.failing,
        lost=outbox.lost,
        waiting_topics=len(outbox.waiting_topics),
    )


def _of_parts(broker: PartHealth, database: DatabaseHealth) -> Iterator[str]:
    for name, part in (("broker", broker), ("database", database)):
        if part.state != "up":
            yield f"the {name} is down: {part.detail}"


def _of_roles(roles: Sequence[RoleHealth], gateways: set[str]) -> Iterator[str]:
    running = {(one.role, one.name) for one in roles if one.state in ("running", "waiting")}
    for role in REQUIRED:
        if not any(each == role for each, _ in running):
            yield f"no {role} is running"
    for name in sorted(gateways):
        if ("gateway", name) not in running:
            yield f"gateway {name} is not running"
    for one in roles:
        if one.detail and one.detail != "standby" and (one.role, one.name) in running:
            yield f"{one.role} {one.name}: {one.detail}"


def _of_disks(disks: Sequence[DiskState], outboxes: Sequence[OutboxState]) -> Iterator[str]:
    for disk in disks:
        if disk.free_bytes < disk.total_bytes * LITTLE_FREE:
            yield f"the disk of {disk.where} has {disk.free_bytes / 1e9:.1f} GB free"
    for one in outboxes:
        if one.free_bytes is not None and one.free_bytes < LITTLE_BYTES:
            yield f"the disk of gateway {one.gateway} has {one.free_bytes / 1e9:.1f} GB free"


def _silent(gateways: Iterable[GatewayHealth]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for one in gateways:
        reasons = one.silent_reasons
        found.update(reasons if isinstance(reasons, dict) else Counter(each.reason for each in one.silent))
    return dict(found.most_common())
