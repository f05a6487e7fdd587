"""What runs in an alert, and how it is stored: a restart of control must neither shorten nor forget it.

The monotonic clock measures. Within one boot of a machine it continues; otherwise the shorter of two durations counts, by this
machine's wall clock and by the database's, so that a step of one of them ends nothing early.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from nexus_cli.wire.field_types import TagValue


@dataclass(slots=True, kw_only=True)
class Pending:
    """Something that lasts: a condition that holds without the alert being active yet, one that is over without it being clear, a
    hold.

    Attributes:
        since_us: When it began, µs since 1970 UTC; for display.
        began_s: The same, monotonic seconds of this process; for measuring.
    """

    since_us: int
    began_s: float


@dataclass(slots=True, kw_only=True)
class Shelf:
    """A person hides an alert for a while.

    Attributes:
        until_us: When it ends, µs since 1970 UTC; for display.
        ends_s: The same, monotonic seconds of this process; this counts.
        who, reason: Who did it, and why.
    """

    until_us: int
    ends_s: float
    who: str
    reason: str


class StoredTimer(msgspec.Struct, frozen=True, kw_only=True):
    """Something that lasts, for the next life of control; see `restored_timer`.

    Attributes:
        since: When it began, µs since 1970 UTC.
        at: When it was stored, µs since 1970 UTC; 0 in rows of before, which were stored when it began.
        held_s: For how long it had lasted then, seconds.
        boot: Of the machine; "" is not known.
        began_s: On the monotonic clock of that boot.
    """

    since: int
    at: int = 0
    held_s: float = 0.0
    boot: str = ""
    began_s: float = 0.0


class StoredShelf(msgspec.Struct, frozen=True, kw_only=True):
    """A shelf with `left_s` to go when it was stored at `at`; `ends_s` on the monotonic clock of that boot."""

    until: int
    at: int
    left_s: float
    boot: str = ""
    ends_s: float = 0.0
    who: str = ""
    reason: str = ""


class StoredTimers(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What runs in an alert beside its pending condition, for the next life of control.

    Attributes:
        clearing: Since when the condition is over while the alert is not clear yet.
        silent: Since when nothing came (`unchanged_for`, `no_data_for`).
        silent_value: The value that did not change.
        shelf: The shelf.
    """

    clearing: StoredTimer | None = None
    silent: StoredTimer | None = None
    silent_value: TagValue = None
    shelf: StoredShelf | None = None


class Moment(NamedTuple):
    """A moment of a restart by every clock.

    Attributes:
        boot: Id of this machine's boot; "" when unknown.
        at_s: Monotonic seconds.
        now_us: This machine's wall clock, µs since 1970 UTC.
        database_us: The database's clock, µs since 1970 UTC.
        stored_us: The database's clock when it was stored, µs since 1970 UTC.
    """

    boot: str
    at_s: float
    now_us: int
    database_us: int
    stored_us: int

    def since_stored_s(self, at_us: int) -> float:
        """How long ago something was stored that was stored at `at_us`: the shorter of two durations, at least 0."""
        return max(0.0, min(self.now_us - at_us, self.database_us - self.stored_us) / 1e6)


def stored_timer(pending: Pending, *, boot: str, at_s: float, now_us: int) -> StoredTimer:
    """The form in which it is stored for the next start of control."""
    held_s = max(0.0, at_s - pending.began_s)
    return StoredTimer(since=pending.since_us, at=now_us, held_s=held_s, boot=boot, began_s=pending.began_s)


def restored_timer(stored: StoredTimer, moment: Moment) -> Pending:
    """The reverse of `stored_timer`, on the clock of this process."""
    if moment.boot and stored.boot == moment.boot:
        held_s = moment.at_s - stored.began_s
    else:
        held_s = stored.held_s + moment.since_stored_s(stored.at or stored.since)
    return Pending(since_us=stored.since, began_s=moment.at_s - max(0.0, held_s))


def stored_shelf(shelf: Shelf, *, boot: str, at_s: float, now_us: int) -> StoredShelf:
    """A shelf in its stored form."""
    return StoredShelf(
        until=shelf.until_us,
        at=now_us,
        left_s=max(0.0, shelf.ends_s - at_s),
        boot=boot,
        ends_s=shelf.ends_s,
        who=shelf.who,
        reason=shelf.reason,
    )


def restored_shelf(stored: StoredShelf, moment: Moment) -> Shelf:
    """The reverse of `stored_shelf`."""
    if moment.boot and stored.boot == moment.boot:
        ends_s = stored.ends_s
    else:
        ends_s = moment.at_s + stored.left_s - moment.since_stored_s(stored.at)
    return Shelf(until_us=stored.until, ends_s=ends_s, who=stored.who, reason=stored.reason)
