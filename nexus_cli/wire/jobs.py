"""Bodies of control's API about jobs and dead letters."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from nexus_cli.json_value import JsonValue
from nexus_cli.wire.control import Body, Question
from nexus_cli.wire.field_types import Microseconds, one_of

STATES = ("queued", "running", "failed")
Ids = Annotated[list[Annotated[int, Meta(ge=1, le=2**63 - 1)]], Meta(max_length=1000)]
Word = Annotated[str, Meta(max_length=1000, pattern=r"^[^\x00]*$")]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job.

    Attributes:
        id: Its number, unique in the database.
        kind: What it is for, e.g. `notify`.
        state: `queued`, `running`, or `failed`: it has no tries left and is kept.
        priority: The higher goes first.
        attempts: How often it was begun.
        created: When it was put in, µs since 1970 UTC.
        due: Not before this time.
        changed: When its state changed last.
        key: While it waits or runs there is no second one of this key; "" for none.
        reason: Why the last try failed; "" when none did.
        payload: What it is about.
    """

    id: int
    kind: str
    state: Annotated[str, one_of(STATES)]
    priority: int
    attempts: int
    created: Microseconds
    due: Microseconds
    changed: Microseconds
    key: str
    reason: str
    payload: JsonValue


class Jobs(Body, frozen=True, kw_only=True):
    """The newest first."""

    jobs: list[Job]


class KindStats(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of one kind.

    Attributes:
        kind: Its name.
        queued: Jobs whose time has come.
        planned: Jobs whose time comes later.
        running: Jobs that a worker has.
        failed: Jobs that are kept because all tries failed.
        oldest_s: How long the first of `queued` has been due, in seconds.
        done: Ended well within the span.
        given_up: Ended as failed within the span.
        tried_again: Tries that failed within the span, with another one after.
        p50_ms, p95_ms: How long those that ended well took, from when a worker took them.
    """

    kind: str
    queued: int = 0
    planned: int = 0
    running: int = 0
    failed: int = 0
    oldest_s: float = 0.0
    done: int = 0
    given_up: int = 0
    tried_again: int = 0
    p50_ms: float = 0.0
    p95_ms: float = 0.0


class JobStats(Body, frozen=True, kw_only=True):
    """Statistics by kind; `span_s` is how far back what ended is counted, in seconds."""

    span_s: int
    kinds: list[KindStats]


class JobChoice(Question, frozen=True, kw_only=True):
    """Which jobs are retried or discarded.

    Attributes:
        ids: By number.
        kind: Only of this kind; "" of any.
        all: All that failed, instead of `ids`.
    """

    ids: Ids = []
    kind: Word = ""
    all: bool = False


class JobsChanged(Body, frozen=True, kw_only=True):
    """The numbers of those that were retried or discarded, ascending."""

    ids: list[int]


class LetterChoice(Question, frozen=True, kw_only=True):
    """Which dead letters of the historian are retried or discarded.

    Attributes:
        ids: By number.
        topic: Of this topic, or below it.
        reason: Of this reason.
        all: All of them, instead of `ids`.
    """

    ids: Ids = []
    topic: Word = ""
    reason: Word = ""
    all: bool = False


class LettersChanged(Body, frozen=True, kw_only=True):
    """What became of dead letters.

    Attributes:
        ids: Of those that were stored, or discarded; ascending.
        kept: Of those that were retried and stay, by number, with why.
        waiting: Of those that the historian has not looked at yet.
    """

    ids: list[int]
    kept: dict[str, str] = {}
    waiting: list[int] = []
