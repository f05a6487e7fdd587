"""Have a running gateway check its devices: what is at the declared addresses now. Over the broker, as a walk through it.

See docs/decisions/0106.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import msgspec

from nexus_cli.diagnostics import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.discover.via import SILENCE_S, Asking
from nexus_cli.drivers.examined import DeviceExamined, Examined, Presence
from nexus_cli.settings import Settings
from nexus_cli.wire.browse import BrowseRequest, CheckedAddress
from nexus_cli.wire.topic import Topics

OLDER = "its gateway runs an older version of nexus, which checks no devices"


async def check_via(
    devices: Sequence[str], *, gateway: str, settings: Settings, silence_s: float = SILENCE_S
) -> AsyncGenerator[DeviceExamined, None]:
    """One answer per device, in order, each as soon as it is known. A device that can't be looked at has its reason.

    Args:
        devices: Paths of devices of this gateway.
        gateway: Its name.
        settings: Site and broker; the gateway answers `settings.principal`.
        silence_s: Longest wait for a page; after it the rest of the devices is not asked for.
    """
    enterprise, _, site = settings.site.partition("/")
    asking = Asking(settings, Topics(enterprise, site), gateway=gateway, silence_s=silence_s)
    gone = ""
    async with contextlib.aclosing(asking):
        for path in devices:
            if gone:
                yield DeviceExamined(path=path, unseen=gone)
                continue
            try:
                yield await _check(asking, path)
            except NexusError as error:
                why = f"{error.message} {error.cause or ''}".strip()
                yield DeviceExamined(path=path, unseen=why)
                if error.code != "NX6610":  # it is the gateway or the broker that is away, not the device
                    gone = why


async def check_gateways(asked: Mapping[str, Sequence[str]], *, settings: Settings) -> list[DeviceExamined]:
    """Have gateways check these devices side by side, each one device after the other. What can't be looked at says why."""
    found: dict[str, DeviceExamined] = {}

    async def of(gateway: str, paths: Sequence[str]) -> None:
        try:
            async with contextlib.aclosing(check_via(paths, gateway=gateway, settings=settings)) as answers:
                async for one in answers:
                    found[one.path] = one
        except NexusError as error:  # the broker, when the connection is left
            missing = [path for path in paths if path not in found]
            found.update({path: DeviceExamined(path=path, unseen=error.message) for path in missing})

    async with Group() as group:
        for gateway, paths in asked.items():
            group.create_task(of(gateway, paths), name=f"check {gateway}")
    return [found[path] for paths in asked.values() for path in paths]


async def _check(asking: Asking, path: str) -> DeviceExamined:
    addresses: dict[str, Examined] = {}
    identity: dict[str, str] = {}
    silent = ""
    async with contextlib.aclosing(asking.answers(BrowseRequest(id="", device=path, check=True))) as pages:
        async for page in pages:
            for item in page.items:
                names, detail = item[0], item[6]
                if "checked" in detail:
                    addresses[names[0]] = _examined(item)
                elif "silent" in detail:
                    silent = str(detail["silent"])
                elif "facts" in detail and not names:
                    identity = {str(name): str(value) for name, value in detail["facts"].items()}
                else:
                    return DeviceExamined(path=path, unseen=OLDER)
    return DeviceExamined(path=path, addresses=addresses, identity=identity, silent=silent)


def _examined(item: list[Any]) -> Examined:
    (name,), address, type_, *_, detail = item
    said = msgspec.convert(detail["checked"], CheckedAddress)
    known = {one.value for one in Presence}
    return Examined(
        name=str(name),
        presence=Presence(said.presence) if said.presence in known else Presence.UNKNOWN,
        address=str(address),
        type=str(type_),
        writable=said.writable,
        problem=said.problem,
        code=said.code,
    )
