"""Bodies of control's HTTP API about devices that are out of service, and retained topics; rules as in `control.py`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from nexus_cli.wire.control import MOST_NAMES, NO_NUL, Body, Question

SHORTEST_S, LONGEST_S = 60, 8 * 3600
"""A device is out of service for 1 min to 8 h; asking again replaces the end."""
SHOWN = 100
"""Topics that are named one by one in the audit trail."""

Why = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NO_NUL)]
Topic = Annotated[str, msgspec.Meta(min_length=1, max_length=65_535, pattern=r"^[^\x00+#]*$")]


class OutOfServiceRequest(Question, frozen=True, kw_only=True):
    """Take a device out of service.

    Attributes:
        for_s: How long, in seconds.
        reason: Why, for the audit trail and for who wants to write to it.
    """

    for_s: Annotated[int, msgspec.Meta(ge=SHORTEST_S, le=LONGEST_S)]
    reason: Why


class OutOfService(Body, frozen=True, kw_only=True):
    """A device that is out of service.

    Attributes:
        device: `area/line/device`.
        since: When it began.
        until: When it ends by itself.
        who: Who asked for it, at the last time.
        reason: Why.
        gateway: Whose device it is; "" of one that is not recorded any more.
        in_force: Whether the gateway says that it has closed the device's session.
    """

    device: str
    since: int
    until: int
    who: str
    reason: str
    gateway: str = ""
    in_force: bool = False


class OutOfServiceList(Body, frozen=True, kw_only=True):
    """Those that are, by path."""

    devices: list[OutOfService]


class InService(Body, frozen=True, kw_only=True):
    """Whether the device was out of service."""

    ended: bool


class ClearRequest(Question, frozen=True, kw_only=True):
    """Retained messages to be cleared.

    Attributes:
        topics: Whole topics below the site.
        preview: True clears nothing, and says what would be.
    """

    topics: Annotated[list[Topic], msgspec.Meta(min_length=1, max_length=MOST_NAMES)]
    preview: bool = False


class RefusedTopic(Body, frozen=True, kw_only=True):
    """A topic that is not cleared, and why."""

    topic: str
    why: str


class Cleared(Body, frozen=True, kw_only=True):
    """What was cleared, or would be.

    Attributes:
        cleared: Topics in the order of the question, each once.
        refused: The others; while there is one, nothing is cleared.
        preview: True: nothing was cleared.
    """

    cleared: list[str]
    refused: list[RefusedTopic] = []
    preview: bool = False
