"""Ask a running gateway to browse through its own link, over the broker."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from typing import Any

import orjson
from ulid import ULID

from nexus_cli.diagnostics import NexusError
from nexus_cli.discover.online import Wanted
from nexus_cli.discover.target import HERE, Target
from nexus_cli.drivers.base import Browsed
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.topic import Topics

SILENCE_S = 12.0
"""The gateway says something at least every three seconds."""


async def browse_via(
    target: Target, *, gateway: str, wanted: Wanted, settings: Settings, silence_s: float = SILENCE_S
) -> AsyncGenerator[Browsed, None]:
    """What a gateway browses, in order. Ending the iteration early cancels the walk there.

    Args:
        target: Its device's path when the site has it, else its link, tells the gateway which one.
        gateway: Name of the gateway.
        wanted: `start`, `depth` and `properties` go along; filters are ours.
        settings: Site and broker.
        silence_s: Longest wait for a page.

    Raises:
        NexusError: NX6610 the gateway refuses, NX6611 it does not answer, NX6010 … of the broker.
    """
    enterprise, slash, site = settings.site.partition("/")
    if not slash:
        raise NexusError("Which site?", code="NX6510", hint="set NEXUS_SITE=enterprise/site", exit_code=1)
    assert target.device is not None
    topics = Topics(enterprise, site)
    name = str(ULID())
    ask = topics.browse(gateway, settings.principal)
    request: dict[str, Any] = {"id": name, "start": wanted.start, "depth": wanted.depth}
    request["properties"] = wanted.properties
    if target.device.path != HERE:
        request["device"] = target.device.path
    else:
        request["link"] = target.device.link
    client = BrokerClient(settings=settings, client_id=f"nexus-browse-{os.getpid()}-{os.urandom(3).hex()}")
    async with client.session() as messages:
        await client.subscribe([(topics.response(settings.principal, name), 1)])
        await client.publish(ask, orjson.dumps(request))
        done, expected = False, 0
        try:
            while not done:
                try:
                    async with asyncio.timeout(silence_s):
                        page = orjson.loads((await anext(messages)).payload)
                except TimeoutError:
                    raise NexusError(
                        f"The gateway '{gateway}' does not answer.",
                        code="NX6611",
                        hint="nexus status shows which gateways run",
                        retriable=True,
                    ) from None
                expected += 1
                if page.get("error"):
                    done = True
                    raise NexusError(f"The gateway '{gateway}' does not browse: {page['error']}.", code="NX6610")
                if page.get("page") != expected:
                    raise NexusError(f"A page of '{gateway}' was lost.", code="NX6611", retriable=True)
                done = bool(page.get("done"))
                for path, address, type_, unit, description, writable, detail in page.get("items", ()):
                    yield Browsed(tuple(path), address, type_, unit, description, writable, _restored(detail))
        finally:
            if not done:
                with contextlib.suppress(NexusError):
                    await client.publish(ask, orjson.dumps({"id": name, "cancel": True}))


def _restored(detail: dict[str, Any]) -> dict[str, Any]:
    """JSON made the codes of an enumeration texts."""
    for part in (detail, detail.get("keys", {})):
        if isinstance(part.get("values"), dict):
            part["values"] = {int(code): label for code, label in part["values"].items()}
    return detail
