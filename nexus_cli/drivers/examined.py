"""What a device says of the addresses that are declared for it, and of itself: looked at without a write.

`Examiner` is the optional part of a plug-in that learns more than a read gives: types, rights and identity. For a
protocol without one, `ReadExaminer` reads the addresses.

See docs/decisions/0106.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from nexus_cli.drivers.base import DriverError, Fault, Point, Request, Scope
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason


class Presence(StrEnum):
    """What is at an address.

    THERE: a value that can be read. GONE: nothing. SHORT: the block ends before it. REFUSED: reading it is not allowed.
    MISTYPED: a value of another type. MOVED: it is at another address, which is known. UNKNOWN: the device did not say.
    """

    THERE = "there"
    GONE = "gone"
    SHORT = "short"
    REFUSED = "refused"
    MISTYPED = "mistyped"
    MOVED = "moved"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """One address.

    Attributes:
        name: The tag's.
        presence: What is there.
        address: Where it is now, in the spelling of the site language; "" where it is not known to have moved.
        type: Type on the device; "" where the device does not say. `float32[]` is an array of unknown length.
        writable: Whether it may be written; None where the device does not say.
        problem: The device's words for what is wrong; "" when nothing is.
        code: The protocol's own code, 0 if none.
    """

    name: str
    presence: Presence
    address: str = ""
    type: str = ""
    writable: bool | None = None
    problem: str = ""
    code: int = 0


class Examiner(Protocol):
    """Looks at a device over a session that is open already. It must not write, call or change anything."""

    def pieces(self, device: DeviceConfig, points: Sequence[Point], /) -> Sequence[Sequence[Point]]:
        """The points in pieces that take a request or two each."""
        ...

    async def identity(self, session: Any, device: DeviceConfig, /) -> Mapping[str, str]:
        """What the device says of itself and what changes only with it: maker, product, version. Empty when it says
        nothing. Raises DriverError."""
        ...

    async def examine(self, session: Any, device: DeviceConfig, points: Sequence[Point], /) -> Sequence[Examined]:
        """One per point, same order. Raises DriverError; with scope REQUEST for several points they are examined in
        smaller pieces."""
        ...


Group = Callable[[DeviceConfig, Sequence[Point]], Sequence[Request]]
_PRESENCE = {
    Reason.ILLEGAL_ADDRESS: Presence.GONE,
    Reason.SYMBOL_CHANGED: Presence.GONE,
    Reason.ACCESS_DENIED: Presence.REFUSED,
    Reason.TYPE_MISMATCH: Presence.MISTYPED,
    Reason.DEVICE_ERROR: Presence.UNKNOWN,
    Reason.SOURCE_BAD: Presence.UNKNOWN,
}
"""What a fault says of the address; every other one is about a value that is there."""


def presence_of(reason: Reason) -> Presence:
    """What a read's fault says of its address."""
    return _PRESENCE.get(reason, Presence.THERE)


def of_fault(name: str, fault: Fault, *, problem: str = "") -> Examined:
    """An address whose read gave a fault."""
    presence = Presence.THERE if fault.uncertain else presence_of(fault.reason)
    said = "" if presence is Presence.THERE else problem or fault.reason.value.replace("_", " ")
    return Examined(name=name, presence=presence, problem=said, code=fault.code)


def of_error(name: str, error: DriverError) -> Examined:
    """A single address whose request was refused."""
    presence = Presence.UNKNOWN if error.transient else presence_of(error.reason)
    return Examined(name=name, presence=presence, problem=error.message, code=error.code)


class ReadExaminer:
    """Examines by reading: what can't be read is not there, and the device says no more."""

    def __init__(self, group: Group) -> None:
        """Join reads as the driver does."""
        self._group = group

    def pieces(self, device: DeviceConfig, points: Sequence[Point], /) -> Sequence[Sequence[Point]]:
        """The points of one read each."""
        return [request.points for request in self._group(device, points)]

    async def identity(self, session: Any, device: DeviceConfig, /) -> Mapping[str, str]:
        """Nothing: a read says nothing of the device."""
        return {}

    async def examine(self, session: Any, device: DeviceConfig, points: Sequence[Point], /) -> Sequence[Examined]:
        """See `Examiner.examine`."""
        found: dict[str, Examined] = {}
        for request in self._group(device, points):
            try:
                result = await session.read(request)
            except DriverError as error:
                if error.scope in (Scope.SESSION, Scope.DEVICE) or len(points) > 1:
                    raise
                return [of_error(points[0].name, error)]
            for place, point in enumerate(request.points):
                fault = result.faults.get(place)
                found[point.name] = (
                    Examined(name=point.name, presence=Presence.THERE) if fault is None else of_fault(point.name, fault)
                )
        return [found[point.name] for point in points]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceExamined:
    """What is known of one device after a check.

    Attributes:
        path: `area/line/device`.
        addresses: By tag; without those that were not looked at.
        identity: What the device says of itself.
        silent: Why the device gave no answer; "" when it answered.
        unseen: Why it could not be looked at; "" when it was.
    """

    path: str
    addresses: Mapping[str, Examined] = field(default_factory=dict)
    identity: Mapping[str, str] = field(default_factory=dict)
    silent: str = ""
    unseen: str = ""
