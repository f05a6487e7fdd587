"""Routes of discoveries that the worker does. Who may apply a device may have it browsed: that loads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
import orjson
from fastapi import Depends, FastAPI, Path, Query, Response
from ulid import ULID

from nexus_cli.access.globs import matches_glob
from nexus_cli.database import deployments as db
from nexus_cli.database import device_walks as walks
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.database.deployments import write_audit
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.control.service import Service
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.wire.control_discoveries import (
    DeviceDiscoveries,
    DeviceDiscovery,
    DiscoveredItems,
    DiscoveryQuestion,
)

WalkId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9]+$")]


def add_discovery_routes(app: FastAPI, *, base: str, service: Service, leader: Callable[[], Pool]) -> None:
    """Add them.

    Args:
        app: The API.
        base: Of the site.
        service: For reading.
        leader: Gives the pool of a control that leads; raises NexusError NX6408 in a standby.
    """
    question, site = Depends(reader(DiscoveryQuestion)), service.site

    def require(caller: Caller, device: str) -> None:
        if not (caller.held.admin or any(matches_glob(glob, device) for glob in caller.held.apply)):
            raise NexusError(
                f"{caller.principal} may not have '{device}' browsed.",
                code="NX6403",
                hint="a role whose `apply` covers the device: browsing loads it",
            )

    async def found(walk: str) -> DeviceDiscovery:
        async with service.connection() as conn:
            one = await walks.find_walk(conn, site, walk)
        if one is None:
            raise NexusError(f"There is no discovery '{walk}'.", code="NX6921")
        return one

    @app.post(base + "/discoveries", status_code=202, openapi_extra=documented(DiscoveryQuestion))
    async def discover(caller: Caller = CALLING, body: DiscoveryQuestion = question) -> Response:
        """Let the worker browse a device through its gateway."""
        require(caller, body.device)
        address = f"device.{body.device}"
        async with service.connection() as conn:
            device = (await db.attributes(conn, site, [address])).get(address)
        gateway = body.via or str((device or {}).get("gateway") or "")
        if device is None or not gateway:
            raise NexusError(
                f"No gateway runs a device '{body.device}'.", code="NX6614", hint="nexus apply, then ask again"
            )
        asked = {name: value for name, value in msgspec.structs.asdict(body).items() if name not in ("device", "via")}
        new = walks.NewWalk(
            id=str(ULID()),
            who=caller.principal,
            device=body.device,
            gateway=gateway,
            protocol=str(device.get("protocol") or ""),
            wanted=asked,
        )
        with plain_errors(service.settings):
            async with leader().acquire() as conn:
                made = await walks.add_walk(conn, site, new)
        said = answer(made, status=202)
        said.headers["location"] = f"/v1/sites/{site}/discoveries/{made.id}"
        return said

    @app.get(base + "/discoveries")
    async def listing(limit: Annotated[int, Query(ge=1, le=walks.MOST_LISTED)] = 50) -> Response:
        """Discoveries, the newest first."""
        async with service.connection() as conn:
            return answer(DeviceDiscoveries(discoveries=await walks.list_walks(conn, site, limit=limit)))

    @app.get(base + "/discoveries/{walk}")
    async def one(walk: WalkId) -> Response:
        """One discovery: how far it is."""
        return answer(await found(walk))

    @app.get(base + "/discoveries/{walk}/items")
    async def items(walk: WalkId, after: Annotated[int, Query(ge=0, lt=2**31)] = 0) -> Response:
        """Some of what a discovery found, in order."""
        await found(walk)
        async with service.connection() as conn:
            lines = await walks.piece_of(conn, site, walk, after + 1)
        if lines is None:
            return answer(DiscoveredItems(items=[]))
        entries = (orjson.loads(line) for line in lines.splitlines())
        found_here = [entry["found"] for entry in entries if "found" in entry]
        return answer(DiscoveredItems(items=found_here, after=after + 1))

    @app.delete(base + "/discoveries/{walk}")
    async def remove(walk: WalkId, caller: Caller = CALLING) -> Response:
        """Remove a discovery, and what it found; one that runs ends."""
        gone = await found(walk)
        require(caller, device := gone.device)
        with plain_errors(service.settings):
            async with leader().acquire() as conn, conn.transaction():
                await walks.remove(conn, site, walk)
                who, what = caller.principal, "delete-discovery"
                await write_audit(conn, site, who=who, what=what, subject=device, detail={"detail": walk})
        return answer(gone)
