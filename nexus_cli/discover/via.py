"""Ask a running gateway to browse through its own link, over the broker.

A long walk is asked for piece by piece: the gateway looks at the nodes that it is handed, and what it finds below them
comes back to be asked for later. So a gateway that is restarted, and a command that is ended, lose one piece at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import orjson
from ulid import ULID

from nexus_cli.diagnostics import NexusError
from nexus_cli.discover.frontier import MAX_NODES, Frontier
from nexus_cli.discover.online import Wanted
from nexus_cli.discover.target import HERE, PLACE, Target
from nexus_cli.drivers.base import Browsed
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient, Message
from nexus_cli.wire.topic import Topics

SILENCE_S = 12.0
"""The gateway says something at least every three seconds."""


async def browse_via(
    target: Target,
    *,
    gateway: str,
    wanted: Wanted,
    settings: Settings,
    frontier: Frontier | None = None,
    silence_s: float | None = None,
) -> AsyncGenerator[Browsed, None]:
    """What a gateway browses, in order. Ending the iteration early cancels the walk there.

    Args:
        target: Its device's path when the site has it, else its link and connection, tell the gateway which one.
        gateway: Name of the gateway.
        wanted: `start`, `depth` and `properties` go along; filters are ours.
        settings: Site and broker.
        frontier: Where to go on, for protocols that are walked piece by piece.
        silence_s: Longest wait for a page, None for `SILENCE_S`.

    Raises:
        NexusError: NX6610 the gateway refuses, NX6611 it does not answer, NX6010 … of the broker.
    """
    enterprise, slash, site = settings.site.partition("/")
    if not slash:
        raise NexusError("Which site?", code="NX6510", hint="set NEXUS_SITE=enterprise/site", exit_code=1)
    topics = Topics(enterprise, site)
    name = str(ULID())
    request = {"id": name, **_request(target, wanted)}
    client = BrokerClient(settings=settings, client_id=f"nexus-browse-{os.getpid()}-{os.urandom(3).hex()}")
    async with client.session() as messages:
        await client.subscribe([(topics.response(settings.principal, name), 1)])
        asking = _Asking(client, messages, topics.browse(gateway, settings.principal), gateway, silence_s or SILENCE_S)
        if frontier is None:
            async with contextlib.aclosing(asking.pages(request)) as answers:
                async for browsed in answers:
                    yield browsed
            return
        told_facts = False
        while nodes := frontier.batch():
            queued: list[Any] = []
            async with contextlib.aclosing(asking.pages({**request, "nodes": nodes})) as answers:
                async for browsed in answers:
                    if browsed.detail.get("beat"):
                        queued += browsed.detail.get("queued", ())
                        if done := browsed.detail.get("done", 0):
                            fresh = frontier.done(done, queued)
                            queued = []
                            yield Browsed((), "", "", detail={"beat": True, "done": done, "queued": fresh})
                    elif "facts" in browsed.detail and told_facts:
                        continue  # of every piece the same
                    elif frontier.is_new(browsed):
                        told_facts = told_facts or "facts" in browsed.detail
                        yield browsed
        if frontier.refused:
            reason = f"{frontier.refused} nodes beyond {MAX_NODES:,}"
            yield Browsed(("…",), "", "", detail={"skipped": reason, "unseen": True})


def _request(target: Target, wanted: Wanted) -> dict[str, Any]:
    assert target.device is not None
    request: dict[str, Any] = {"start": wanted.start, "depth": wanted.depth, "properties": wanted.properties}
    if target.device.path != HERE:
        return {**request, "device": target.device.path}
    held = target.device.connection
    place = {key: held[key] for key in PLACE if key in target.connection and key in held}
    return {**request, "link": target.device.link, "connection": place}


class _Asking:
    """One request after the other, each answered in pages."""

    def __init__(
        self, client: BrokerClient, messages: AsyncIterator[Message], topic: str, gateway: str, silence_s: float
    ) -> None:
        self._client, self._messages, self._topic = client, messages, topic
        self._gateway, self._silence_s = gateway, silence_s

    async def pages(self, request: dict[str, Any]) -> AsyncGenerator[Browsed, None]:
        """What one request brings. Raises NexusError as `browse_via`."""
        await self._client.publish(self._topic, orjson.dumps(request))
        done, expected = False, 0
        try:
            while not done:
                page = await self._page()
                expected += 1
                if page.get("error"):
                    done = True
                    raise NexusError(f"The gateway '{self._gateway}' does not browse: {page['error']}.", code="NX6610")
                if page.get("page") != expected:
                    raise NexusError(f"A page of '{self._gateway}' was lost.", code="NX6611", retriable=True)
                done = bool(page.get("done"))
                for path, address, type_, unit, description, writable, detail in page.get("items", ()):
                    yield Browsed(tuple(path), address, type_, unit, description, writable, _restored(detail))
        finally:
            if not done:
                with contextlib.suppress(NexusError):
                    await self._client.publish(self._topic, orjson.dumps({"id": request["id"], "cancel": True}))

    async def _page(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._silence_s):
                page: dict[str, Any] = orjson.loads((await anext(self._messages)).payload)
                return page
        except TimeoutError:
            raise NexusError(
                f"The gateway '{self._gateway}' does not answer.",
                code="NX6611",
                hint="nexus status shows which gateways run",
                retriable=True,
            ) from None


def _restored(detail: dict[str, Any]) -> dict[str, Any]:
    """JSON made the codes of an enumeration texts."""
    for part in (detail, detail.get("keys", {})):
        if isinstance(part.get("values"), dict):
            part["values"] = {int(code): label for code, label in part["values"].items()}
    return detail
