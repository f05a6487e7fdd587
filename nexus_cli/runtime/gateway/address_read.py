"""One address that a gateway reads now, on request: through its own link, as a walk of a single step.

The value is only returned: it is not a sample, and neither the record nor the live view has it.

See docs/decisions/0022.
"""

from __future__ import annotations

from typing import Any

from nexus_cli.drivers.base import DriverError, Fault, Opinion, Point, Scope, Session, points_of
from nexus_cli.drivers.door import GuardedSession
from nexus_cli.drivers.registry import plugin
from nexus_cli.model.config import DeviceConfig
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.devices.normaliser import Cycle, Normaliser
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from nexus_cli.wire.browse import AddressRead
from nexus_cli.wire.sample import Value

NEEDS_S = 0.02
"""The assumed duration of one read."""


GIVE_UP_S = 120.0
"""A walk or a read that found no room at all for so long ends with that reason."""


class Look:
    """One read of one tag's address.

    Attributes:
        answer: What the device said, as on the page; None before it was asked.
        ended: True once it was.
        forced: Whether it goes out although a poll is near.
        needs_s: Seconds that have to be free before the next poll.
        give_up_s: How long it waits for that, in seconds.
        found: Always empty: nothing is browsed.
    """

    def __init__(self, supervisor: Supervisor, path: str, tag: str, *, clock: Clock) -> None:
        """Nothing is asked yet.

        Args:
            supervisor: Of the link.
            path: Of a device on it.
            tag: Its name.
            clock: Time.
        """
        self.supervisor = supervisor
        self.answer: AddressRead | None = None
        self.ended = self.forced = False
        self.needs_s, self.give_up_s = NEEDS_S, GIVE_UP_S
        self.found: list[list[Any]] = []
        self._path, self._tag, self._clock = path, tag, clock

    def page(self) -> list[list[Any]]:
        """A sign of life has nothing on it."""
        return []

    async def take(self, session: Session) -> None:
        """Ask the device. Raises DriverError when there is nothing to ask, or the link is lost."""
        running = self.supervisor.devices.get(self._path)
        if running is None:
            raise DriverError(f"{self._path} left the link", scope=Scope.ITEM)
        device = running.config
        points = points_of(device, [self._tag]) if self._tag in device.tags else ()
        if not points:
            raise DriverError(f"{self._path}/{self._tag} has no address here", scope=Scope.ITEM, retriable=False)
        opinion = await self._ask(session, device, points[0])
        value, quality, reason = as_published(device, self._tag, opinion)
        self.answer = AddressRead(
            asked=opinion.asked,
            bytes=opinion.data.hex(" "),
            raw=opinion.value,
            value=value,
            quality=quality,
            reason=reason,
            problem=opinion.problem,
            time=self._clock.wall_us(),
        )
        self.ended = True

    async def _ask(self, session: Session, device: DeviceConfig, point: Point) -> Opinion:
        how = plugin(device.protocol).ask
        try:
            if how is not None and isinstance(session, GuardedSession):
                return await session.ask(how(), device, point)
            (request,) = self.supervisor.driver.group(device, [point])
            found = await session.read(request)
        except DriverError as error:
            if error.scope is Scope.SESSION:
                raise
            return Opinion(asked=point.address, problem=error.message, fault=Fault(error.reason, error.code))
        return Opinion(asked=request.text, value=found.values[0], fault=found.faults.get(0))


def as_published(device: DeviceConfig, name: str, opinion: Opinion) -> tuple[Value, str, str]:
    """Value, quality and reason of what was read, through the chain of the gateway: scale, unit, range."""
    if opinion.problem and opinion.fault is None:
        return None, "BAD", ""
    chain = Normaliser(device)
    state = chain.states[name]
    faults = {} if opinion.fault is None else {0: opinion.fault}
    chain.take(chain.of([name]), [opinion.value], Cycle(1), faults=faults)
    return state.value, state.quality.name, state.reason.value if state.reason is not None else ""
