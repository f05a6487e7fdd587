"""The state of a gateway's clock, within its health."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from nexus_cli.wire.field_types import Microseconds


class ClockHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's clock.

    Attributes:
        synchronised: Whether the machine's clock is synchronised, as `by` says; None when there is no source.
        by: `system`, `setting`, or "".
        error_us: The operating system's estimate of the largest error.
        steps: Steps of the machine's clock over 1 s.
        last_step_us: The last of them; positive is forward.
        ahead_us: Gateway time ahead of the machine's clock.
        turns: How often gateway time was set back.
        refused_floor_us: A last time on disk that can't be, µs since 1970 UTC; 0: none.
        doubt: Why samples are UNCERTAIN; "": they are not.
        doubtful_since: Since when, µs since 1970 UTC; 0: they are not.
    """

    synchronised: Annotated[bool | None, Meta(description="null: there is no source.")] = None
    by: Annotated[str, Meta(description="Who says so.", extra_json_schema={"enum": ["system", "setting", ""]})] = ""
    error_us: Annotated[
        int,
        Meta(description="The largest error that the operating system reckons with.", extra_json_schema={"minimum": 0}),
    ] = 0
    steps: Annotated[
        int, Meta(description="Steps of the machine's clock over 1 s.", extra_json_schema={"minimum": 0})
    ] = 0
    last_step_us: int = 0
    ahead_us: Annotated[int, Meta(description="Gateway time ahead of the machine's clock.")] = 0
    turns: Annotated[
        int, Meta(description="How often gateway time was set back.", extra_json_schema={"minimum": 0})
    ] = 0
    refused_floor_us: Annotated[int, Meta(description="A last time on disk that can't be; 0: none.")] = 0
    doubt: Annotated[str, Meta(description="Why samples are UNCERTAIN clock_unsynchronised; empty: they are not.")] = ""
    doubtful_since: Microseconds = 0
