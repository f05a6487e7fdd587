"""Bodies of control's HTTP API about alarms: holds, the journal, why an alarm is as it is, key figures; rules as in `control.py`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from nexus_cli.wire.alert import Alert
from nexus_cli.wire.control import NO_NUL, Body, Question
from nexus_cli.wire.control_steering import Why
from nexus_cli.wire.field_types import TagValue

SHORTEST_S, LONGEST_S = 60, 30 * 86_400
"""An alert is shelved for 1 min to 30 d; shelving again is a new time."""
LONGEST_COMMENT = 500
"""Characters."""
MOST_LINES = 5_000
"""Lines of the journal in one answer."""


class ShelveRequest(Question, frozen=True, kw_only=True):
    """Hide an alert for a while.

    Attributes:
        for_s: How long, in seconds.
        reason: Why, for the journal and the audit trail.
    """

    for_s: Annotated[int, msgspec.Meta(ge=SHORTEST_S, le=LONGEST_S)]
    reason: Why


class AcknowledgeRequest(Question, frozen=True, kw_only=True):
    """Say that an alert was seen; `reason` is a comment, or ""."""

    reason: Annotated[str, msgspec.Meta(max_length=LONGEST_COMMENT, pattern=NO_NUL)] = ""


class TakeOutRequest(Question, frozen=True, kw_only=True):
    """Take an alert out of service until a person takes it in again; `reason` is why."""

    reason: Why


class JournalLine(Body, frozen=True, kw_only=True):
    """One line of the journal.

    Attributes:
        name: Of the alert; "" of a flood.
        at: When.
        kind: What happened (`wire.alert.KINDS`).
        state: Of the alert after it.
        value: That the alert showed.
        severity, tag, priority, group: As they were declared then.
        who: Principal; "" where no person did it.
        reason: As in `AlertEvent`.
        held: Whether the alert was not announced: shelved, out of service or suppressed.
        first_out: Whether it was the first of its cascade.
    """

    name: str
    at: int
    kind: str
    state: str = ""
    value: TagValue = None
    severity: str = ""
    tag: str = ""
    who: str = ""
    reason: str = ""
    priority: str = ""
    group: str = ""
    held: bool = False
    first_out: bool = False


class Journal(Body, frozen=True, kw_only=True):
    """Oldest first; `truncated` when older ones are left out."""

    lines: list[JournalLine]
    truncated: bool = False


class Watched(Body, frozen=True, kw_only=True):
    """The newest value of a tag that an alert goes by.

    Attributes:
        path: `area/line/device/tag`.
        value, quality: None and "" while none came.
        label: The name of its code.
        out_of_service: Whether its device is.
    """

    path: str
    value: TagValue = None
    quality: str = ""
    label: str = ""
    out_of_service: bool = False


class Running(Body, frozen=True, kw_only=True):
    """Something that runs in an alert.

    Attributes:
        what: `on-delay`, `off-delay`, `shelf` or `silence`.
        left_s: Seconds to go.
    """

    what: str
    left_s: float


class Notified(Body, frozen=True, kw_only=True):
    """A message about an alarm.

    Attributes:
        step: `active`, `returned`, or `escalate-MS`, so long after it became active.
        channel: Its name.
        state: `waiting` (for a digest), `sending` (it may have been sent), `failed` (it was not; it is tried again while tries
            are left) or `sent`.
        at: When it was sent, or else first tried.
        tries: How often sending began.
        detail: Why the last try failed.
    """

    step: str
    channel: str
    state: str
    at: int
    tries: int = 1
    detail: str = ""


class AlertWhy(Body, frozen=True, kw_only=True):
    """Why an alert is as it is.

    Attributes:
        alert: Its state.
        condition: In words.
        holds: Whether the condition holds now; None when that can't be said.
        problem: Why it can't be evaluated; "" when it can.
        watched: The newest values that it goes by.
        running: Delays and a shelf that run.
        suppressors: Alerts that suppress it while they are active, and their state.
        journal: Its last lines, oldest first.
        notified: Messages about its newest occurrence; of an alert without a priority there are none.
    """

    alert: Alert
    condition: str
    holds: bool | None
    problem: str = ""
    watched: list[Watched] = []
    running: list[Running] = []
    suppressors: dict[str, str] = {}
    journal: list[JournalLine] = []
    notified: list[Notified] = []


class Figure(Body, frozen=True, kw_only=True):
    """One figure beside its public target.

    Attributes:
        name: `per-day`, `per-hour`, `per-10-minutes` (average of one operator), `flood-share` (of the 10-minute windows), or
            `share-low`, `share-medium`, `share-high`, `share-critical` (of all alarms).
        value, target: Alarms, or shares from 0 to 1.
        ok: Whether it is within the target.
        worst: The most in one window of this width, of one operator; 0 where there is none.
    """

    name: str
    value: float
    target: float
    ok: bool
    worst: float = 0.0


class FloodSpan(Body, frozen=True, kw_only=True):
    """A flood: `begin` and `end` (0: it lasts), the most alarms in 10 minutes, and all of them."""

    begin: int
    end: int
    peak: int
    alarms: int


class Actor(Body, frozen=True, kw_only=True):
    """An alert that came often: how often, its share of all, and how many `times` it chattered."""

    name: str
    alarms: int
    share: float = 0.0
    times: int = 0


class Stale(Body, frozen=True, kw_only=True):
    """An alarm that was active for more than a day: since when, and until when (0: it still is)."""

    name: str
    since: int
    until: int = 0


class Cascade(Body, frozen=True, kw_only=True):
    """An alarm that was the first of cascades: of how many, and how many alarms followed."""

    name: str
    group: str
    times: int
    followers: int


class KeyFigures(Body, frozen=True, kw_only=True):
    """Key figures of a span.

    Attributes:
        since, until: The span.
        operators: Among how many people the alarms are shared.
        alarms: That were announced.
        figures: Beside their targets.
        priorities: Alarms by priority.
        floods: The newest hundred; `flood_count` is how many there were.
        bad_actors: The ten that came most often.
        chattering: Three times or more within a minute.
        stale: Active for more than 24 h.
        first_out: The ten that most alarms followed.
        bars: Alarms of all operators in the fullest 10 minutes of each `bar_us`, from `since` on; at most 1,008.
        bar_us: Width of a bar, whole 10 minutes.
    """

    since: int
    until: int
    operators: int
    alarms: int
    figures: list[Figure]
    priorities: dict[str, int]
    floods: list[FloodSpan]
    flood_count: int
    bad_actors: list[Actor]
    chattering: list[Actor]
    stale: list[Stale]
    first_out: list[Cascade]
    bars: list[int] = []
    bar_us: int = 600_000_000
