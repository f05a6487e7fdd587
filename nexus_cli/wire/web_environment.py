"""Bodies of the role web: what kind of runtime this is, and the declared views."""

from __future__ import annotations

import msgspec


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What kind of runtime this is.

    Attributes:
        kind: `live` is the plant; `mock` has simulators for devices; `replay` plays what was recorded.
        detail: A sentence; "" of the plant.
    """

    kind: str
    detail: str = ""


class ShownView(msgspec.Struct, frozen=True, kw_only=True):
    """A declared view, as its caller may watch it.

    Attributes:
        name: Of the view.
        priority: 1 (first) to 6.
        description: For people; "".
        filters: MQTT filters of which the caller may receive something, in the order of the site file.
        left_out: How many more the view has.
    """

    name: str
    priority: int
    description: str = ""
    filters: list[str] = []
    left_out: int = 0


class ShownViews(msgspec.Struct, frozen=True, kw_only=True):
    """Views by priority, then by name; one of which the caller may receive nothing is not among them."""

    views: list[ShownView]
