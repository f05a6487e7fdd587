"""The interface of a driver: it opens, reads, writes, subscribes, browses, and raises `DriverError`.

It has no loop, sleep, retry, scaling, queue or task of its own: the supervisor of a link has them, once for
every protocol. Grouping (`Driver.group`) and decoding are pure.

See docs/decisions/0005.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, runtime_checkable

from nexus_cli.diagnostics.printable import one_line
from nexus_cli.drivers.browse_shapes import WalkState
from nexus_cli.drivers.read_result import Fault as Fault
from nexus_cli.drivers.read_result import ReadResult as ReadResult
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.failure_kind import FailureKind
from nexus_cli.wire.sample import Reason, Value


class Scope(StrEnum):
    """How far an error reaches; decides what the supervisor does.

    SESSION: the link is unusable; reconnect at once and ask again, else close and back off.
    DEVICE: no answer (a dead unit); the session stays. The device backs off when no other request is answered.
    REQUEST: this request was refused; read its points in parts.
    ITEM: one point is wrong; its tag is BAD, the others are still read.
    """

    SESSION = "session"
    DEVICE = "device"
    REQUEST = "request"
    ITEM = "item"


class Effect(StrEnum):
    """The effect of a failed write on the device.

    NONE: nothing was sent.
    REFUSED: the device, or a gateway before it, refused.
    MAYBE: the device may have the value, or a part of it.
    """

    NONE = "none"
    REFUSED = "refused"
    MAYBE = "maybe"


class DriverError(Exception):
    """A request to a device failed, or its link.

    Attributes:
        scope: How far it reaches.
        retriable: False when only a change of configuration can help.
        reason: Of the tags' samples.
        code: The protocol's own code (Modbus exception, OPC UA status, ADS error), 0 if none.
        effect: Of a write; None follows from the scope: ITEM was refused, everything else may have arrived.
        rest_s: Pause before the next attempt once it came twice, in seconds, because attempts lock accounts; 0 for none.
        transient: The device was busy; the same request may be answered soon.
        kind, subject: Choose the hint for a person who tries to connect; `subject` is a name in it.
    """

    def __init__(
        self,
        message: str,
        *,
        scope: Scope,
        retriable: bool = True,
        reason: Reason = Reason.DEVICE_ERROR,
        code: int = 0,
        effect: Effect | None = None,
        rest_s: float = 0.0,
        transient: bool = False,
        kind: FailureKind = FailureKind.OTHER,
        subject: str = "",
    ) -> None:
        # A device's own text may hold control characters; health documents, logs and terminals print it.
        self.message = one_line(message)
        super().__init__(self.message)
        self.transient = transient
        self.scope = scope
        self.retriable = retriable
        self.reason = reason
        self.code = code
        self.effect = effect
        self.rest_s = rest_s
        self.kind = kind
        self.subject = subject


@dataclass(frozen=True, slots=True)
class Point:
    """A tag as a driver sees it: its address and how its bytes are decoded. It knows neither scale nor unit.

    Attributes:
        name: Tag name, unique in the device.
        address: Normal form of `DriverKind.address_of`.
        type: Type on the device, e.g. `float32`.
        options: As in `TagConfig.options`.
    """

    name: str
    address: str
    type: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One read on the wire.

    Attributes:
        device: Device path.
        points: What it reads, in the order of `ReadResult.values`.
        detail: Private to the driver: function, start, count, precompiled decoder, node list, …
        text: For people: `FC3 holding 100..119 unit 1`; printed by plan and explain.
    """

    device: str
    points: tuple[Point, ...]
    detail: Any
    text: str = ""


class Notification(NamedTuple):
    """One reported value of a subscription."""

    point: Point
    value: Value
    fault: Fault | None = None
    source_time_us: int | None = None


Sink = Callable[[str, Sequence[Notification]], None]
"""Called with the device path and reported values, on the loop; must not block."""


class Promise(NamedTuple):
    """A device's report of a point.

    Attributes:
        within_s: Longest time between a change and its report, in seconds, on a connection without delay.
        step: A number that moved by no more than this need not be reported; infinity when no change of a good value is.
    """

    within_s: float
    step: float = 0.0


class Subscription(Protocol):
    """A running subscription; it ends with its session or by `close`."""

    @property
    def faults(self) -> Mapping[str, Fault]:
        """Points that the device does not report, by name: refused, or not reported any more. The current state."""
        ...

    def notes(self) -> Sequence[str]:
        """How a limit of the device changes its reporting, one sentence each, with the device and the limit's name."""
        ...

    async def retry(self) -> None:
        """Request the points in `faults` once more; the others are not touched.

        Raises:
            DriverError: With scope SESSION or DEVICE; anything smaller stays in `faults`.
        """
        ...

    def promise(self, name: str) -> Promise:
        """When and what the device reports of a point of this subscription."""
        ...

    async def distrust(self, names: Sequence[str]) -> None:
        """A read showed that the device accepted these points and does not report them: end what should have reported
        them, and list them in `faults` until `retry`.

        Raises:
            DriverError: With scope SESSION.
        """
        ...

    async def close(self) -> None:
        """Stop reporting. Never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowseOptions:
    """Options of a browse. A driver ignores those that its protocol does not have.

    Attributes:
        start: Where to begin, in the protocol's spelling; "" for its usual root.
        device: Path of the device to browse, where several share the link; "" for the first.
        depth: Most levels, 0 for all.
        properties: Whether to report properties that describe no other value.
        parallel: Calls in flight at once.
        resume: Where an earlier run ended.
        only_resume: Browse only the nodes that wait in `resume`, and nothing below them.
    """

    start: str = ""
    device: str = ""
    depth: int = 0
    properties: bool = False
    parallel: int = 1
    resume: WalkState | None = None
    only_resume: bool = False


EVERYTHING = BrowseOptions()


class Browsed(NamedTuple):
    """One thing found on a device (`nexus discover`)."""

    path: tuple[str, ...]
    address: str
    type: str
    unit: str = ""
    description: str = ""
    writable: bool = False
    detail: Mapping[str, Any] = {}


class CannotAsk(Exception):
    """A published library has no function for this request; the text says what it lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One answer.

    Attributes:
        asked: The request, in words.
        data: The value's bytes as received; empty without an answer.
        value: The decoded value, before scale and unit.
        fault: Why there is no good value; None when there is one.
        decoded_here: True where the library returned bytes only, so that our decoder made the value.
        problem: What went wrong, in words; "" when there was an answer.
        unable: True where the library has no such request: then there is no second opinion, and no disagreement.
        client: `nexus`, or package and version, e.g. `pymodbus 3.11.2`; set by the caller that asks both.
        detail: Private to the driver: what its `library` client needs beside the address.
    """

    asked: str = ""
    data: bytes = b""
    value: Value = None
    fault: Fault | None = None
    decoded_here: bool = False
    problem: str = ""
    unable: bool = False
    client: str = ""
    detail: Any = None

    @classmethod
    def of_library(
        cls, asked: str, data: bytes, words: Value, decode: Callable[[bytes], tuple[Value, Fault | None]]
    ) -> Opinion:
        """The answer of a library.

        Args:
            asked: Its call.
            data: The bytes that it returned.
            words: The value that it returned; None where it has none of this type, so that `decode` makes it from `data`.
            decode: Our decoder.
        """
        value, fault = (words, None) if words is not None else decode(data)
        return cls(asked=asked, data=data, value=value, fault=fault, decoded_here=words is None)


class Session(Protocol):
    """An open link. Not safe for two requests at once: the supervisor sends one at a time, except where
    `Driver.concurrency` allows more."""

    async def read(self, request: Request) -> ReadResult:
        """Carry out one read. Raises DriverError."""
        ...

    async def write(self, device: str, point: Point, value: Value) -> None:
        """Write one raw value. Raises DriverError."""
        ...

    async def subscribe(
        self, device: str, points: Sequence[Point], *, interval_ms: Sequence[int], sink: Sink
    ) -> Subscription:
        """Have the device report points; one interval per point, same order. Raises DriverError."""
        ...

    async def configure(self, devices: Sequence[DeviceConfig]) -> None:
        """Set the devices behind this link (unit ids, namespaces). Called after connect and on change; must not disturb
        devices that did not change. Raises DriverError."""
        ...

    async def check(self) -> None:
        """Check that the link works when nothing was polled (subscriptions). Raises DriverError."""
        ...

    def browse(self, options: BrowseOptions = EVERYTHING) -> AsyncIterator[Browsed]:
        """Report what the device offers. Raises DriverError while it is iterated."""
        ...

    async def close(self) -> None:
        """End the session and free its resources. Never raises; waits two seconds at most."""
        ...


Taken = Callable[[ReadResult | Exception | None], None]
"""Takes what `Session.read` would give or raise, or None for an answer that has to be asked for once more, by `read`;
called once at most, on the loop, and must not block."""


class Sent(Protocol):
    """A read that was sent and has no answer yet."""

    def cancel(self) -> None:
        """Drop its answer: nobody waits for it. Only before the session is closed."""
        ...


@runtime_checkable
class Prompt(Protocol):
    """A session that can read without a task that waits: the request goes out at once, and its values are taken in the
    turn of the loop that brings the answer. One request at a time, as for `read`."""

    def send(self, request: Request, taken: Taken) -> Sent | None:
        """Begin a read; None, with nothing sent, where `read` would wait or ask for something else first."""
        ...


@runtime_checkable
class Doubtful(Protocol):
    """An open session with something that a person should know.

    Attributes:
        doubts: Sentences for people, such as: the server's certificate has expired.
    """

    doubts: Sequence[str]


@runtime_checkable
class Quickened(Protocol):
    """A session that the server ends after a silence shorter than the usual time between two checks.

    Attributes:
        check_s: Longest time between two checks, in seconds.
    """

    check_s: float


@runtime_checkable
class Calling(Protocol):
    """A session that may need its `check` early: something that its reports depend on has changed. It has no task of its
    own.

    Attributes:
        want_check: Set by the supervisor; may be called on the loop at any time and any number of times. The next `check`
            runs after the current request, at least 0.1 s after the last one, with growing pauses when calls repeat.
    """

    want_check: Callable[[], None]


class Driver(Protocol):
    """One protocol."""

    name: str
    concurrency: int
    """Requests that may be in flight on one session (1 for Modbus)."""

    def group(self, device: DeviceConfig, points: Sequence[Point], *, fill_gaps: bool = True) -> tuple[Request, ...]:
        """Joins reads: pure. Every point is in exactly one request; every request keeps the device's limits."""
        ...

    async def connect(self, devices: Sequence[DeviceConfig], *, home: str) -> Session:
        """Open the link that these devices share, within its `connect_timeout`.

        Args:
            devices: At least one; all with the same link id. Secret references are resolved here, and only here.
            home: The `.nexus` folder (certificates).

        Raises:
            DriverError: With scope SESSION.
        """
        ...


def points_of(device: DeviceConfig, names: Sequence[str] | None = None) -> tuple[Point, ...]:
    """The device's enabled tags that have an address, as points, in declared order."""
    wanted = device.tags if names is None else {name: device.tags[name] for name in names}
    return tuple(
        Point(name, tag.address, tag.type, tag.options) for name, tag in wanted.items() if tag.address and tag.enabled
    )
