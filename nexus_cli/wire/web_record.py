"""Bodies of the HTTP API of the role web about what is on record beside the samples. Times are µs since 1970 UTC."""

from __future__ import annotations

from nexus_cli.json_value import JsonObject
from nexus_cli.wire.control import Body
from nexus_cli.wire.field_types import PlainValue


class GapSpan(Body, frozen=True, kw_only=True):
    """A span in which samples are known to be missing.

    Attributes:
        start, end: The span; the end is null while it lasts.
        device: `area/line/device`; "" for the whole gateway.
        gateway: Its name.
        frames: 0 when it is not known how many.
        reason: Why.
    """

    start: int
    end: int | None
    device: str
    gateway: str
    frames: int
    reason: str


class Gaps(Body, frozen=True, kw_only=True):
    """Gaps that touch a span, by start; `truncated` when the oldest of them were left out."""

    gaps: list[GapSpan]
    truncated: bool = False


class CommandRow(Body, frozen=True, kw_only=True):
    """How a command ended.

    Attributes:
        id: Its idempotency key.
        path: Of the tag.
        principal: Who asked; `via` is who sent it for them, "" for themselves.
        value: As it was asked, in the published unit.
        state: `done`, `refused`, `failed` or `unknown`.
        time: When it ended.
        detail: What else is known: gateway, old, read_back, code, message, …
    """

    id: str
    path: str
    principal: str
    value: PlainValue
    state: str
    time: int
    via: str = ""
    detail: JsonObject = {}


class CommandRows(Body, frozen=True, kw_only=True):
    """The newest first; `before` asks for the next ones, null when there are none."""

    commands: list[CommandRow]
    before: int | None = None


class DeadLetterRow(Body, frozen=True, kw_only=True):
    """Messages of one topic that could not be stored for one reason.

    Attributes:
        id: Of the row.
        time: When the first of them came.
        topic: Of the messages.
        reason, detail: One word, and what is wrong.
        payload: Of the first; bytes that are no text as `\\xNN`, at most 4 KiB.
        count: How many there were.
        tries: Retries that did not store it.
        waiting: Given back to the historian, which has not looked at it yet.
    """

    id: int
    time: int
    topic: str
    reason: str
    detail: str
    payload: str
    count: int
    tries: int = 0
    waiting: bool = False


class DeadLetterRows(Body, frozen=True, kw_only=True):
    """The newest first; `before` asks for the next ones, null when there are none."""

    dead_letters: list[DeadLetterRow]
    before: int | None = None


class DiscoveryRun(Body, frozen=True, kw_only=True):
    """One run of `nexus discover --via`.

    Attributes:
        id: ULID.
        who: Who ran it.
        gateway, target: Through which gateway, and what was browsed, without passwords.
        started, ended: When.
        outcome: `done`, `stopped` (by a person or a limit) or `failed`; `detail` says why.
        found, skipped: How many values were offered, and left out.
    """

    id: str
    who: str
    gateway: str
    target: str
    started: int
    ended: int
    outcome: str
    detail: str = ""
    found: int = 0
    skipped: int = 0


class DiscoveryRuns(Body, frozen=True, kw_only=True):
    """The newest first."""

    discoveries: list[DiscoveryRun]


class DiscoveredValue(Body, frozen=True, kw_only=True):
    """A value that a device offers.

    Attributes:
        path: Names from the start of the walk, joined by `/`.
        address: In the protocol's spelling.
        type, unit, description: As far as the device says; "".
    """

    path: str
    address: str
    type: str = ""
    unit: str = ""
    description: str = ""


class DiscoveryResult(DiscoveryRun, frozen=True, kw_only=True):
    """A run with its values, the first 5,000 of them, and how many were skipped for each reason."""

    values: list[DiscoveredValue]
    skipped_reasons: dict[str, int] = {}


class RetainedTopic(Body, frozen=True, kw_only=True):
    """A retained message without an owner.

    Attributes:
        topic: Below `enterprise/site`.
        received: When this web got it from the broker.
        size: Bytes of its payload.
        payload: The first 200 characters of it.
    """

    topic: str
    received: int
    size: int
    payload: str


class RetainedTopics(Body, frozen=True, kw_only=True):
    """By topic; `total` is how many there are."""

    topics: list[RetainedTopic]
    total: int
