"""The records of the outbox's files: accepted messages, each with its numbers, times and checksum. Pure.

A record is one message. It has one number, or, when it is a frame batch, the numbers of its frames, which follow each
other. Integers are little-endian:

    record   CRC-32 u32 · length u32 of the body · body
    body     seq u64 · count u32 · earliest time i64 (µs) · latest time i64 (µs) · topic length u16 · topic · payload

The checksum covers what follows it. It starts from the checksum of the magic, so that a record is never taken for one of
the former version, whose checksum starts from 0 and whose body has one number and one time:

    former   seq u64 · time i64 (µs) · topic length u16 · topic · payload

See docs/decisions/0059.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from nexus_cli.wire.frame import FrameError
from nexus_cli.wire.frame_batch import decode_batch

_FRAME = struct.Struct("<II")
_BODY = struct.Struct("<QIqqH")
_FORMER_BODY = struct.Struct("<QqH")
_SEQ = struct.Struct("<Q")
_START = zlib.crc32(b"NXO2")
RECORD_OVERHEAD = _FRAME.size + _BODY.size
_LEAST_BYTES = _FRAME.size + _FORMER_BODY.size
LARGEST_BODY = 64 * 1024 * 1024
"""Limit of a record's body in bytes: none larger is written, and a larger length is damage."""
LARGEST_TOPIC = 65_535
"""Bytes of a topic (MQTT 3.1.1 §1.5.3)."""
ANY_SEQ = 1 << 63


class Record(NamedTuple):
    """One accepted message.

    Attributes:
        seq, last: Its numbers, both included; equal unless it is a frame batch.
        start_us, time_us: Its earliest and latest time, µs since 1970 UTC.
        topic, payload: As published.
    """

    seq: int
    last: int
    start_us: int
    time_us: int
    topic: str
    payload: bytes

    @property
    def numbers(self) -> int:
        """How many numbers it has."""
        return self.last - self.seq + 1

    @classmethod
    def single(cls, seq: int, time_us: int, topic: str, payload: bytes) -> Record:
        """A message with one number."""
        return cls(seq, seq, time_us, time_us, topic, payload)


def encode_record(record: Record) -> bytes:
    """A record in the file's format.

    Raises:
        ValueError: It is larger than `LARGEST_BODY`.
    """
    seq, last, start_us, time_us, topic, payload = record
    name = topic.encode()
    length = _BODY.size + len(name) + len(payload)
    if len(name) > LARGEST_TOPIC or length > LARGEST_BODY:
        raise ValueError(f"a record of {len(payload)} bytes on a topic of {len(name)} bytes is too large for the log")
    head = struct.pack("<I", length) + _BODY.pack(seq, last - seq + 1, start_us, time_us, len(name)) + name
    return b"".join((struct.pack("<I", zlib.crc32(payload, zlib.crc32(head, _START))), head, payload))


def decode_records(data: bytes | memoryview, offset: int = 0) -> Iterator[tuple[int, Record]]:
    """The sound records from `offset` on, each with the offset after it; ends before the first damaged one."""
    view = memoryview(data)
    while (found := _record(view, offset)) is not None:
        offset = found[0]
        yield found


def find_record(data: bytes | memoryview, offset: int, *, above: int = -1, below: int = ANY_SEQ) -> int | None:
    """The offset of the next sound record from `offset` on with a seq between the bounds, or None.

    The number is checked first: in random bytes that excludes nearly every offset before a checksum is computed.
    """
    view = memoryview(data)
    size = len(view)
    for candidate in range(offset, size - _LEAST_BYTES + 1):
        length = _FRAME.unpack_from(view, candidate)[1]
        if not _FORMER_BODY.size <= length <= min(LARGEST_BODY, size - candidate - _FRAME.size):
            continue
        seq = _SEQ.unpack_from(view, candidate + _FRAME.size)[0]
        if above < seq < below and _record(view, candidate) is not None:
            return candidate
    return None


def _record(view: memoryview, offset: int) -> tuple[int, Record] | None:
    """The record at an offset, of this version or the former, and the offset after it; None when it is not sound."""
    if offset + _LEAST_BYTES > len(view):
        return None
    crc, length = _FRAME.unpack_from(view, offset)
    body = offset + _FRAME.size
    end = body + length
    if length < _FORMER_BODY.size or length > LARGEST_BODY or end > len(view):
        return None
    if length >= _BODY.size and zlib.crc32(view[offset + 4 : end], _START) == crc:
        seq, count, start_us, time_us, name = _BODY.unpack_from(view, body)
        start = body + _BODY.size
    elif zlib.crc32(view[offset + 4 : end]) == crc:
        seq, time_us, name = _FORMER_BODY.unpack_from(view, body)
        count, start_us, start = 1, time_us, body + _FORMER_BODY.size
    else:
        return None
    if start + name > end or not count:
        return None
    topic = str(view[start : start + name], "utf-8", "replace")
    return end, Record(seq, seq + count - 1, start_us, time_us, topic, bytes(view[start + name : end]))


def incomplete(data: bytes, left: int) -> bool:
    """True when the record at the front may continue after the bytes read so far; `left` are the bytes up to the
    end."""
    if len(data) < _LEAST_BYTES:
        return True
    length = _FRAME.unpack_from(data)[1]
    return bool(length <= LARGEST_BODY and len(data) < _FRAME.size + length <= left)


def edges(record: Record) -> tuple[tuple[int, int], tuple[int, int]]:
    """Number and time (µs since 1970 UTC) of the first and of the last message in a record.

    The times of a batch need not rise: a device may have queued values.
    """
    if record.numbers == 1:
        return (record.seq, record.start_us), (record.last, record.time_us)
    try:
        times = decode_batch(record.payload).frame_time
    except FrameError:
        return (record.seq, record.start_us), (record.last, record.time_us)
    first, last = struct.unpack("<q", times[:8])[0], struct.unpack("<q", times[-8:])[0]
    return (record.seq, first), (record.last, last)


class _Epoch(msgspec.Struct):
    epoch: str


_json_epoch = msgspec.json.Decoder(_Epoch)
_batch_epoch = msgspec.msgpack.Decoder(_Epoch)


def epoch_of(payload: bytes) -> str:
    """The epoch in a message; "" when there is none."""
    try:
        return (_json_epoch if is_json(payload) else _batch_epoch).decode(payload).epoch
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def with_epoch(payload: bytes, old: str, new: str) -> bytes:
    """The message in another epoch, if it is of the old one."""
    if is_json(payload):
        return payload.replace(f'"epoch":"{old}"'.encode(), f'"epoch":"{new}"'.encode(), 1)
    try:
        batch = decode_batch(payload)
    except FrameError:
        return payload
    return msgspec.msgpack.encode(msgspec.structs.replace(batch, epoch=new)) if batch.epoch == old else payload


def is_json(payload: bytes) -> bool:
    """Whether a message of the outbox is JSON; a frame batch is not."""
    return payload[:1] == b"{"
