"""The state of an alert: retained on `_nexus/{enterprise}/{site}/alert/{name}`, served by control's API, and stored."""

from __future__ import annotations

from typing import Annotated

import msgspec

from nexus_cli.wire.field_types import Microseconds, TagValue, one_of

STATES = ("active", "acknowledged", "returned", "cleared")
KINDS = (
    "active",
    "returned",
    "acknowledged",
    "cleared",
    "shelved",
    "unshelved",
    "suppressed",
    "unsuppressed",
    "out-of-service",
    "in-service",
    "flood-begins",
    "flood-ends",
)
"""What the journal of alerts records."""


class AlertEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the journal of alerts, beside what `Alert` says.

    Attributes:
        kind: One of `KINDS`.
        at: When, µs since 1970 UTC; of one alert each event is later than the one before.
        state: Of the alert after it; "" of a flood.
        who: Principal; "" where no person did it.
        reason: Of a hold in the words of who did it; of a suppression which alert; of a flood its size.
        held: Whether the alert was shelved, out of service or suppressed, so that it was not announced.
    """

    kind: str
    at: int
    state: str = ""
    who: str = ""
    reason: str = ""
    held: bool = False


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one alert. One with a `priority` is an alarm: it must be answered.

    Attributes:
        name: Of the alert.
        state: `active`, `acknowledged`, `returned` (over, and not acknowledged) or `cleared`.
        since: When it came to this state, µs since 1970 UTC.
        value: The tag's value that brought it there.
        severity: `info`, `warning` or `critical`.
        tag: `area/line/device/tag`; "" of an expression that belongs nowhere.
        description: In the words of the site.
        acknowledged_by: The user who acknowledged it; "" unless it is acknowledged.
        priority: `low`, `medium`, `high` or `critical`; "" of an alert that needs no answer.
        group: Of alarms that one person answers; "" is none.
        response, consequence: What to do, and what happens otherwise.
        occurrence: When it last became active, µs since 1970 UTC, 0 is never: with site and name the key of one alarm.
        changed: When anything of it last changed, µs since 1970 UTC.
        first_out: It became active while its group had no alarm without an answer: the first of its cascade.
        shelved_until: When its shelf ends, µs since 1970 UTC; 0 is not shelved.
        shelved_by, shelved_reason: By whom, and why.
        out_of_service: Since when it is out of service, µs since 1970 UTC; 0 is in service.
        out_of_service_by, out_of_service_reason: By whom, and why.
        suppressed_by: The alert that suppresses it; "" is none.
    """

    name: str
    state: Annotated[str, one_of(STATES)]
    since: Microseconds
    value: TagValue
    severity: Annotated[str, one_of(("info", "warning", "critical"))]
    tag: str
    description: str
    acknowledged_by: str | None
    priority: Annotated[str, one_of(("", "low", "medium", "high", "critical"))] = ""
    group: str = ""
    response: str = ""
    consequence: str = ""
    occurrence: Microseconds = 0
    changed: Microseconds = 0
    first_out: bool = False
    shelved_until: Microseconds = 0
    shelved_by: str = ""
    shelved_reason: str = ""
    out_of_service: Microseconds = 0
    out_of_service_by: str = ""
    out_of_service_reason: str = ""
    suppressed_by: str = ""

    @property
    def held(self) -> bool:
        """Whether it is shelved, out of service or suppressed: it is not announced, whatever its state."""
        return bool(self.shelved_until or self.out_of_service or self.suppressed_by)
