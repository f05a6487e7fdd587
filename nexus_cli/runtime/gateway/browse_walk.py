"""A walk through the address space of a link, step by step, and what is done that way at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from nexus_cli.drivers.base import Browsed, BrowseOptions, DriverError, Scope, Session
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.address_read import GIVE_UP_S
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from nexus_cli.wire.browse import BrowseRequest

PAGE = 200
"""Things on one page, nodes that wait included; about 60 kB."""
QUEUED = 100
"""Nodes that wait, in one message."""
FIRST_STEP_S = 0.02
"""The assumed duration of a step before one was measured."""


class Taking(Protocol):
    """What is done step by step on a link.

    Attributes:
        supervisor: Of the link.
        found: What waits to be sent.
        ended: True after the last step.
        forced: Whether a step goes out although a poll is near.
        needs_s: Seconds that have to be free before the next poll.
        give_up_s: How long it waits for that, in seconds.
    """

    supervisor: Supervisor
    found: list[list[Any]]
    ended: bool
    forced: bool
    needs_s: float
    give_up_s: float

    async def take(self, session: Session) -> None:
        """Do one step. Raises DriverError."""
        ...

    def page(self) -> list[list[Any]]:
        """Take as much of what was found as fits on a page."""
        ...


class Walk:
    """One walk over a session, step by step."""

    def __init__(self, supervisor: Supervisor, request: BrowseRequest, path: str, *, clock: Clock) -> None:
        self.supervisor, self._clock = supervisor, clock
        self.found: list[list[Any]] = []
        self.ended = False
        self.forced = False
        self.needs_s, self.give_up_s = FIRST_STEP_S, GIVE_UP_S
        self._request, self._path = request, path
        self._nodes = [one for one in request.nodes if _is_node(one)]
        self._session: Session | None = None
        self._walk: AsyncIterator[Browsed] | None = None

    async def take(self, session: Session) -> None:
        """Walk on to the next beat. Raises DriverError, also when the session is another one than before."""
        if self._walk is None:
            self._session = session
            request = self._request
            self._walk = session.browse(
                BrowseOptions(
                    start=request.start,
                    device=self._path,
                    depth=request.depth,
                    properties=request.properties,
                    resume={"queue": self._nodes} if self._nodes else None,
                    only_resume=bool(self._nodes),
                )
            )
        if session is not self._session:
            raise DriverError("the link was lost and came back", scope=Scope.ITEM)
        began_s = self._clock.monotonic_s()
        for _ in range(PAGE):
            try:
                browsed = await anext(self._walk)
            except StopAsyncIteration:
                self.ended = True
                break
            if browsed.detail.get("beat"):
                self._beat(browsed)
                break
            self.found.append([*browsed[:6], dict(browsed.detail)])
        took_s = self._clock.monotonic_s() - began_s
        self.needs_s = max(took_s * 1.5, self.needs_s * 0.8, 0.002)  # quick to grow, slow to trust

    def _beat(self, browsed: Browsed) -> None:
        """Report the nodes that wait, in pieces that fit on a page; the last one has the number done."""
        queued = list(browsed.detail.get("queued", ())) if self._nodes else []
        for first in range(0, max(1, len(queued)), QUEUED):
            last = first + QUEUED >= len(queued)
            beat = {"beat": True, "done": browsed.detail.get("done", 0) if last and self._nodes else 0}
            self.found.append([(), "", "", "", "", False, {**beat, "queued": queued[first : first + QUEUED]}])

    def page(self) -> list[list[Any]]:
        """Take as much of what was found as fits on a page."""
        weight = taken = 0
        for one in self.found:
            weight += 1 + len(one[6].get("queued", ()))
            if taken and weight > PAGE:
                break
            taken += 1
        items, self.found = self.found[:taken], self.found[taken:]
        return items


def _is_node(one: Any) -> bool:
    """Whether a thing of a request is a node that waits: `[address, path, is variable, is property]`."""
    return isinstance(one, list) and 2 <= len(one) <= 4 and isinstance(one[0], str) and isinstance(one[1], list)
