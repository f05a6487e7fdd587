"""Bodies of the HTTP API of the role web about exports."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from nexus_cli.wire.control import NO_NUL, Body, Question
from nexus_cli.wire.field_types import Count, Microseconds, one_of

STATES = ("waiting", "running", "done", "failed")
MOST_SELECTORS = 100
Moment = Annotated[str, Meta(min_length=1, max_length=60, pattern=NO_NUL)]


class ExportQuestion(Question, frozen=True, kw_only=True):
    """What is exported.

    Attributes:
        selectors: Paths, or globs such as `packaging/**`; none is every tag that the caller may read.
        since, until: `from` and `to`: how long ago (1h, 7d), today, 06:00, or ISO 8601; the end is exclusive.
        format: Of the file.
        zone: In which times without an offset are read; UTC without it.
    """

    selectors: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=500, pattern=NO_NUL)]], Meta(max_length=MOST_SELECTORS)
    ] = []
    since: Moment = msgspec.field(name="from", default="1d")
    until: Moment = msgspec.field(name="to", default="now")
    format: Literal["parquet", "csv"] = "parquet"
    zone: Annotated[str, Meta(max_length=60, pattern=NO_NUL)] = ""


class Export(Body, frozen=True, kw_only=True):
    """One export.

    Attributes:
        id: ULID.
        who: Who asked for it.
        state: `waiting`, `running`, `done`, or `failed`: see `reason`.
        format: `parquet` or `csv`.
        selectors: As asked for.
        start, end: Of its samples; the end is exclusive.
        tags: How many the selectors chose, of those that who asked may read.
        created: When it was asked for.
        begun, ended: The last try; null before.
        expires: When it and its file are removed; null while it waits or runs.
        rows: How many samples the file has.
        size: Of the file, in bytes.
        sha256: Of the file, hexadecimal; "" before it is done.
        reason: Why the last try failed; "" when none did.
    """

    id: str
    who: str
    state: Annotated[str, one_of(STATES)]
    format: str
    selectors: list[str]
    start: Microseconds
    end: Microseconds
    tags: Count
    created: Microseconds
    begun: Microseconds | None = None
    ended: Microseconds | None = None
    expires: Microseconds | None = None
    rows: Count = 0
    size: Count = 0
    sha256: str = ""
    reason: str = ""


class Exports(Body, frozen=True, kw_only=True):
    """The newest first."""

    exports: list[Export]
