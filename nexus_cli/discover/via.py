"""Ask a running gateway to browse through its own link, over the broker.

A long walk is asked for piece by piece: the gateway looks at the nodes that it is handed, and what it finds below them
comes back to be asked for later. So a gateway that is restarted, and a command that is ended, lose one piece at most.
A link that drops in the middle of a walk, or a gateway that is started again, is waited for, a bounded time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import orjson
from ulid import ULID

from nexus_cli.diagnostics import NexusError
from nexus_cli.discover.frontier import MAX_NODES, Frontier
from nexus_cli.discover.online import Wanted
from nexus_cli.discover.target import HERE, PLACE, Target
from nexus_cli.drivers.base import Browsed
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.topic import Topics

SILENCE_S = 12.0
"""The gateway says something at least every three seconds."""
PATIENCE_S = 30.0
"""Longest wait for a link or a gateway that was there in this walk, since the last thing that it told."""
FIRST_PATIENCE_S = 4.0
"""Longest wait for a link that is being opened when a walk begins."""
PAUSE_S = 0.5


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
        target: Its device's path when the site has it, else its link and connection, on_progress the gateway which one.
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
        raise NexusError("Which site?", code="NX6510", hint="set NEXUS_SITE=enterprise/site")
    request = _request(target, wanted)
    asking = _Asking(settings, Topics(enterprise, site), gateway=gateway, silence_s=silence_s or SILENCE_S)
    async with contextlib.aclosing(asking):
        walk = _whole(asking, request) if frontier is None else _pieces(asking, request, frontier)
        async with contextlib.aclosing(walk) as found:
            async for browsed in found:
                yield browsed


async def _whole(asking: _Asking, request: dict[str, Any]) -> AsyncGenerator[Browsed, None]:
    """A walk that is one request; begun anew when it was cut, and then what was told before is left out."""
    told: set[tuple[Any, ...]] = set()
    patience = _Patience()
    while True:
        try:
            async with contextlib.aclosing(asking.pages(request)) as answers:
                async for browsed in answers:
                    identity = (browsed.path, browsed.address, "" if browsed.address else str(browsed.detail))
                    if browsed.detail.get("beat") or identity not in told:
                        told.add(identity)
                        yield browsed
                    patience.renew()
            return
        except NexusError as error:
            cut = error
        async for sign in patience.bear(cut):
            yield sign


async def _pieces(asking: _Asking, request: dict[str, Any], frontier: Frontier) -> AsyncGenerator[Browsed, None]:
    """A walk that is asked for piece by piece; of a piece that was cut, only what was not done is asked for again."""
    told_facts = False
    patience = _Patience()
    while nodes := frontier.batch():
        queued: list[Any] = []
        found: list[Browsed] = []  # counts when the nodes that it was found below are done
        try:
            async with contextlib.aclosing(asking.pages({**request, "nodes": nodes})) as answers:
                async for browsed in answers:
                    if not browsed.detail.get("beat"):
                        found.append(browsed)
                        continue
                    queued += browsed.detail.get("queued", ())
                    done = browsed.detail.get("done", 0)
                    if not done:
                        yield _beat(0, [])  # so that whoever waits can be interrupted
                        continue
                    patience.renew()
                    for one in found:
                        if "facts" in one.detail:  # of every piece the same
                            if not told_facts:
                                yield one
                            told_facts = True
                        elif frontier.is_new(one):
                            yield one
                    yield _beat(done, frontier.done(done, queued))
                    queued, found = [], []
            continue
        except NexusError as error:
            cut = error
        async for sign in patience.bear(cut):
            yield sign
    if frontier.refused:
        reason = f"{frontier.refused} nodes beyond {MAX_NODES:,}"
        yield Browsed(("…",), "", "", detail={"skipped": reason, "unseen": True})


def _beat(done: int, queued: list[Any]) -> Browsed:
    return Browsed((), "", "", detail={"beat": True, "done": done, "queued": queued})


def _now_s() -> float:
    """Seconds on the clock that the loop's deadlines go by."""
    return asyncio.get_running_loop().time()


class _Patience:
    """How long a link or a gateway that is away is waited for."""

    def __init__(self) -> None:
        self._met = False
        self._since_s = _now_s()

    def renew(self) -> None:
        """It told something."""
        self._met, self._since_s = True, _now_s()

    async def bear(self, cut: NexusError) -> AsyncGenerator[Browsed, None]:
        """Rest before asking again, with signs of life meanwhile. Raises the error when the time for it is over."""
        longest_s = PATIENCE_S if self._met else FIRST_PATIENCE_S
        if not cut.retriable or not (self._met or cut.code == "NX6610") or _now_s() - self._since_s >= longest_s:
            raise cut
        for _ in range(2):
            yield Browsed((), "", "", detail={"beat": True, "done": 0, "queued": [], "waiting": cut.message})
            await asyncio.sleep(PAUSE_S)


def _request(target: Target, wanted: Wanted) -> dict[str, Any]:
    assert target.device is not None
    request: dict[str, Any] = {"start": wanted.start, "depth": wanted.depth, "properties": wanted.properties}
    if target.device.path != HERE:
        return {**request, "device": target.device.path}
    held = target.device.connection
    place = {key: held[key] for key in PLACE if key in target.connection and key in held}
    return {**request, "link": target.device.link, "connection": place}


async def read_via(device: str, tag: str, *, gateway: str, settings: Settings) -> dict[str, Any]:
    """What a device answers now when a gateway reads the address of one of its tags: `read` of `browse-page`.

    Raises:
        NexusError: NX6610 the gateway refuses, NX6611 it does not answer or knows no such request, NX6010 … of the broker.
    """
    enterprise, _, site = settings.site.partition("/")
    asking = _Asking(settings, Topics(enterprise, site), gateway=gateway, silence_s=SILENCE_S)
    async with (
        contextlib.aclosing(asking),
        contextlib.aclosing(asking.answers({"device": device, "read": tag})) as pages,
    ):
        async for page in pages:
            if isinstance(page.get("read"), dict):
                found: dict[str, Any] = page["read"]
                return found
            if page.get("items"):
                break  # it took the request for one to browse
    raise NexusError(
        f"The gateway '{gateway}' can't read for others.", code="NX6611", hint="it runs an older version of nexus"
    )


class _Asking:
    """One request after the other, each answered in pages.

    After one that was cut, pages may still be under way: the next one goes out under another name, by a connection of
    its own.
    """

    def __init__(self, settings: Settings, topics: Topics, *, gateway: str, silence_s: float) -> None:
        self._settings, self._topics, self._gateway = settings, topics, gateway
        self._topic = topics.browse(gateway, settings.principal)
        self._silence_s = silence_s
        self._name = ""
        self._open = contextlib.AsyncExitStack()

    async def _connect(self) -> None:
        name = str(ULID())
        self._client = BrokerClient(settings=self._settings, client_id=client_id("browse"))
        self._messages = await self._open.enter_async_context(self._client.session())
        await self._client.subscribe([(self._topics.response(self._gateway, self._settings.principal, name), 1)])
        self._name = name

    async def aclose(self) -> None:
        """Leave the broker."""
        self._name = ""
        await self._open.aclose()
        self._open = contextlib.AsyncExitStack()

    async def pages(self, request: dict[str, Any]) -> AsyncGenerator[Browsed, None]:
        """What one request brings, as `answers`."""
        async with contextlib.aclosing(self.answers(request)) as answers:
            async for page in answers:
                if not page.get("items"):
                    yield _beat(0, [])
                for path, address, type_, unit, description, writable, detail in page.get("items", ()):
                    yield Browsed(tuple(path), address, type_, unit, description, writable, _restored(detail))

    async def answers(self, request: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The pages of one request. Raises NexusError as `browse_via`; retriable when it may be answered soon."""
        if not self._name:
            await self._connect()
        name = self._name
        await self._client.publish(self._topic, orjson.dumps({"id": name, **request}))
        done, expected = False, 0
        try:
            while not done:
                page = await self._page()
                expected += 1
                if page.get("error"):
                    done = True
                    what = "read it" if request.get("read") else "browse"
                    why = f"The gateway '{self._gateway}' does not {what}: {page['error']}."
                    raise NexusError(why, code="NX6610", retriable=bool(page.get("again")))
                if page.get("page") != expected:
                    raise NexusError(f"A page of '{self._gateway}' was lost.", code="NX6611", retriable=True)
                done = bool(page.get("done"))
                yield page
        finally:
            if not done:
                with contextlib.suppress(NexusError):
                    await self._client.publish(self._topic, orjson.dumps({"id": name, "cancel": True}))
                with contextlib.suppress(NexusError):
                    await self.aclose()

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
