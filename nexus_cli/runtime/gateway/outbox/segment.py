"""The outbox's files: append-only segments of records (`records`), and facts about them.

A segment is `{first seq}-{time of its first group}.log`: a header, then records. Integers are little-endian. The name
has enough information to declare a loss when no byte of the file can be read.

    header   magic "NXO2" · first seq u64 · last time before it i64 (µs) · epoch 26 ASCII · CRC-32 u32 of all before

Numbers rise by one over all segments, so a jump is a loss. What a restart needs (next seq, last time) is in the newest
segment even when it has no record. Segments of the former version ("NXO1") are read as they are.

See docs/decisions/0052 and docs/decisions/0059.
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

from nexus_cli.runtime.gateway.outbox.records import (
    ANY_SEQ,
    Record,
    decode_records,
    edges,
    epoch_of,
    find_record,
    incomplete,
)

MAGIC, FORMER_MAGIC = b"NXO2", b"NXO1"
_HEADER = struct.Struct("<4sQq26sI")
HEADER_BYTES = _HEADER.size
INDEX_BYTES = 64 * 1024
"""Bytes between two entries of a segment's index, at least."""
READ_BYTES = 256 * 1024
"""Bytes of a segment per read."""


class DamagedError(Exception):
    """A segment has bytes that are no longer valid records."""


def encode_header(first_seq: int, last_time_us: int, epoch: str) -> bytes:
    """A segment's first bytes."""
    head = _HEADER.pack(MAGIC, first_seq, last_time_us, epoch.encode().ljust(26)[:26], 0)[:-4]
    return head + struct.pack("<I", zlib.crc32(head))


def decode_header(data: bytes) -> tuple[int, int, str] | None:
    """First seq, last time before it and epoch; None when the bytes are not a sound header."""
    if len(data) < HEADER_BYTES:
        return None
    magic, first_seq, last_time_us, epoch, crc = _HEADER.unpack_from(data)
    if magic not in (MAGIC, FORMER_MAGIC) or zlib.crc32(data[: HEADER_BYTES - 4]) != crc:
        return None
    return first_seq, last_time_us, epoch.decode("ascii", "replace").strip()


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
        index: `(seq, offset)` of a record every `INDEX_BYTES`.
        resume: The number that was read last, and the offset after its record, where the next read continues.
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

    def note(self, record: Record, size_bytes: int) -> None:
        """Count a record appended at the end."""
        if not self.records:
            self.first_seq, self.first_time_us = record.seq, record.start_us
        if not self.index or self.size_bytes - self.index[-1][1] >= INDEX_BYTES:
            self.index.append((record.seq, self.size_bytes))
        self.last_seq = record.last
        # Values that a device queued are dated before their arrival.
        self.first_time_us = min(self.first_time_us, record.start_us)
        self.last_time_us = max(self.last_time_us, record.time_us)
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
        first: Number and time of the first message in them.
        last: Number and time of the last one.
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
        epoch = next((epoch_of(one.payload) for _, one in decode_records(data, runs[0].start)), "")
    return Scan(first_seq, named[1], last_time_us, epoch, header is not None, runs, len(data), segment)


def _runs(data: memoryview, offset: int, *, below: int, segment: Segment) -> Iterator[Run]:
    """Runs of consecutive sound records with rising numbers; counts them in the segment."""
    start = offset
    first: Record | None = None
    last: Record | None = None
    at: int | None = offset
    reached = -1
    while at is not None:
        for end, record in decode_records(data, at):
            if not (reached < record.seq and record.last < below):
                break
            if first is not None and last is not None and (record.seq != reached + 1 or at != offset):
                yield Run(start, offset, edges(first)[0], edges(last)[1])
                first = None
            if first is None:
                start, first = at, record
            last, reached = record, record.last
            segment.note(record, end - at)
            at = offset = end
        at = find_record(data, at + 1, above=reached, below=below) if at < len(data) else None
    if first is not None and last is not None:
        yield Run(start, offset, edges(first)[0], edges(last)[1])


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
    """Records with numbers above one, in order, from a segment's file; reads little more than these.

    Args:
        segment: The segment of the file.
        after: The last number that is already known; the first record may begin below it.
        limit: Stop once the records have this many numbers.
        limit_bytes: Stop once their payloads exceed this.

    Raises:
        OSError: The file can't be read (it may have been dropped meanwhile).
        DamagedError: The next record is damaged.
    """
    found: list[Record] = []
    size = count = 0
    start = segment.offset_of(after)
    with segment.path.open("rb") as file:
        file.seek(start)
        data, at = b"", 0
        while count < limit and size < limit_bytes and start + at < segment.size_bytes:
            more = file.read(min(READ_BYTES, segment.size_bytes - start - len(data)))
            data = data[at:] + more
            start, at = start + at, 0
            for end, record in decode_records(data):
                at = end
                if record.last > after:
                    found.append(record)
                    size += len(record.payload)
                    count += record.numbers
                    if count >= limit or size >= limit_bytes:
                        break
            if not at and (not more or not incomplete(data, segment.size_bytes - start)):
                break
    if found:
        segment.resume = (found[-1].last, start + at)
    elif after < segment.last_seq:
        raise DamagedError(segment.path.name)
    return found
