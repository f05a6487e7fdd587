"""The state of an alert: retained on `_nexus/{enterprise}/{site}/alert/{name}`, served by control's API, and stored."""

from __future__ import annotations

from typing import Annotated

import msgspec

from nexus_cli.wire.field_types import Microseconds, TagValue, one_of


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one alert.

    Attributes:
        name: Of the alert.
        state: `active`, `acknowledged` or `cleared`.
        since: When it came to this state, µs since 1970 UTC.
        value: The tag's value that brought it there.
        severity: `info`, `warning` or `critical`.
        tag: `area/line/device/tag`.
        description: In the words of the site.
        acknowledged_by: The user who acknowledged it; "" unless it is acknowledged.
    """

    name: str
    state: Annotated[str, one_of(("active", "acknowledged", "cleared"))]
    since: Microseconds
    value: TagValue
    severity: Annotated[str, one_of(("info", "warning", "critical"))]
    tag: str
    description: str
    acknowledged_by: str | None
