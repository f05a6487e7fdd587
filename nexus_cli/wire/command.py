"""Commands: the request to write, its answer, and the report that ends in the table `command`.

A command travels on `_nexus/{enterprise}/{site}/cmd/{area}/{line}/{device}/{tag}/{principal}`, its answer on
`_nexus/{enterprise}/{site}/response/{gateway}/{principal}/{id}`, the report through the outbox on
`_nexus/{enterprise}/{site}/audit/{gateway}`.

See docs/decisions/0024.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from nexus_cli.wire.field_types import Epoch, Microseconds, PlainValue, Seq, TagValue
from nexus_cli.wire.frame import FrameError

LONGEST_AHEAD_US = 60_000_000
"""`expires_at` lies at most this far ahead."""
MAX_BYTES = 16 * 1024
"""A command is not larger."""
DEEPEST = 100
"""Levels of arrays and objects in what a command asks for. Its report has to be written by JSON libraries that end at 254."""
LONGEST_REASON = 500
"""Characters of a command's reason."""
LONGEST_ASKER = 200
"""Characters of the name of whom web sends a command for."""
LARGEST_LOOKED_INTO = 1 << 20
"""Of a larger one not even the id is looked for."""
ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
"""An id is one level of a topic."""
_ID = re.compile(ID_PATTERN + r"\Z")


class State(StrEnum):
    """How a command ended.

    DONE: the device holds the value, as far as it was to be read back.
    REFUSED: it was never sent to the device.
    FAILED: the device was asked and refused it, or holds another value.
    UNKNOWN: it is not known whether the device has it; it is never tried again.
    """

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


class CommandError(ValueError):
    """The bytes are not a command.

    Attributes:
        id: The id when that much could be read, else "".
    """

    def __init__(self, message: str, *, id: str = "") -> None:
        super().__init__(message)
        self.id = id


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A requested write.

    Attributes:
        id: Idempotency key, unique per principal.
        value: In the published unit; a label of an enumeration is its name.
        expires_at: µs since 1970 UTC, at most 60 s ahead; never carried out later.
        expect: What the tag must hold right before, in the published unit; UNSET asks for nothing.
        reason: For the audit trail.
        asked_by: For whom web sends it; a gateway takes it from web alone, and refuses it from others.
    """

    id: Annotated[str, Meta(description="Idempotency key.", extra_json_schema={"pattern": f"^{ID_PATTERN}$"})]
    value: Annotated[
        PlainValue,
        Meta(description="In the published unit; the name of an enumeration's code is accepted for the code."),
    ]
    expires_at: Annotated[int, Meta(description="Microseconds since 1970 UTC; at most 60 s ahead.")]
    expect: (
        Annotated[PlainValue, Meta(description="What the tag must hold right before; compared with a fresh read.")]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    reason: Annotated[
        str, Meta(description="For the audit trail.", extra_json_schema={"maxLength": LONGEST_REASON})
    ] = ""
    asked_by: Annotated[
        str,
        Meta(
            description="Whose command it is. Only web sends it, after a look at that caller's rights; from others it is refused.",
            extra_json_schema={"maxLength": LONGEST_ASKER},
        ),
    ] = ""

    def fingerprint(self, path: str) -> str:
        """Equal for the same wish: a repeated id with another one is a mistake of its sender."""
        expect = None if self.expect is msgspec.UNSET else [self.expect]
        wish = [path, self.value, expect, *([self.asked_by] if self.asked_by else [])]
        return hashlib.sha256(msgspec.json.encode(wish)).hexdigest()[:24]


class Response(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer.

    Attributes:
        id: Of the command.
        state: As in `State`.
        path: `area/line/device/tag`.
        time: When it ended, µs since 1970 UTC.
        value: What was written, in the published unit (after rounding to what the device can hold).
        old: What the tag held before, as far as known.
        read_back: What it holds afterwards; null when it was not read.
        unit: The published unit.
        code: Why it was not done, `NXnnnn`.
        detail: The same in a sentence.
    """

    id: str
    state: State
    path: str = ""
    time: Microseconds = 0
    value: Annotated[PlainValue, Meta(description="What was written, after rounding to what the device can hold.")] = (
        None
    )
    old: Annotated[PlainValue, Meta(description="What the tag held before, as far as known.")] = None
    read_back: Annotated[PlainValue, Meta(description="What it holds afterwards; absent when it was not read.")] = None
    unit: str = ""
    code: str = ""
    detail: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The stored report of one command; numbered like a frame, because it travels through the outbox.

    Attributes:
        epoch, seq: As in `Frame`.
        gateway: Who carried it out, or refused it.
        principal: Who asked: the last level of the topic, which the broker's rules bind to the user.
        asked_by: For whom `principal` asked; "" for itself.
        received: When it arrived, µs since 1970 UTC.
        command: As it was asked; "" or null where it could not be read.
        response: As it was answered.
    """

    epoch: Epoch
    seq: Seq
    gateway: str
    principal: str
    received: Microseconds
    response: Response
    asked: TagValue = None
    expect: TagValue = None
    expires_at: Microseconds = 0
    reason: str = ""
    asked_by: str = ""


class _Named(msgspec.Struct):
    id: str = ""


_command = msgspec.json.Decoder(Command)
_named = msgspec.json.Decoder(_Named)
_report = msgspec.json.Decoder(Report)
_response = msgspec.json.Decoder(Response)
_encoder = msgspec.json.Encoder()


def encode(message: Command | Response | Report) -> bytes:
    """JSON bytes."""
    return _encoder.encode(message)


LARGEST_REPORT_BYTES = 64 * 1024
"""Answers and reports above this leave out their values, which are what makes them large."""


def shortened(report: Report) -> Report:
    """The same report without the values; the detail of its answer says so."""
    return msgspec.structs.replace(report, response=without_values(report.response), asked=None, expect=None)


def without_values(response: Response) -> Response:
    """The same answer without the values; its detail says so."""
    left_out = "values are left out: the message was too large"
    detail = f"{response.detail[:2_000]}; {left_out}" if response.detail else left_out
    return msgspec.structs.replace(response, value=None, old=None, read_back=None, detail=detail)


def is_id(text: str) -> bool:
    """True when the text may be a command's id."""
    return _ID.match(text) is not None


def too_large(payload: bytes) -> str:
    """Why a command is too large, "" when it is not; its sender checks before it sends."""
    if len(payload) <= MAX_BYTES:
        return ""
    return f"the command has {len(payload)} bytes as JSON; at most {MAX_BYTES} are carried out"


def decode_command(payload: bytes) -> Command:
    """Read a command.

    Raises:
        CommandError: Too large, not JSON, or not the shape of a command; the message says what is wrong.
    """
    if problem := too_large(payload):
        # The sender waits for an answer: the id is looked for all the same, up to a limit of size.
        raise CommandError(problem, id=_id_in(payload) if len(payload) <= LARGEST_LOOKED_INTO else "")
    try:
        found = _command.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(str(error), id=_id_in(payload)) from None
    if not is_id(found.id):
        raise CommandError("the id is not 1 to 128 letters, digits, '.', '_', ':' or '-'")
    if len(found.reason) > LONGEST_REASON:
        raise CommandError(f"the reason is longer than {LONGEST_REASON} characters", id=found.id)
    if len(found.asked_by) > LONGEST_ASKER or not found.asked_by.isprintable():
        raise CommandError(f"asked_by is not a name of at most {LONGEST_ASKER} printable characters", id=found.id)
    if is_deeper(found.value, DEEPEST) or is_deeper(found.expect, DEEPEST):
        raise CommandError(f"the value is nested more than {DEEPEST} levels deep", id=found.id)
    return found


def is_deeper(value: object, levels: int) -> bool:
    """True when arrays and objects are nested more than so many levels deep; looks without recursion."""
    waiting = [value]
    for _ in range(levels + 1):
        waiting = [
            inner
            for each in waiting
            if isinstance(each, (list, dict))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not waiting:
            return False
    return True


def _id_in(payload: bytes) -> str:
    try:
        found = _named.decode(payload).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return found if is_id(found) else ""


def decode_response(payload: bytes) -> Response:
    """Read an answer. Raises CommandError."""
    try:
        return _response.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(str(error)) from None


def decode_report(payload: bytes) -> Report:
    """Read a report. Raises FrameError, as the other records of the outbox do."""
    try:
        return _report.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(str(error)) from None
