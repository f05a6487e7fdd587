"""Bodies of control's API about series that no site declares; rules as in `control.py`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from nexus_cli.wire.control import NO_NUL, Body, Count, Name, Question
from nexus_cli.wire.field_types import Microseconds, one_of

PAGE = 2_000
"""Series of one answer."""
MOST_SETTLED = 10_000
"""Of one request."""
FORGET, KEEP = "forget", "keep"
LONGEST_PATH = 10_000
"""Of a row that was written by hand, in characters: a tag's is far shorter."""
Path = Annotated[str, Meta(max_length=LONGEST_PATH, pattern=NO_NUL)]


class UndeclaredQuestion(Question, frozen=True, kw_only=True):
    """Which page.

    Attributes:
        after: Path of the last series of the page before; "" begins.
        targets: Instead of a page: paths of which control says whether they have a series.
    """

    after: Path = ""
    targets: Annotated[list[Path], Meta(max_length=MOST_SETTLED)] = []


class UndeclaredSeries(Body, frozen=True, kw_only=True):
    """One series that the recorded state does not declare.

    Attributes:
        ulid: Its id, which survives renames.
        path: Its path, the last one.
        type, unit: Of its newest segment.
        retention: Class that its samples belong to.
        active: True of one that was never forgotten: a row that was written by hand.
        protocol, address: Where its values came from, as far as it is known; "" otherwise.
        labels: Names of an enumeration's codes.
        samples: In the database, without the archive; null where counting took too long.
        first, last: Times of the oldest and the newest; null where there is none, or it was not counted.
        protected: Its samples are never dropped.
    """

    ulid: str
    path: str
    type: str
    unit: str = ""
    retention: str = ""
    active: bool = False
    protocol: str = ""
    address: str = ""
    labels: dict[str, str] = {}
    samples: Count | None = None
    first: Microseconds | None = None
    last: Microseconds | None = None
    protected: bool = False


class Elsewhere(Body, frozen=True, kw_only=True):
    """Series of a site that no control of this database runs.

    Attributes:
        site: `enterprise/site`.
        series: How many.
    """

    site: str
    series: Count


class UndeclaredList(Body, frozen=True, kw_only=True):
    """One page, by path.

    Attributes:
        series: Undeclared ones.
        more: Whether there is another page.
        taken: Those of the targets that have a series.
        elsewhere: Of sites that are run no more; on the first page alone.
    """

    series: list[UndeclaredSeries]
    more: bool = False
    taken: list[str] = []
    elsewhere: list[Elsewhere] = []


class Settlement(Question, frozen=True, kw_only=True):
    """What becomes of one series.

    Attributes:
        ulid, path: As they were shown: with another path the whole is refused.
        does: `forget`: it is declared no more, its samples stay as its class says. `keep`: they are never dropped.
    """

    ulid: Name
    path: Path
    does: Annotated[str, one_of((FORGET, KEEP)), Meta(pattern=f"^({FORGET}|{KEEP})$")]


class SettleQuestion(Question, frozen=True, kw_only=True):
    """What is done, all of it or nothing.

    Attributes:
        series: Each series once.
        reason: For the audit trail.
    """

    series: Annotated[list[Settlement], Meta(min_length=1, max_length=MOST_SETTLED)]
    reason: Annotated[str, Meta(max_length=500, pattern=NO_NUL)] = ""


class Settled(Body, frozen=True, kw_only=True):
    """What was done: series that changed; those that were so already are not counted.

    Attributes:
        forgotten: Marked as no longer declared.
        kept: Newly protected.
    """

    forgotten: Count = 0
    kept: Count = 0
