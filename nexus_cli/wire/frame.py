"""The frame: the samples of one device and one moment, numbered; the record on the wire.

JSON on `_nexus/{enterprise}/{site}/data/{gateway}/{device path}`; `schemas/frame.schema.json` is its shape.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from nexus_cli.wire.field_types import Count, Epoch, Microseconds, Seq, TagValue, one_of


class GapReason(StrEnum):
    """Why samples are missing: a closed list. Row, message, metric label and documentation use these names.

    Attributes:
        OVERFLOW: The disk log reached its limit; its oldest segment was dropped.
        DISK_REFUSED: The disk log could not be written (full, failed or too slow).
        OUTBOX_DAMAGED: Part of the disk log can't be read any more.
        FRAME_TOO_LARGE: The broker does not pass on a message of this size.
        GATEWAY_KILLED: The gateway's process ended without a stop, until it read the device again.
        GATEWAY_STOPPED: The gateway was stopped, until it read the device again.
        GATEWAY_LOST: The gateway does not answer; why is not known. Control opens it, see `runtime/control/gateway_liveness.py`.
        GATEWAY_STALLED: The gateway ran and did not read the device for several cycles: a pause of its process or
            machine, a clock set forward, or a link that was busy with other things.
        OUT_OF_SERVICE: A person took the device out of service for a while; it was not to be read.
        AHEAD_OF_TIME: The historian refused frames whose time was more than 5 minutes ahead; the gap spans their arrival.
        TIME_OUT_OF_RANGE: The historian refused frames whose time was before 2000 or after 2100; likewise.
    """

    OVERFLOW = "overflow"
    DISK_REFUSED = "disk_refused"
    OUTBOX_DAMAGED = "outbox_damaged"
    FRAME_TOO_LARGE = "frame_too_large"
    GATEWAY_KILLED = "gateway_killed"
    GATEWAY_STOPPED = "gateway_stopped"
    GATEWAY_LOST = "gateway_lost"
    GATEWAY_STALLED = "gateway_stalled"
    OUT_OF_SERVICE = "out_of_service"
    AHEAD_OF_TIME = "ahead_of_time"
    TIME_OUT_OF_RANGE = "time_out_of_range"


class FrameError(ValueError):
    """The bytes are not a frame; the message says what is missing or wrong, for the dead letters."""


class OtherFormatError(FrameError):
    """A frame batch of another version: who can't read it must not take custody of it."""


class Frame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=False):
    """The samples of one device and one moment.

    Attributes:
        epoch: Names one opening of an outbox (a ULID): no two of them, nor copies of one folder, share a number.
        seq: Rising by one within the epoch, over all devices of the gateway.
        time: Gateway time of every sample, µs since 1970 UTC; rising per device. The parts of one that was too large
            for one message have the same time and disjoint tags.
        samples: Value by tag; None when BAD.
        quality: Only for tags that are not GOOD: `[quality name, reason, protocol code]`.
        source_time: Only where the device gave its own time: µs since 1970 UTC, by tag.
    """

    epoch: Epoch
    seq: Seq
    time: Microseconds
    samples: dict[str, TagValue]
    quality: dict[
        str,
        Annotated[tuple[str, str | None, int], Meta(description="[quality, reason or null, protocol code]")],
    ] = {}
    source_time: dict[str, Microseconds] = {}


class Letter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Values of one tag that a rule of quality rejected, for the dead letters.

    Attributes:
        tag: Name of the tag.
        rule: `range` or `rate`.
        detail: What the rule says and what the first value was, for people.
        value: The first one, in the published unit.
        count: How many were rejected since the last such message.
    """

    tag: str
    rule: str
    detail: str = ""
    value: TagValue = None
    count: Count = 1


class Gap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Samples that are known to be missing. Travels through the outbox like a frame, on the `gap` topic.

    Attributes:
        epoch: As in `Frame`.
        seq: As in `Frame`; gaps and frames share one numbering.
        device: Device path, or "" for the whole gateway.
        start: First missing moment, µs since 1970 UTC; gateway time, as in `Frame`.
        end: Last missing moment, µs since 1970 UTC. No row of the device lies from `start` to `end`.
        frames: How many frames are missing; 0 when that can't be known.
        reason: One of `GapReason`; text, so that the message of another version can be read.
        letter: Rejected values: nothing else is missing then, from the first of them (`start`) to the last.
    """

    epoch: Epoch
    seq: Seq
    device: str
    start: Microseconds
    end: Microseconds
    frames: Count = 0
    reason: Annotated[str, one_of(GapReason)] = ""
    letter: Letter | None = None


Ranges: TypeAlias = Annotated[list[tuple[int, int]], Meta(description="Disjoint, ascending, inclusive.")]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The stored numbers of one epoch.

    Attributes:
        epoch: Of the ranges.
        ranges: Disjoint, ascending, inclusive `[first, last]`.
    """

    epoch: Epoch
    ranges: Ranges


class Committed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The historian's receipt: every frame in `ranges` of this epoch is stored. Retained.

    Not everything that is stored is named: the newest ranges are, and those that hold what was just stored or just sent
    again.

    Attributes:
        epoch: Of the ranges: the one that was written last.
        ranges: Disjoint, ascending, inclusive `[first, last]`.
        earlier: The newest ranges of the epochs before, at most 7 of them.
    """

    epoch: Epoch
    ranges: Ranges
    earlier: Annotated[
        list[Receipt],
        Meta(description="The newest ranges of the epochs before.", extra_json_schema={"maxItems": 7}),
    ] = []


_encoder = msgspec.json.Encoder()
_frame_decoder = msgspec.json.Decoder(Frame)
_gap_decoder = msgspec.json.Decoder(Gap)
_committed_decoder = msgspec.json.Decoder(Committed)


def encode(message: Frame | Gap | Committed) -> bytes:
    """JSON bytes. NaN and infinity must have been made BAD before (they would become null here)."""
    return _encoder.encode(message)


def decode_frame(payload: bytes) -> Frame:
    """Read a frame.

    Raises:
        FrameError: Not JSON, or not the shape of a frame.
    """
    try:
        return _frame_decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(str(error)) from None


def letter_maker(letter: Letter, device: str, start_us: int, end_us: int) -> Callable[[str, int], bytes]:
    """Makes the message of rejected values from the epoch and the number that it gets."""

    def make(epoch: str, seq: int) -> bytes:
        return encode(Gap(epoch=epoch, seq=seq, device=device, start=start_us, end=end_us, letter=letter))

    return make


def decode_gap(payload: bytes) -> Gap:
    """Read a gap. Raises FrameError as `decode_frame` does."""
    try:
        return _gap_decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(str(error)) from None


def decode_committed(payload: bytes) -> Committed:
    """Read a receipt. Raises FrameError as `decode_frame` does."""
    try:
        return _committed_decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(str(error)) from None
