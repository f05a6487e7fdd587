"""Bodies of control's API about discoveries that the worker does."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from nexus_cli.wire.control import NO_NUL, Body, Question
from nexus_cli.wire.field_types import Count, Microseconds, one_of

STATES = ("waiting", "running", "done", "failed")
Text = Annotated[str, Meta(max_length=500, pattern=NO_NUL)]
Globs = Annotated[list[Text], Meta(max_length=100)]
Limit = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class DiscoveryQuestion(Question, frozen=True, kw_only=True):
    """What is discovered.

    Attributes:
        device: `area/line/device`, as it is recorded.
        via: Gateway that browses; "" is the one that has the device.
        include, exclude: Globs over the original names.
        start: Where to begin, in the protocol's spelling.
        depth: Most levels; 0 for all.
        max_nodes: End after so many values; 0 for no end.
        rate_per_s: Most values a second; 0 for no limit.
        properties: OPC UA: also properties that describe no other value.
    """

    device: Annotated[str, Meta(min_length=1, max_length=500, pattern=NO_NUL)]
    via: Text = ""
    include: Globs = []
    exclude: Globs = []
    start: Text = ""
    depth: Limit = 0
    max_nodes: Limit = 0
    rate_per_s: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    properties: bool = False


class DeviceDiscovery(Body, frozen=True, kw_only=True):
    """One discovery.

    Attributes:
        id: ULID.
        who: Who asked for it.
        device, gateway, protocol: What is browsed, and through which gateway.
        wanted: Filters and limits, as in the question.
        state: `waiting`, `running`, `done`, or `failed`: see `reason`.
        created: When it was asked for.
        begun, ended: The last try; null before.
        expires: When it is removed; null while it waits or runs.
        found: Values so far that the filters take.
        skipped: Things so far that are no tags, or are left out.
        waiting: Nodes that were met and not browsed yet.
        reason: Why the last try failed, or why the walk ended early.
    """

    id: str
    who: str
    device: str
    gateway: str
    protocol: str
    wanted: dict[str, Any]
    state: Annotated[str, one_of(STATES)]
    created: Microseconds
    begun: Microseconds | None = None
    ended: Microseconds | None = None
    expires: Microseconds | None = None
    found: Count = 0
    skipped: Count = 0
    waiting: Count = 0
    reason: str = ""


class DeviceDiscoveries(Body, frozen=True, kw_only=True):
    """The newest first."""

    discoveries: list[DeviceDiscovery]


class DiscoveredItems(Body, frozen=True, kw_only=True):
    """Some of what a discovery found, in order.

    Attributes:
        items: `[path, address, type, unit, description, writable, detail]` each, as a gateway reports them.
        after: Ask for those after this number next; null at the end.
    """

    items: list[list[Any]]
    after: int | None = None
