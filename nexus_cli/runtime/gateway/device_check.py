"""The declared addresses of a device looked at on request: what is there now, through the gateway's own link.

A step is a request or two, below the polls as every step of a walk. Nothing is written, and nothing becomes a sample.

See docs/decisions/0106.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from nexus_cli.drivers.base import DriverError, Point, Scope, Session, points_of
from nexus_cli.drivers.door import GuardedSession
from nexus_cli.drivers.examined import Examined, Examiner, ReadExaminer, of_error
from nexus_cli.drivers.registry import plugin
from nexus_cli.model.config import DeviceConfig
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from nexus_cli.wire.browse import CheckedAddress

PAGE = 100
"""Addresses on one page."""
GIVE_UP_S = 120.0
"""A check that found no room at all for so long ends with that reason."""
FIRST_STEP_S = 0.02
"""The assumed duration of a step before one was measured."""


class Check:
    """The check of one device, step by step. It is a `browsing.Taking`.

    Attributes:
        supervisor: Of the link.
        found: Rows that wait to be sent.
        ended: True after the last step.
        forced: Whether a step goes out although a poll is near.
        needs_s, give_up_s: Seconds that have to be free before the next poll, and how long it waits for them.
    """

    def __init__(self, supervisor: Supervisor, path: str, *, clock: Clock) -> None:
        """Nothing is asked yet.

        Args:
            supervisor: Of the link.
            path: Of a device on it.
            clock: Time.
        """
        self.supervisor, self._path, self._clock = supervisor, path, clock
        self.found: list[list[Any]] = []
        self.ended = self.forced = False
        self.needs_s, self.give_up_s = FIRST_STEP_S, GIVE_UP_S
        self._pieces: deque[Sequence[Point]] | None = None
        self._examiner: Examiner | None = None

    def page(self) -> list[list[Any]]:
        """See `Taking.page`."""
        rows, self.found = self.found[:PAGE], self.found[PAGE:]
        return rows

    async def take(self, session: Session) -> None:
        """Look at the device's identity first, then at its addresses piece by piece.

        Raises:
            DriverError: The link is lost, or the device left it. A device that does not answer is an answer.
        """
        running = self.supervisor.devices.get(self._path)
        if running is None:
            raise DriverError(f"{self._path} left the link", scope=Scope.ITEM)
        began_s = self._clock.monotonic_s()
        try:
            if running.counters.cycles and not running.reachable:  # it is asked again by its polls, with their back-off
                raise DriverError("it does not answer its polls", scope=Scope.DEVICE)
            await self._step(session, running.config)
        except DriverError as error:
            if error.scope is not Scope.DEVICE:
                raise
            self.found.append(_row("", silent=error.message))
            self.ended = True
        took_s = self._clock.monotonic_s() - began_s
        self.needs_s = max(took_s * 1.5, self.needs_s * 0.8, 0.002)

    async def _step(self, session: Session, device: DeviceConfig) -> None:
        how = self._how(device)
        if self._pieces is None:
            facts = await self._identity(session, how, device)
            self.found.append(_row("", facts=dict(facts)))
            self._pieces = deque(how.pieces(device, points_of(device)))
        elif self._pieces:
            piece = self._pieces.popleft()
            try:
                found = await _through(session, how, device, piece)
            except DriverError as error:
                if error.scope in (Scope.SESSION, Scope.DEVICE):
                    raise
                if len(piece) > 1:
                    half = len(piece) // 2
                    self._pieces.extendleft((piece[half:], piece[:half]))
                else:
                    self.found.append(_row(piece[0].name, examined=of_error(piece[0].name, error)))
            else:
                self.found += [_row(one.name, examined=one) for one in found]
        self.ended = not self._pieces

    def _how(self, device: DeviceConfig) -> Examiner:
        if self._examiner is None:
            made = plugin(device.protocol).examine
            self._examiner = made() if made is not None else ReadExaminer(self.supervisor.driver.group)
        return self._examiner

    async def _identity(self, session: Session, how: Examiner, device: DeviceConfig) -> Mapping[str, str]:
        try:
            if isinstance(session, GuardedSession):
                return await session.through(lambda inner: how.identity(inner, device))
            return await how.identity(session, device)
        except DriverError as error:
            if error.scope in (Scope.SESSION, Scope.DEVICE):
                raise
            return {}  # it does not say who it is


async def _through(session: Session, how: Examiner, device: DeviceConfig, piece: Sequence[Point]) -> Sequence[Examined]:
    if isinstance(session, GuardedSession):
        return await session.through(lambda inner: how.examine(inner, device, piece))
    return await how.examine(session, device, piece)


def _row(
    name: str, *, examined: Examined | None = None, facts: Mapping[str, str] | None = None, silent: str = ""
) -> list[Any]:
    """One row of a page, shaped as of a walk: what was found is in its detail."""
    if examined is None:
        detail: dict[str, Any] = {"silent": silent} if silent else {"facts": dict(facts or {})}
        return [[], "", "", "", "", False, detail]
    checked = CheckedAddress(
        presence=examined.presence.value, writable=examined.writable, problem=examined.problem, code=examined.code
    )
    return [
        [name],
        examined.address,
        examined.type,
        "",
        "",
        bool(examined.writable),
        {"checked": msgspec.to_builtins(checked)},
    ]
