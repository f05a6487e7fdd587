"""Bodies of the HTTP API of the role web. Times are µs since 1970 UTC, paths `area/line/device/tag`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from nexus_cli.wire.control import NO_NUL, Question
from nexus_cli.wire.field_types import Microseconds, PlainValue

MOST_PATHS = 10_000
TagPath = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NO_NUL)]


class TagValue(msgspec.Struct, frozen=True, kw_only=True):
    """The newest value of a tag.

    Attributes:
        path: Of the tag.
        value: In `unit`; null when the quality is BAD.
        quality: GOOD, UNCERTAIN or BAD.
        reason: Why it is not GOOD; "".
        time: When it was read at its source; null when it has no time of its own.
        received: When it came to this web; 0 when nothing was published yet.
        unit, label: Of the value; "".
    """

    path: str
    value: PlainValue
    quality: str
    reason: str = ""
    time: Microseconds | None = None
    received: Microseconds = 0
    unit: str = ""
    label: str = ""


class TagValues(msgspec.Struct, frozen=True, kw_only=True):
    """Values in the order of the question."""

    values: list[TagValue]


class TagPaths(Question, frozen=True, kw_only=True):
    """Which tags."""

    paths: Annotated[list[TagPath], msgspec.Meta(min_length=1, max_length=MOST_PATHS)]
