"""Devices: their links, whether they answer, and how they are read."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from fastapi import FastAPI, Query, Response

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.external import EXTERNAL
from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import route
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.caller_rights import Mask
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.qualities import QualityOfTags
from nexus_cli.runtime.web.rest.asking import DevicePath, Text, described
from nexus_cli.runtime.web.rest.branches import counts_of
from nexus_cli.runtime.web.rest.documents import Document, document_of
from nexus_cli.runtime.web.rest.reports import Reports
from nexus_cli.runtime.web.site_view import DeviceView
from nexus_cli.wire.gateway_health import GatewayHealth, SilentDevice
from nexus_cli.wire.web_plant import Devices, DeviceState

ROUTES = (route("GET", "/devices", "values:read"), route("GET", "/devices/{path:path}", "values:read"))
MOST_DEVICES = 5_000
State = Literal["", "answers", "silent", "link", "gateway", "unread", "disabled", "external"]
S_US = 1_000_000


def add_device_routes(app: FastAPI, *, base: str, parts: WebParts, reports: Reports) -> None:
    """Add them."""

    @app.get(base + "/devices", responses=described(Devices))
    async def devices(
        path: Annotated[Text, Query(description="Only those at or below `area` or `area/line`.")] = "",
        gateway: Text = "",
        state: State = "",
        document: Annotated[Document | None, Query(description="Those that run this.")] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_DEVICES)] = 1000,
        offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
        caller: Caller = CALLING,
    ) -> Response:
        """Devices of which the caller may read a tag, with how they are. As `nexus status`."""
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        known, health = await parts.qualities.of(view), _by_gateway(reports)
        below = path.strip("/")
        wanted = [
            one
            for one in view.devices.values()
            if (not below or one.path == below or one.path.startswith(f"{below}/")) and gateway in ("", one.gateway)
        ]
        found = await asyncio.to_thread(_states, wanted, health, rights.readable, known)
        states = Counter(each.state for each in found)
        if state:
            found = [each for each in found if each.state == state]
        if document is not None:
            found = [each for each in found if each.document == document]
        return answer(Devices(devices=found[offset : offset + limit], total=len(found), states=dict(states)))

    @app.get(base + "/devices/{path:path}", responses=described(DeviceState))
    async def device(path: DevicePath, caller: Caller = CALLING) -> Response:
        """One device. As `nexus status`."""
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        one = view.devices.get(path)
        if one is None or not rights.readable[one.first : one.last].any():
            raise NexusError(f"There is no device '{path[:200]}' that you may read.", code="NX6921")
        health = _by_gateway(reports).get(one.gateway)
        return answer(state_of(one, health, rights.readable, await parts.qualities.of(view)))


def _states(
    wanted: Sequence[DeviceView], health: Mapping[str, Reported], readable: Mask, known: QualityOfTags
) -> list[DeviceState]:
    return [
        state_of(one, health.get(one.gateway), readable, known)
        for one in wanted
        if readable[one.first : one.last].any()
    ]


class Reported:
    """A gateway's health, with its silent devices by path."""

    def __init__(self, health: GatewayHealth) -> None:
        """Of one gateway."""
        self.health = health
        self.silent: dict[str, SilentDevice] = {one.path: one for one in health.silent}


def _by_gateway(reports: Reports) -> dict[str, Reported]:
    return {name: Reported(health) for name, health in reports.gateways().items()}


def state_of(device: DeviceView, reported: Reported | None, readable: Mask, qualities: QualityOfTags) -> DeviceState:
    """A device as its gateway says."""
    seen = qualities[device.first : device.last][readable[device.first : device.last]]
    state, detail, since = _state(device, reported)
    health = reported.health if reported is not None else GatewayHealth()
    link = health.links.get(device.link)
    silent = reported.silent.get(device.path) if reported is not None else None
    reads, limited = health.reads.get(device.path), health.limited.get(device.path)
    return DeviceState(
        path=device.path,
        protocol=device.protocol,
        gateway=device.gateway,
        link=device.link,
        description=device.description,
        enabled=device.enabled,
        state=state,
        detail=detail,
        since=since,
        document=document_of(device, reported.health if reported is not None else None),
        link_state=link.state if link is not None else "",
        link_detail=link.detail if link is not None else "",
        link_since=link.since if link is not None else 0,
        reason=silent.reason if silent is not None else "",
        code=silent.code if silent is not None else 0,
        tags=len(seen),
        counts=counts_of(seen),
        polls=reads.polls if reads is not None else None,
        missed=reads.missed if reads is not None else None,
        skipped=reads.skipped if reads is not None else None,
        errors=reads.errors if reads is not None else None,
        errors_by_kind=reads.kinds if reads is not None else {},
        last_answer=reads.answered_s * S_US if reads is not None else None,
        read_ms=reads.read_ms if reads is not None and reads.answered_s else None,
        polled_instead=limited.count if limited is not None else 0,
        limits=limited.why if limited is not None else "",
    )


def _state(device: DeviceView, reported: Reported | None) -> tuple[str, str, int]:
    """State, why, and since when."""
    if device.protocol == EXTERNAL:
        return "external", "", 0
    if not device.enabled:
        return "disabled", "out of service by the site file", 0
    if reported is None:
        return "gateway", f"gateway {device.gateway} has not reported", 0
    health = reported.health
    if health.state != "running":
        since = health.time if isinstance(health.time, int) else 0
        return "gateway", f"gateway {device.gateway} is not running ({health.state})", since
    link = health.links.get(device.link)
    if link is None:
        return "gateway", f"gateway {device.gateway} does not run this device (yet)", 0
    if link.state != "connected":
        return "link", link.detail, link.since
    silent = reported.silent.get(device.path)
    if silent is not None:
        return "silent", f"{silent.reason} {silent.detail}".strip(), silent.since
    reads = health.reads.get(device.path)
    if reads is not None and not reads.answered_s:
        return "unread", "", 0
    return "answers", "", reads.answered_s * S_US if reads is not None else link.since
