"""A gateway browses on request, reads one address or checks a device: through its own link, in the time that its polls leave.

One walk at a time, and one read and one check beside it; each of its steps is a request or two, and goes out only when no poll is due for longer than
such a step takes. The client receives a page, or a sign of life, at least every few seconds. A large address space is
asked for piece by piece (`nodes`), so that nothing of a walk is kept here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Protocol

import msgspec
import orjson

from nexus_cli.diagnostics import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.drivers.base import DriverError, Scope, Session
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.address_read import Look
from nexus_cli.runtime.gateway.browse_walk import PAGE, Taking, Walk
from nexus_cli.runtime.gateway.device_check import Check
from nexus_cli.runtime.gateway.field.links import Links
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from nexus_cli.runtime.gateway.trial import Trial, device_of, read_apart, runs_link
from nexus_cli.wire.browse import AddressRead, BrowsePage, BrowseRequest, TrialRead, decode_request
from nexus_cli.wire.command import is_id
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics

_log = logging.getLogger("nexus.browse")
WAITING = 4
"""Requests that wait while one is carried out (policy: refuse the newest)."""
SIGN_OF_LIFE_S = 3.0
STARVED_S = 5.0
"""A walk that found no room for so long takes one step between two polls all the same."""
MOST_BYTES = 65_536

Requests = asyncio.Queue[tuple[str, BrowseRequest]]
"""The client, and its request."""


class Owner(Protocol):
    """The parts of the gateway that browsing needs."""

    links: Links


class Publishes(Protocol):
    """The parts of the broker's client that browsing needs."""

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """See `BrokerClient.publish`."""
        ...


class Browsing:
    """Takes requests from `_nexus/{e}/{s}/browse/{gateway}/{principal}` and answers in pages.

    Attributes:
        steps: Steps carried out since the start.
        deferred: Times that a step waited for a poll.
        tried: Addresses read for a plan.
    """

    def __init__(self, client: Publishes, *, topics: Topics, gateway: str, clock: Clock, owner: Owner) -> None:
        """Nothing is opened; `run` does the work.

        Args:
            client: Answers go out through it.
            topics: Of the site.
            gateway: Our name.
            clock: Time.
            owner: Has the running links.
        """
        self._client, self._topics, self._clock, self._owner = client, topics, clock, owner
        self._prefix = topics.browse(gateway, "")
        self._gateway = gateway
        self._walks: Requests = asyncio.Queue(WAITING)
        self._reads: Requests = asyncio.Queue(WAITING)  # none waits for a walk
        self._trials: Requests = asyncio.Queue(WAITING)
        self._checks: Requests = asyncio.Queue(WAITING)
        self._cancelled: set[str] = set()
        self._refusals: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue(WAITING)
        self.steps = self.deferred = self.tried = 0

    def receive(self, message: Message) -> None:
        """Take a message; anything but a request to this gateway is ignored, a retained message always."""
        if not message.topic.startswith(self._prefix) or message.retain or len(message.payload) > MOST_BYTES:
            return
        principal = message.topic[len(self._prefix) :]
        try:
            request = decode_request(message.payload)
        except ValueError:
            return
        name = request.id
        if not is_id(name) or "/" in principal or not principal.isprintable():
            return  # brokers close the connection of a client that publishes on a topic with such levels
        if request.cancel:
            self._cancelled.add(name)
            return
        try:
            kinds = ((request.trial, self._trials), (request.read, self._reads), (request.check, self._checks))
            queue = next((queue for wanted, queue in kinds if wanted), self._walks)
            queue.put_nowait((principal, request))
        except asyncio.QueueFull:
            if not self._refusals.full():
                self._refusals.put_nowait((principal, name, "this gateway is busy with such requests; try again later"))

    async def run(self, stop: asyncio.Event) -> None:
        """Answer requests until stopped."""
        async with Group() as group:
            answering = [
                group.create_task(self._answer_all(self._walks), name="browse"),
                group.create_task(self._answer_all(self._reads), name="read for somebody"),
                group.create_task(self._answer_all(self._trials), name="read for a plan"),
                group.create_task(self._answer_all(self._checks), name="check for somebody"),
            ]
            refusing = group.create_task(self._refuse_all(), name="browse refusals")
            await stop.wait()
            for one in answering:
                one.cancel()
            refusing.cancel()

    async def _refuse_all(self) -> None:
        while True:
            principal, name, why = await self._refusals.get()
            await self._send(_Pages(principal, name), error=why, done=True)

    async def _answer_all(self, queue: Requests) -> None:
        while True:
            principal, request = await queue.get()
            pages = _Pages(principal, request.id)
            try:
                await self._answer(pages, request)
            except DriverError as error:
                await self._send(pages, error=error.message, done=True, again=error.retriable)
            except NexusError as error:  # the broker is away: the client gives up by itself
                _log.info("an answer to a request to browse was not sent: %s", error.message)
            finally:
                self._cancelled.discard(pages.name)

    async def _answer(self, pages: _Pages, request: BrowseRequest) -> None:
        if request.trial:
            await self._try(pages, request)
            return
        supervisor, path = self._find(request)
        if supervisor is None:
            place = ", ".join(f"{key} {value}" for key, value in request.connection.items())
            why = f"this gateway runs no such device or link{f' ({place})' if place else ''}"
            await self._send(pages, error=why, done=True)
            return
        _require_connected(supervisor)
        tag = request.read
        steps: Taking
        if tag:
            _log.info("reading %s/%s for %s", path, tag, pages.principal)
            steps = Look(supervisor, path, tag, clock=self._clock)
        elif request.check:
            _log.info("checking %s for %s", path, pages.principal)
            steps = Check(supervisor, path, clock=self._clock)
        else:
            _log.info("browsing %s for %s", supervisor.link, pages.principal)
            steps = Walk(supervisor, request, path, clock=self._clock)
        await self._go(pages, request, steps)

    async def _try(self, pages: _Pages, request: BrowseRequest) -> None:
        """The addresses of a declared device, over the link that runs or a connection of its own."""
        device, points = device_of(request.trial)
        _log.info("reading %d addresses of %s for a plan of %s", len(points), device.path, pages.principal)
        supervisor = self._owner.links.supervisors.get(device.link)
        if supervisor is not None and runs_link(supervisor):
            _require_connected(supervisor)
            await self._go(pages, request, Trial(supervisor, device, points, clock=self._clock))
            return
        async with contextlib.aclosing(read_apart(self._owner.links, device, points, clock=self._clock)) as reads:
            async for read in reads:
                if pages.name in self._cancelled:
                    break
                self.tried += 1
                await self._send(pages, trials=[read])
        await self._send(pages, done=True)

    async def _go(self, pages: _Pages, request: BrowseRequest, steps: Taking) -> None:
        """Every step, each in time that the polls leave."""
        told_s = began_s = self._clock.monotonic_s()
        while not steps.ended:
            if pages.name in self._cancelled or _too_late(request, self._clock.wall_us()):
                await self._send(pages, error="cancelled", done=True)
                return
            _require_connected(steps.supervisor)  # it may be lost between two steps
            if await self._room(steps, began_s):
                await self._step(steps)
                self.steps += 1
                began_s = self._clock.monotonic_s()
            if isinstance(steps, Trial) and steps.reads:
                self.tried += len(steps.reads)
                await self._send(pages, trials=steps.taken())
                told_s = self._clock.monotonic_s()
            now_s = self._clock.monotonic_s()
            while len(steps.found) >= PAGE or (steps.found and steps.ended):
                await self._send(pages, items=steps.page())
                told_s = now_s
            if now_s - told_s >= SIGN_OF_LIFE_S:
                await self._send(pages, items=steps.page())
                told_s = now_s
            if now_s - began_s > steps.give_up_s:
                await self._send(pages, error="the link has no time left beside its polls", done=True)
                return
        await self._send(pages, done=True, read=steps.answer if isinstance(steps, Look) else None)

    async def _room(self, steps: Taking, since_s: float) -> bool:
        """Whether a step fits before the next poll; waits a little when it does not."""
        free_s = steps.supervisor.free_s()
        starved = not isinstance(steps, Trial) and self._clock.monotonic_s() - since_s > STARVED_S and free_s > 0
        if free_s > steps.needs_s or starved:
            steps.forced = starved
            return True
        self.deferred += 1
        await self._clock.sleep(min(0.05, max(0.002, free_s)))
        return False

    async def _step(self, steps: Taking) -> None:
        """One step on the session, in the order of the link's own work."""
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def work(session: Session) -> None:
            if not steps.forced and steps.supervisor.free_s() <= steps.needs_s:
                self.deferred += 1
                _resolve(outcome, None)
                return
            try:
                await steps.take(session)
            except DriverError as error:
                _resolve(outcome, error)
                if error.scope is Scope.SESSION:
                    raise
            except asyncio.CancelledError:
                _resolve(outcome, DriverError("the link was closed", scope=Scope.SESSION))
                raise
            else:
                _resolve(outcome, None)
            finally:  # a driver's bug costs the link a reconnect; the waiting request fails too
                _resolve(outcome, DriverError("the walk broke off", scope=Scope.ITEM))

        def dropped(detail: str) -> None:
            _resolve(outcome, DriverError(f"the link was lost: {detail}", scope=Scope.SESSION))

        if not steps.supervisor.submit(work, dropped=dropped):
            raise DriverError("the link is down or busy with commands", scope=Scope.SESSION)
        await outcome

    def _find(self, request: BrowseRequest) -> tuple[Supervisor | None, str]:
        path, link = request.device, request.link
        for supervisor in self._owner.links.supervisors.values():
            if path and path in supervisor.devices:
                return supervisor, path
            if path or not link or supervisor.link != link:
                continue
            for one, device in supervisor.devices.items():  # several units or runtimes may share the link
                if all(device.config.connection.get(key) == value for key, value in request.connection.items()):
                    return supervisor, one
        return None, ""

    async def _send(
        self,
        pages: _Pages,
        *,
        items: list[list[Any]] | None = None,
        error: str = "",
        done: bool = False,
        again: bool = False,
        read: AddressRead | None = None,
        trials: list[TrialRead] | None = None,
    ) -> None:
        """One page; `again` says that the same request may be answered soon, `read` is what a device answered, `trials` the same for a plan."""
        pages.number += 1
        page = BrowsePage(
            id=pages.name,
            page=pages.number,
            items=items or [],
            done=done,
            error=error or msgspec.UNSET,
            again=again if error else msgspec.UNSET,
            read=msgspec.UNSET if read is None else read,
            trials=trials or msgspec.UNSET,
        )
        topic = self._topics.response(self._gateway, pages.principal, pages.name)
        await self._client.publish(topic, _encoded(page))


def _require_connected(supervisor: Supervisor) -> None:
    """Raise a retriable DriverError while the link is down."""
    if not supervisor.connected:
        raise DriverError(f"the link is {supervisor.state.state}: {supervisor.state.detail}", scope=Scope.SESSION)


def _encoded(page: BrowsePage) -> bytes:
    """A device's details may hold anything: keys that are not texts, values that JSON can't hold."""
    shown = {name: each for name, each in msgspec.structs.asdict(page).items() if each is not msgspec.UNSET}
    return orjson.dumps(shown, default=_builtin, option=orjson.OPT_NON_STR_KEYS)


def _builtin(value: object) -> object:
    return msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else str(value)


class _Pages:
    """Whom the answer goes to, and how many pages went out."""

    def __init__(self, principal: str, name: str) -> None:
        self.principal, self.name, self.number = principal, name, 0


def _resolve(outcome: asyncio.Future[None], error: DriverError | None) -> None:
    if outcome.done():
        return
    if error is None:
        outcome.set_result(None)
    else:
        outcome.set_exception(error)


def _too_late(request: BrowseRequest, now_us: int) -> bool:
    return request.expires_at is not msgspec.UNSET and now_us > request.expires_at
