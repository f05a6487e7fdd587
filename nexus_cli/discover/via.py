"""Ask a running gateway to browse through its own link, over the broker.

A long walk is requested piece by piece: the gateway browses the nodes of a request and returns the nodes below them,
which are requested later. So a restarted gateway, or an ended command, loses one piece at most. A link that drops in the
middle of a walk, or a gateway that restarts, is waited for, a bounded time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from msgspec.structs import replace
from ulid import ULID

from nexus_cli.diagnostics import NexusError
from nexus_cli.discover.filters import Wanted
from nexus_cli.discover.frontier import MAX_NODES, Frontier
from nexus_cli.discover.target import HERE, PLACE, Target
from nexus_cli.drivers.base import Browsed
from nexus_cli.drivers.browse_shapes import restored
from nexus_cli.settings import Settings
from nexus_cli.wire.browse import AddressRead, BrowsePage, BrowseRequest, TrialRead, decode_page
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.topic import Topics

SILENCE_S = 12.0
"""Longest time without a page; a gateway sends one at least every three seconds."""
PATIENCE_S = 30.0
"""Longest wait for a link or a gateway that answered in this walk, since its last answer."""
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
    """The things that a gateway browses, in order. Ending the iteration early cancels the walk there.

    Args:
        target: Named by its device's path when the site has it, else by its link and connection.
        gateway: Name of the gateway.
        wanted: `start`, `depth` and `properties` are sent; filters apply here.
        settings: Site and broker.
        frontier: Where to resume, for protocols that are walked piece by piece.
        silence_s: Longest wait for a page, None for `SILENCE_S`.

    Raises:
        NexusError: NX6610 the gateway refuses, NX6611 it does not answer, NX6010 … of the broker.
    """
    enterprise, slash, site = settings.site.partition("/")
    if not slash:
        raise NexusError("Which site?", code="NX6510", hint="set NEXUS_SITE=enterprise/site")
    request = _request(target, wanted)
    asking = Asking(settings, Topics(enterprise, site), gateway=gateway, silence_s=silence_s or SILENCE_S)
    async with contextlib.aclosing(asking):
        walk = _whole(asking, request) if frontier is None else _pieces(asking, request, frontier)
        async with contextlib.aclosing(walk) as found:
            async for browsed in found:
                yield browsed


async def _whole(asking: Asking, request: BrowseRequest) -> AsyncGenerator[Browsed, None]:
    """A walk in one request; repeated when it was cut, without what was reported before."""
    reported: set[tuple[Any, ...]] = set()
    retry = _Retry()
    while True:
        try:
            async with contextlib.aclosing(asking.pages(request)) as answers:
                async for browsed in answers:
                    identity = (browsed.path, browsed.address, "" if browsed.address else str(browsed.detail))
                    if browsed.detail.get("beat") or identity not in reported:
                        reported.add(identity)
                        yield browsed
                    retry.renew()
            return
        except NexusError as error:
            cut = error
        async for sign in retry.pause(cut):
            yield sign


async def _pieces(asking: Asking, request: BrowseRequest, frontier: Frontier) -> AsyncGenerator[Browsed, None]:
    """A walk in pieces; of a piece that was cut, only the nodes that are not done are requested again."""
    has_facts = False
    retry = _Retry()
    while nodes := frontier.batch():
        queued: list[Any] = []
        found: list[Browsed] = []  # counts when the nodes above it are done
        try:
            async with contextlib.aclosing(asking.pages(replace(request, nodes=nodes))) as answers:
                async for browsed in answers:
                    if not browsed.detail.get("beat"):
                        found.append(browsed)
                        continue
                    queued += browsed.detail.get("queued", ())
                    done = browsed.detail.get("done", 0)
                    if not done:
                        yield _beat(0, [])  # so that the caller can be interrupted
                        continue
                    retry.renew()
                    for one in found:
                        if "facts" in one.detail:  # each piece has the same
                            if not has_facts:
                                yield one
                            has_facts = True
                        elif frontier.is_new(one):
                            yield one
                    yield _beat(done, frontier.done(done, queued))
                    queued, found = [], []
            continue
        except NexusError as error:
            cut = error
        async for sign in retry.pause(cut):
            yield sign
    if frontier.refused:
        reason = f"{frontier.refused} nodes beyond {MAX_NODES:,}"
        yield Browsed(("…",), "", "", detail={"skipped": reason, "unseen": True})


def _beat(done: int, queued: list[Any]) -> Browsed:
    return Browsed((), "", "", detail={"beat": True, "done": done, "queued": queued})


def _now_s() -> float:
    """Seconds on the clock that the loop's deadlines go by."""
    return asyncio.get_running_loop().time()


class _Retry:
    """How long a link or a gateway that is away is waited for."""

    def __init__(self) -> None:
        self._answered = False
        self._since_s = _now_s()

    def renew(self) -> None:
        """It answered."""
        self._answered, self._since_s = True, _now_s()

    async def pause(self, cut: NexusError) -> AsyncGenerator[Browsed, None]:
        """Wait before the next request, with signs of life meanwhile. Raises the error when its time is over."""
        longest_s = PATIENCE_S if self._answered else FIRST_PATIENCE_S
        if not cut.retriable or not (self._answered or cut.code == "NX6610") or _now_s() - self._since_s >= longest_s:
            raise cut
        for _ in range(2):
            yield Browsed((), "", "", detail={"beat": True, "done": 0, "queued": [], "waiting": cut.message})
            await asyncio.sleep(PAUSE_S)


def _request(target: Target, wanted: Wanted) -> BrowseRequest:
    """The request without its id, which each sending sets."""
    device = target.device
    assert device is not None
    request = BrowseRequest(id="", start=wanted.start, depth=wanted.depth, properties=wanted.properties)
    if device.path != HERE:
        return replace(request, device=device.path)
    held = device.connection
    place = {key: held[key] for key in PLACE if key in target.connection and key in held}
    return replace(request, link=device.link, connection=place)


async def read_via(device: str, tag: str, *, gateway: str, settings: Settings) -> AddressRead:
    """A device's answer now to a gateway that reads the address of one of its tags.

    Raises:
        NexusError: NX6610 the gateway refuses, NX6611 it does not answer or knows no such request, NX6010 … of the broker.
    """
    enterprise, _, site = settings.site.partition("/")
    asking = Asking(settings, Topics(enterprise, site), gateway=gateway, silence_s=SILENCE_S)
    async with (
        contextlib.aclosing(asking),
        contextlib.aclosing(asking.answers(BrowseRequest(id="", device=device, read=tag))) as pages,
    ):
        async for page in pages:
            if isinstance(page.read, AddressRead):
                return page.read
            if page.items:
                break  # an older gateway, which browses instead
    raise NexusError(
        f"The gateway '{gateway}' can't read for others.", code="NX6611", hint="it runs an older version of nexus"
    )


async def try_via(
    device: dict[str, Any], *, gateway: str, settings: Settings, silence_s: float = SILENCE_S
) -> AsyncGenerator[TrialRead, None]:
    """What a gateway reads at the addresses of a declared device, each once, in order.

    Args:
        device: Its attributes, with the tags to read alone; references to secrets are resolved by the gateway.
        gateway: That has its link, or will have it.
        settings: Site and broker.
        silence_s: Longest wait for a page.

    Raises:
        NexusError: As `read_via`.
    """
    enterprise, _, site = settings.site.partition("/")
    asking = Asking(settings, Topics(enterprise, site), gateway=gateway, silence_s=silence_s)
    async with (
        contextlib.aclosing(asking),
        contextlib.aclosing(asking.answers(BrowseRequest(id="", trial=device))) as pages,
    ):
        async for page in pages:
            for read in page.trials or ():
                yield read


class Asking:
    """Sends requests one after the other, each answered in pages.

    After a request that was cut, pages may still arrive: the next one has another id and its own connection.
    """

    def __init__(self, settings: Settings, topics: Topics, *, gateway: str, silence_s: float) -> None:
        self._settings, self._topics, self._gateway = settings, topics, gateway
        self._topic = topics.browse(gateway, settings.principal)
        self._silence_s = silence_s
        self._name = self._response = ""
        self._open = contextlib.AsyncExitStack()

    async def _connect(self) -> None:
        name = str(ULID())
        self._client = BrokerClient(settings=self._settings, client_id=client_id(self._settings, "browse"))
        self._messages = await self._open.enter_async_context(self._client.session())
        self._response = self._topics.response(self._gateway, self._settings.principal, name)
        await self._client.subscribe([(self._response, 1)])
        self._name = name

    async def aclose(self) -> None:
        """Leave the broker."""
        self._name = ""
        await self._open.aclose()
        self._open = contextlib.AsyncExitStack()

    async def pages(self, request: BrowseRequest) -> AsyncGenerator[Browsed, None]:
        """The things found, from all pages of one request; errors as `answers`."""
        async with contextlib.aclosing(self.answers(request)) as answers:
            async for page in answers:
                if not page.items:
                    yield _beat(0, [])
                for path, address, type_, unit, description, writable, detail in page.items:
                    yield Browsed(tuple(path), address, type_, unit, description, writable, restored(detail))

    async def answers(self, request: BrowseRequest) -> AsyncGenerator[BrowsePage, None]:
        """The pages of one request. Raises NexusError as `browse_via`; retriable when it may be answered soon."""
        if not self._name:
            await self._connect()
        name = self._name
        await self._client.publish(self._topic, msgspec.json.encode(replace(request, id=name)))
        done, expected = False, 0
        try:
            while not done:
                page = await self._page()
                expected += 1
                if page.error:
                    done = True
                    what = "read it" if request.read or request.trial else "browse"
                    why = f"The gateway '{self._gateway}' does not {what}: {page.error}."
                    raise NexusError(why, code="NX6610", retriable=bool(page.again))
                if page.page != expected:
                    raise NexusError(f"A page of '{self._gateway}' was lost.", code="NX6611", retriable=True)
                done = page.done
                yield page
        finally:
            if not done:
                with contextlib.suppress(NexusError):
                    await self._client.publish(self._topic, msgspec.json.encode(BrowseRequest(id=name, cancel=True)))
                with contextlib.suppress(NexusError):
                    await self.aclose()

    async def _page(self) -> BrowsePage:
        try:
            async with asyncio.timeout(self._silence_s):
                # A plain amqtt sends a client that connects what it retains for the filters of others.
                while (message := await anext(self._messages)).topic != self._response:
                    pass
                return decode_page(message.payload)
        except ValueError as error:
            raise NexusError(
                f"An answer of the gateway '{self._gateway}' can't be read.", code="NX6611", cause=str(error)
            ) from None
        except TimeoutError:
            raise NexusError(
                f"The gateway '{self._gateway}' does not answer.",
                code="NX6611",
                hint="nexus status shows which gateways run",
                retriable=True,
            ) from None
