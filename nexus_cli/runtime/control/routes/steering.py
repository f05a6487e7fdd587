"""Routes that take devices out of service, and that clear retained topics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fastapi import Depends, FastAPI, Response

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.bodies import Name, answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.control.clearing import Clearing
from nexus_cli.runtime.control.maintenance import Maintenance
from nexus_cli.runtime.control.service import Service
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.wire.control_steering import ClearRequest, OutOfServiceList, OutOfServiceRequest


class Steering(Protocol):
    """What only the leader has."""

    maintenance: Maintenance
    clearing: Clearing


def add_steering_routes(app: FastAPI, *, base: str, service: Service, acting: Callable[[], Steering]) -> None:
    """Add them; `acting` raises NexusError NX6408 in a standby."""
    request, clear_request = Depends(reader(OutOfServiceRequest)), Depends(reader(ClearRequest))

    async def gateway_of(caller: Caller, device: str) -> str:
        """The gateway of a device that the caller may take out of service. Raises NexusError NX6403, NX6802."""
        found = await service.device_facts(device)
        if not caller.held.serves(device, found.tags if found is not None else ()):
            raise NexusError(
                f"{caller.principal} may not take {device[:200]} out of service, or in.",
                code="NX6403",
                hint="a role that writes one of its tags, or whose `apply` covers it",
            )
        if found is None:
            raise NexusError(f"There is no device '{device[:200]}'.", code="NX6802")
        return found.gateway

    @app.get(base + "/out-of-service")
    async def listing(caller: Caller = CALLING) -> Response:
        found = await service.out_of_service()
        if not caller.may("state:read"):
            facts = {each.device: await service.device_facts(each.device) for each in found}
            served = {path for path, one in facts.items() if one and caller.held.serves(path, one.tags)}
            found = [each for each in found if each.device in served]
        return answer(OutOfServiceList(devices=found))

    @app.post(base + "/devices/{path:path}/out-of-service", openapi_extra=documented(OutOfServiceRequest))
    async def take_out(path: Name, caller: Caller = CALLING, body: OutOfServiceRequest = request) -> Response:
        await gateway_of(caller, path)
        made = await acting().maintenance.take_out(path, for_s=body.for_s, reason=body.reason, who=caller.principal)
        return answer(made)

    @app.delete(base + "/devices/{path:path}/out-of-service")
    async def take_in(path: Name, caller: Caller = CALLING) -> Response:
        gateway = await gateway_of(caller, path)
        return answer(await acting().maintenance.take_in(path, gateway=gateway, who=caller.principal))

    @app.post(base + "/retained/clear", openapi_extra=documented(ClearRequest))
    async def clear(caller: Caller = CALLING, body: ClearRequest = clear_request) -> Response:
        return answer(await acting().clearing.clear(body.topics, preview=body.preview, caller=caller))
