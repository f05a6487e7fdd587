"""The outbox's files: records in append-only segments, each record with its length and checksum.

A segment is `{first seq}.log`: a header, then records. Integers are little-endian.

    header   magic "NXO1" · first seq u64 · last time before it i64 (µs) · epoch 26 ASCII · CRC-32 u32 of all before
    record   CRC-32 u32 of what follows · length u32 of the body · seq u64 · time i64 (µs) · topic length u16 · topic · payload

Everything a restart needs (epoch, next seq, last time) stands in the newest segment even when it holds no record.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

MAGIC = b"NXO1"
_HEADER = struct.Struct("<4sQq26sI")
_FRAME = struct.Struct("<II")
_BODY = struct.Struct("<QqH")
HEADER_BYTES = _HEADER.size
RECORD_OVERHEAD = _FRAME.size + _BODY.size
LARGEST_BODY = 64 * 1024 * 1024
"""No record is larger (bytes); a length above it is damage."""
INDEX_EVERY = 128
"""Records between two entries of a segment's index."""


class Record(NamedTuple):
    """One accepted message."""

    seq: int
    time_us: int
    topic: str
    payload: bytes


def encode_record(seq: int, time_us: int, topic: str, payload: bytes) -> bytes:
    """A record as it stands in the file."""
    name = topic.encode()
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
    """Every sound record from `offset` on, with the offset behind it; ends before the first one that is not."""
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


def find_record(data: bytes, offset: int) -> int | None:
    """The next offset from `offset` on where a sound record stands, or None: how damage is told from a torn tail."""
    for candidate in range(offset, len(data) - RECORD_OVERHEAD + 1):
        _, length = _FRAME.unpack_from(data, candidate)
        if _BODY.size <= length <= min(LARGEST_BODY, len(data) - candidate - _FRAME.size) and any(
            True for _ in decode_records(data[: candidate + _FRAME.size + length], candidate)
        ):
            return candidate
    return None


@dataclass(slots=True, kw_only=True)
class Segment:
    """What the outbox knows of one file.

    Attributes:
        first_seq, last_seq: Of its records; `last_seq` is below `first_seq` while it is empty.
        first_time_us, last_time_us: Of its records, µs since 1970 UTC.
        size_bytes: Sound bytes, header included.
        records: How many it holds.
        index: `(seq, offset)` of every `INDEX_EVERY`-th record.
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

    def note(self, record: Record | tuple[int, int], size_bytes: int) -> None:
        """Take note of a record appended at the end: it, or its seq and time."""
        seq, time_us = record[0], record[1]
        if not self.records:
            self.first_seq, self.first_time_us = seq, time_us
        if self.records % INDEX_EVERY == 0:
            self.index.append((seq, self.size_bytes))
        self.last_seq = seq
        self.last_time_us = max(self.last_time_us, time_us)
        self.records += 1
        self.size_bytes += size_bytes

    def offset_of(self, seq: int) -> int:
        """Where to start reading for a seq: at or before its record."""
        best = HEADER_BYTES
        for indexed, offset in self.index:
            if indexed > seq:
                break
            best = offset
        return best


class Scan(NamedTuple):
    """What was found in a segment's file.

    Attributes:
        segment: The sound records; None when not even the header is.
        torn_at: Offset of a torn tail, or None.
        damaged: True when something sound follows something broken.
        holes: Ranges of seq that are missing between records.
    """

    segment: Segment | None
    torn_at: int | None
    damaged: bool
    holes: list[tuple[int, int]]


def scan(path: Path) -> Scan:
    """Read a segment whole. Raises OSError when the file can't be read."""
    data = path.read_bytes()
    header = decode_header(data)
    if header is None:
        return Scan(None, 0, find_record(data, 0) is not None, [])
    first_seq, last_time_us, epoch = header
    segment = Segment(path=path, epoch=epoch, first_seq=first_seq, last_seq=first_seq - 1, last_time_us=last_time_us)
    holes: list[tuple[int, int]] = []
    expected = first_seq
    offset = HEADER_BYTES
    for end, record in decode_records(data, HEADER_BYTES):
        if record.seq > expected:
            holes.append((expected, record.seq - 1))
        expected = record.seq + 1
        segment.note(record, end - offset)
        offset = end
    if offset == len(data):
        return Scan(segment, None, False, holes)
    return Scan(segment, offset, find_record(data, offset + 1) is not None, holes)


def salvage(path: Path) -> tuple[int, int]:
    """Rewrite a damaged segment with its sound records alone, whole or not at all.

    Returns:
        The times (µs since 1970 UTC) of the last sound record before the first damage and of the first one after it;
        0 where there is none. Raises OSError.
    """
    data = path.read_bytes()
    kept = [data[:HEADER_BYTES]]
    header = decode_header(data)
    before_us, after_us = (header[1] if header is not None else 0), 0
    offset: int | None = HEADER_BYTES
    damaged = False
    while offset is not None and offset < len(data):
        for end, record in decode_records(data, offset):
            kept.append(data[offset:end])
            offset = end
            if not damaged:
                before_us = record.time_us
            elif not after_us:
                after_us = record.time_us
        damaged = True
        offset = find_record(data, offset + 1) if offset < len(data) else None
    beside = path.with_suffix(".salvaged")
    with beside.open("wb") as file:
        file.write(b"".join(kept))
        file.flush()
        os.fsync(file.fileno())
    path.with_suffix(".broken").write_bytes(data)
    beside.replace(path)
    return before_us, after_us


def read_records(segment: Segment, *, after: int, limit: int, limit_bytes: int) -> list[Record]:
    """Records above a seq, in order, from a segment's file.

    Args:
        segment: Whose file.
        after: The last seq that is already known.
        limit: Most records.
        limit_bytes: Stop once their payloads exceed this.

    Raises:
        OSError: The file can't be read (it may have been dropped meanwhile).
    """
    found: list[Record] = []
    size = 0
    start = segment.offset_of(after + 1)
    with segment.path.open("rb") as file:
        file.seek(start)
        data = file.read(max(0, segment.size_bytes - start))
    for _, record in decode_records(data):
        if record.seq <= after:
            continue
        found.append(record)
        size += len(record.payload)
        if len(found) >= limit or size >= limit_bytes:
            break
    return found
