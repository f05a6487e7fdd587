"""Bodies of web's routes that change something. Times are µs since 1970 UTC; the answer to a command is `wire.command.Response`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from nexus_cli.wire.command import LONGEST_REASON
from nexus_cli.wire.control import NO_NUL, Body, Failure, Question
from nexus_cli.wire.field_types import PlainValue
from nexus_cli.wire.web import TagPath

LONGEST_S = 60.0
"""A command lives at most this long, in seconds."""
USUAL_S = 10.0

Reason = Annotated[str, Meta(max_length=LONGEST_REASON, pattern=NO_NUL)]
CommandId = Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._:-]{0,63})?$")]
Lifetime = Annotated[float, Meta(gt=0, le=LONGEST_S)]


class CommandRequest(Question, frozen=True, kw_only=True):
    """A write that is asked for.

    Attributes:
        path: `area/line/device/tag`.
        id: Of the caller's choice: the same wish under the same id is carried out once, and answered again; "" makes one.
        value: In the published unit; a text is read as a person types it: `42`, `on`, the name of an enumeration's code.
        expect: What the tag must hold right before; left out: nothing is asked.
        reason: For the audit trail.
        timeout_s: It expires after this time.
        dry_run: True sends nothing and says what would be.
    """

    path: TagPath
    id: CommandId = ""
    value: PlainValue
    expect: PlainValue | msgspec.UnsetType = msgspec.UNSET
    reason: Reason = ""
    timeout_s: Lifetime = USUAL_S
    dry_run: bool = False


class DryRun(Body, frozen=True, kw_only=True):
    """What a command would do.

    Attributes:
        path: `area/line/device/tag`.
        old: The newest value; null when there is none, when it is BAD, or when the caller may not read it.
        will_be: What the device would hold, after rounding to what it can; null when it is refused.
        unit: The published unit.
        refusal: Why it would be refused; null when nothing is known against it.
    """

    path: str
    old: PlainValue = None
    will_be: PlainValue = None
    unit: str = ""
    refusal: Failure | None = None
