"""Bodies of control's API about the removal of forgotten series."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from nexus_cli.wire.control import NO_NUL, Body, Question
from nexus_cli.wire.field_types import Count, Microseconds, one_of

STATES = ("waiting", "running", "done", "failed")
Text = Annotated[str, Meta(min_length=1, max_length=500, pattern=NO_NUL)]
Selectors = Annotated[list[Text], Meta(min_length=1, max_length=100)]
MOST_SERIES = 10_000
"""Of one purge."""


class PurgeSelection(Question, frozen=True, kw_only=True):
    """Which forgotten series: paths, or globs over `area/line/device/tag`."""

    selectors: Selectors


class PurgeQuestion(Question, frozen=True, kw_only=True):
    """What is to be removed.

    Attributes:
        selectors: As shown by the preview.
        series: Paths that the preview showed; with others the purge is refused.
        reason: For the audit trail.
    """

    selectors: Selectors
    series: Annotated[list[Text], Meta(min_length=1, max_length=MOST_SERIES)]
    reason: Annotated[str, Meta(max_length=500, pattern=NO_NUL)] = ""


class ForgottenSeries(Body, frozen=True, kw_only=True):
    """One series that no tag has any more.

    Attributes:
        path: Its last path.
        samples: Stored samples; null where counting took too long.
        first, last: Times of the oldest and the newest; null where there is none.
        archived_days: Days of the archive that may hold samples of it, and keep them.
        protected: It was declared with `keep: always`: it is not removed.
    """

    path: str
    samples: Count | None = None
    first: Microseconds | None = None
    last: Microseconds | None = None
    archived_days: Count = 0
    protected: bool = False


class PurgePreview(Body, frozen=True, kw_only=True):
    """What a purge would remove, by path.

    Attributes:
        series: Forgotten series that the selectors take.
        living: Paths that they take of tags that are declared: nothing of them is removed.
    """

    series: list[ForgottenSeries]
    living: list[str]


class Purge(Body, frozen=True, kw_only=True):
    """One purge.

    Attributes:
        id: ULID.
        who, why: Who wanted it, and the reason that was given.
        selectors: Paths and globs, as they were typed.
        state: `waiting`, `running`, `done`, or `failed`: see `reason`.
        created: When it was wanted.
        begun, ended: The last try; null before.
        series, removed, left: How many series; how many are gone, and how many were left: they were declared again, or are protected.
        samples: Removed so far.
        reason: Why the last try failed.
    """

    id: str
    who: str
    why: str
    selectors: list[str]
    state: Annotated[str, one_of(STATES)]
    created: Microseconds
    begun: Microseconds | None = None
    ended: Microseconds | None = None
    series: Count = 0
    removed: Count = 0
    left: Count = 0
    samples: Count = 0
    reason: str = ""


class Purges(Body, frozen=True, kw_only=True):
    """The newest first."""

    purges: list[Purge]
