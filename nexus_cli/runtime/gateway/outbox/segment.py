"""The outbox's files: records in append-only segments, each record with its length and checksum.

A segment is `{first seq}-{time of its first group}.log`: a header, then records. Integers are little-endian. The name
has enough information to declare a loss when no byte of the file can be read.

    header   magic "NXO1" · first seq u64 · last time before it i64 (µs) · epoch 26 ASCII · CRC-32 u32 of all before
    record   CRC-32 u32 of what follows · length u32 of the body · seq u64 · time i64 (µs) · topic length u16 · topic · payload

Numbers rise by one over all segments, so a jump is a loss. What a restart needs (next seq, last time) is in the newest
segment even when it has no record.

See docs/decisions/0052.
"""

from __future__ import annotations

import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

MAGIC = b"NXO1"
_HEADER = struct.Struct("<4sQq26sI")
_FRAME = struct.Struct("<II")
_BODY = struct.Struct("<QqH")
HEADER_BYTES = _HEADER.size
RECORD_OVERHEAD = _FRAME.size + _BODY.size
LARGEST_BODY = 64 * 1024 * 1024
"""Limit of a record's body in bytes: none larger is written, and a larger length is damage."""
LARGEST_TOPIC = 65_535
"""Bytes of a topic (MQTT 3.1.1 §1.5.3)."""
INDEX_EVERY = 128
"""Records between two entries of a segment's index."""
READ_BYTES = 256 * 1024
"""Bytes of a segment per read."""
ANY_SEQ = 1 << 63


class DamagedError(Exception):
    """A segment has bytes that are no longer valid records."""


class Record(NamedTuple):
    """One accepted message."""

    seq: int
    time_us: int
    topic: str
    payload: bytes


def encode_record(seq: int, time_us: int, topic: str, payload: bytes) -> bytes:
    """A record in the file's format.

    Raises:
        ValueError: It is larger than `LARGEST_BODY`.
    """
    name = topic.encode()
    if len(name) > LARGEST_TOPIC or _BODY.size + len(name) + len(payload) > LARGEST_BODY:
        raise ValueError(f"a record of {len(payload)} bytes on a topic of {len(name)} bytes is too large for the log")
    body = b"".join((_BODY.pack(seq, time_us, len(name)), name, payload))
    tail = struct.pack("<I", len(body)) + body
    return struct.pack("<I", zlib.crc32(tail)) + tail


def encode_header(first_seq: int, last_time_us: int, epoch: str) -> bytes:
    """A segment's first bytes."""
    head = _HEADER.pack(MAGIC, first_seq, last_time_us, epoch.encode().ljust(26)[:26], 0)[:-4]
    return head + struct.pack("<I", zlib.crc32(head))


def decode_header(data: bytes) -> tuple[int, int, str] | None:
    """First seq, last time before it and epoch; None when the bytes are not a sound header."""
    if len(data) < HEADER_BYTES:
        return None
    magic, first_seq, last_time_us, epoch, crc = _HEADER.unpack_from(data)
    if magic != MAGIC or zlib.crc32(data[: HEADER_BYTES - 4]) != crc:
        return None
    return first_seq, last_time_us, epoch.decode("ascii", "replace").strip()


def decode_records(data: bytes | memoryview, offset: int = 0) -> Iterator[tuple[int, Record]]:
    """The sound records from `offset` on, each with the offset after it; ends before the first damaged one."""
    size = len(data)
    while offset + RECORD_OVERHEAD <= size:
        crc, length = _FRAME.unpack_from(data, offset)
        end = offset + _FRAME.size + length
        if length < _BODY.size or length > LARGEST_BODY or end > size or zlib.crc32(data[offset + 4 : end]) != crc:
            return
        seq, time_us, name = _BODY.unpack_from(data, offset + _FRAME.size)
        start = offset + RECORD_OVERHEAD
        if start + name > end:
            return
        topic = bytes(data[start : start + name]).decode("utf-8", "replace")
        offset = end
        yield end, Record(seq, time_us, topic, bytes(data[start + name : end]))


def find_record(data: bytes | memoryview, offset: int, *, above: int = -1, below: int = ANY_SEQ) -> int | None:
    """The offset of the next sound record from `offset` on with a seq between the bounds, or None.

    The number is checked first: in random bytes that excludes nearly every offset before a checksum is computed.
    """
    view = memoryview(data)
    size = len(view)
    for candidate in range(offset, size - RECORD_OVERHEAD + 1):
        crc, length = _FRAME.unpack_from(view, candidate)
        if not _BODY.size <= length <= min(LARGEST_BODY, size - candidate - _FRAME.size):
            continue
        seq, _, name = _BODY.unpack_from(view, candidate + _FRAME.size)
        end = candidate + _FRAME.size + length
        if above < seq < below and _BODY.size + name <= length and zlib.crc32(view[candidate + 4 : end]) == crc:
            return candidate
    return None


def segment_name(first_seq: int, start_us: int) -> str:
    """The name of a segment's file: its first seq and the earliest time of its first group (µs since 1970 UTC)."""
    return f"{first_seq:020d}-{max(0, start_us):017d}.log"


def parse_name(path: Path) -> tuple[int, int] | None:
    """First seq and start time (0 when the name has none) of a segment's file; None when it is not one."""
    number, _, start = path.stem.partition("-")
    if not number.isdecimal() or not (start.isdecimal() or not start):
        return None
    return int(number), int(start or 0)


@dataclass(slots=True, kw_only=True)
class Segment:
    """Facts about one file of the outbox.

    Attributes:
        first_seq, last_seq: Numbers of its records; `last_seq` is below `first_seq` while it is empty.
        first_time_us, last_time_us: Times of its records, µs since 1970 UTC.
        size_bytes: Sound bytes, header included.
        records: Number of its records.
        index: `(seq, offset)` of every `INDEX_EVERY`-th record.
        resume: The seq that was read last, and the offset after it, where the next read continues.
    """

    path: Path
    epoch: str
    first_seq: int
    last_seq: int
    first_time_us: int = 0
    last_time_us: int = 0
    size_bytes: int = HEADER_BYTES
    records: int = 0
    index: list[tuple[int, int]] = field(default_factory=list)
    resume: tuple[int, int] = (-1, 0)

    def note(self, record: Record | tuple[int, int], size_bytes: int) -> None:
        """Count a record appended at the end, given as record or as seq and time."""
        seq, time_us = record[0], record[1]
        if not self.records:
            self.first_seq, self.first_time_us = seq, time_us
        if self.records % INDEX_EVERY == 0:
            self.index.append((seq, self.size_bytes))
        self.last_seq = seq
        self.first_time_us = min(
            self.first_time_us, time_us
        )  # values that a device queued are dated before their arrival
        self.last_time_us = max(self.last_time_us, time_us)
        self.records += 1
        self.size_bytes += size_bytes

    def offset_of(self, after: int) -> int:
        """The offset from which to read the records after a seq: at or before the first of them."""
        if self.resume[0] == after:
            return self.resume[1]
        entry = bisect_right(self.index, after + 1, key=_seq) - 1
        return self.index[entry][1] if entry >= 0 else HEADER_BYTES


def _seq(entry: tuple[int, int]) -> int:
    return entry[0]


class Run(NamedTuple):
    """Consecutive sound records.

    Attributes:
        start, end: Their offsets in the file; `end` is after the last.
        first: Seq and time of the first record.
        last: Seq and time of the last record.
    """

    start: int
    end: int
    first: tuple[int, int]
    last: tuple[int, int]


class Scan(NamedTuple):
    """The content of a segment's file.

    Attributes:
        first_seq, start_us: From the header, or from the file's name when the header is damaged.
        last_time_us: Latest time before the segment, 0 when unknown.
        epoch: From the header, else from the first record; "" when both are damaged.
        header: True when the header is sound.
        runs: The sound records in order; a new run begins where a number is missing or bytes are broken.
        size_bytes: Size of the file.
        segment: The file's `Segment`; valid if the file is `whole`.
    """

    first_seq: int
    start_us: int
    last_time_us: int
    epoch: str
    header: bool
    runs: list[Run]
    size_bytes: int
    segment: Segment

    @property
    def whole(self) -> bool:
        """True when the file is just a header and sound records."""
        at = HEADER_BYTES
        for run in self.runs:
            if run.start != at:
                return False
            at = run.end
        return self.header and at == self.size_bytes

    @property
    def tail_only(self) -> bool:
        """True when all damage is after the last sound record."""
        at = HEADER_BYTES
        for run in self.runs:
            if run.start != at:
                return False
            at = run.end
        return self.header


def scan(path: Path, *, below: int = ANY_SEQ) -> Scan:
    """Read a whole segment. Raises OSError when the file can't be read.

    Args:
        path: The file.
        below: The first seq of the next file: numbers from it on were refused here and assigned again.
    """
    data = memoryview(path.read_bytes())
    named = parse_name(path) or (0, 0)
    header = decode_header(bytes(data[:HEADER_BYTES]))
    first_seq, last_time_us, epoch = header or (named[0], 0, "")
    segment = Segment(path=path, epoch=epoch, first_seq=first_seq, last_seq=first_seq - 1, last_time_us=last_time_us)
    runs = list(_runs(data, HEADER_BYTES if header is not None else 0, below=below, segment=segment))
    if header is None and runs:
        epoch = _epoch_of(data, runs[0].start)
    return Scan(first_seq, named[1], last_time_us, epoch, header is not None, runs, len(data), segment)


def _runs(data: memoryview, offset: int, *, below: int, segment: Segment) -> Iterator[Run]:
    """Runs of consecutive sound records with rising numbers; counts them in the segment."""
    start, first, last = offset, (0, 0), (-1, 0)
    at: int | None = offset
    known = False
    while at is not None:
        for end, record in decode_records(data, at):
            if not last[0] < record.seq < below:
                break
            if known and (record.seq != last[0] + 1 or at != offset):
                yield Run(start, offset, first, last)
                known = False
            if not known:
                start, first, known = at, (record.seq, record.time_us), True
            last = (record.seq, record.time_us)
            segment.note(record, end - at)
            at = offset = end
        at = find_record(data, at + 1, above=last[0], below=below) if at < len(data) else None
    if known:
        yield Run(start, offset, first, last)


class _Epoch(msgspec.Struct):
    epoch: str


_epoch_decoder = msgspec.json.Decoder(_Epoch)


def _epoch_of(data: memoryview, offset: int) -> str:
    """The epoch in a record's message; "" when there is none."""
    for _, record in decode_records(data, offset):
        try:
            return _epoch_decoder.decode(record.payload).epoch
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return ""
    return ""


def salvage(path: Path, found: Scan, *, epoch: str, last_time_us: int) -> None:
    """Rewrite a damaged segment with its sound records only, atomically; the damaged file is kept as `.broken`.

    Args:
        path: The file.
        found: The result of `scan`.
        epoch: For the header, if the file's own is damaged.
        last_time_us: Latest time before the segment, also for that.

    Raises:
        OSError: The disk refused.
    """
    data = path.read_bytes()
    if found.header:
        head = data[:HEADER_BYTES]
    else:
        first = found.runs[0].first[0] if found.runs else found.first_seq
        head = encode_header(first, last_time_us, epoch)
    beside = path.with_suffix(".salvaged")
    with beside.open("wb") as file:
        file.write(b"".join((head, *(data[run.start : run.end] for run in found.runs))))
        file.flush()
        os.fsync(file.fileno())
    path.with_suffix(".broken").write_bytes(data)
    beside.replace(path)


def read_records(segment: Segment, *, after: int, limit: int, limit_bytes: int) -> list[Record]:
    """Records above a seq, in order, from a segment's file; reads little more than these.

    Args:
        segment: The segment of the file.
        after: The last seq that is already known.
        limit: Largest number of records.
        limit_bytes: Stop once their payloads exceed this.

    Raises:
        OSError: The file can't be read (it may have been dropped meanwhile).
        DamagedError: The next record is damaged.
    """
    found: list[Record] = []
    size = 0
    start = segment.offset_of(after)
    with segment.path.open("rb") as file:
        file.seek(start)
        data, at = b"", 0
        while len(found) < limit and size < limit_bytes and start + at < segment.size_bytes:
            more = file.read(min(READ_BYTES, segment.size_bytes - start - len(data)))
            data = data[at:] + more
            start, at = start + at, 0
            for end, record in decode_records(data):
                at = end
                if record.seq > after:
                    found.append(record)
                    size += len(record.payload)
                    if len(found) >= limit or size >= limit_bytes:
                        break
            if not at and (not more or not _incomplete(data, segment.size_bytes - start)):
                break
    if found:
        segment.resume = (found[-1].seq, start + at)
    elif after < segment.last_seq:
        raise DamagedError(segment.path.name)
    return found


def _incomplete(data: bytes, left: int) -> bool:
    """True when the record at the front may continue after the bytes read so far; `left` are the bytes up to the
    end."""
    if len(data) < RECORD_OVERHEAD:
        return True
    length = _FRAME.unpack_from(data)[1]
    return bool(length <= LARGEST_BODY and len(data) < _FRAME.size + length <= left)
