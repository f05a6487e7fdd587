"""The outbox's folder: segments on disk, their lock, and the mark of a clean end. Blocking; no asyncio."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.gateway.outbox.group_commit import Pending
from nexus_cli.runtime.gateway.outbox.limits import Limits
from nexus_cli.runtime.gateway.outbox.records import Record
from nexus_cli.runtime.gateway.outbox.recovery import Loss, Opened, recover
from nexus_cli.runtime.gateway.outbox.segment import (
    DamagedError,
    Scan,
    Segment,
    encode_header,
    read_records,
    salvage,
    scan,
    segment_name,
)

_RUNNING = "running"
_ENDED = "ended"
_LOCK = "lock"
_ROOM = "room"
ROOM_SEGMENTS = 2
"""An overflow is over once this many segments fit into the log."""
MOST_FAILED_READS = 5
"""A segment whose read fails this often in a row is given up, with a gap."""


class ReadBack(NamedTuple):
    """Records in order, and the losses found while reading."""

    records: list[Record]
    lost: list[Loss]


class DiskLog:
    """Segments in order, the last one open for appending.

    Attributes:
        segments: Oldest first. Changed under a lock, since a thread reads and the event loop writes.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder."""
        self.folder = folder
        self.segments: list[Segment] = []
        self._guard = threading.Lock()
        self._lock_fd = -1
        self._fd = -1
        self._last_time_us = 0
        self._last_seq = 0
        self._failed_reads = 0

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(one.size_bytes for one in self.segments)

    @property
    def last_time_us(self) -> int:
        """Latest time in the log, µs since 1970 UTC."""
        return self._last_time_us

    def open(self) -> Opened:
        """Lock the folder, read each segment, truncate an incomplete tail, repair damaged files.

        Raises:
            NexusError: NX6014, the folder can't be used, or another process has it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock_fd = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            killed = (self.folder / _RUNNING).exists()
            # Before any repair: a kill from here on is declared as one.
            (self.folder / _RUNNING).touch()
            _sync_folder(self.folder)
            found = self._recover(killed)
        except BlockingIOError:
            raise _unusable(self.folder, "another gateway of this name is running on this machine") from None
        except OSError as error:
            raise _unusable(self.folder, str(error)) from None
        return found

    def _recover(self, killed: bool) -> Opened:
        ended = self.folder / _ENDED
        # It may also exist after a kill, if that came before anything was written.
        self.segments, found = recover(self.folder, killed=killed, ended=_read_ended(ended))
        self._last_time_us = found.last_time_us
        self._last_seq = found.last_seq
        return found

    def forget_end(self) -> None:
        """Delete the mark of the clean end, once what was missing at the opening is recorded elsewhere."""
        with contextlib.suppress(OSError):
            (self.folder / _ENDED).unlink(missing_ok=True)

    def append(self, group: Sequence[Pending], epoch: str, segment_bytes: int) -> None:
        """Write a group and wait until it is durable.

        Args:
            group: Ascending.
            epoch: Of the group; a new epoch begins a new segment.
            segment_bytes: Size at which a new segment begins.

        Raises:
            OSError: No record of the group counts as written. The next call begins a new segment, whose first number
                marks the end of this one: so the numbers can be used again, whatever part of the group reached the
                disk.
        """
        newest = self.segments[-1] if self.segments else None
        if newest is None or self._fd < 0 or newest.epoch != epoch or newest.size_bytes >= segment_bytes:
            self._begin(group[0].record.seq, min(one.record.start_us for one in group), epoch)
        segment = self.segments[-1]
        good = segment.size_bytes
        try:
            _write_all(self._fd, b"".join(one.encoded for one in group))
            _sync_data(self._fd)
        except OSError:
            # After a failed fsync Linux may drop the dirty pages and report success for the next fsync (fsync(2);
            # PostgreSQL's "fsyncgate", 2018). So nothing is appended to this file again.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, good)
            self._close_fd()
            raise
        with self._guard:
            for one in group:
                segment.note(one.record, len(one.encoded))
            self._last_time_us = max(self._last_time_us, segment.last_time_us)
            self._last_seq = group[-1].record.last

    def _begin(self, first_seq: int, start_us: int, epoch: str) -> None:
        self._close_fd()
        if self.segments and not self.segments[-1].records:
            with self._guard:
                self.segments.pop().path.unlink(missing_ok=True)
        path = self.folder / segment_name(first_seq, start_us)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _write_all(fd, encode_header(first_seq, self._last_time_us, epoch))
            _sync_data(fd)
            # The fsync of a file does not make its directory entry durable (fsync(2)).
            _sync_folder(self.folder)
        except OSError:
            os.close(fd)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        self._fd = fd
        segment = Segment(path=path, epoch=epoch, first_seq=first_seq, last_seq=first_seq - 1)
        segment.last_time_us = self._last_time_us
        with self._guard:
            self.segments.append(segment)

    def has_room(self, limits: Limits) -> bool:
        """True when the log has room for `ROOM_SEGMENTS` before a segment is dropped."""
        return self.size_bytes + ROOM_SEGMENTS * limits.segment_bytes <= limits.total_bytes

    def try_room(self, size_bytes: int) -> None:
        """Write a file of this size beside the log and delete it: a disk with room for only a few bytes counts as full.

        Raises:
            OSError: The disk refused.
        """
        path = self.folder / _ROOM
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                _write_all(fd, bytes(size_bytes))
                _sync_data(fd)
            finally:
                os.close(fd)
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def read(self, after: int, limit: int, limit_bytes: int, durable_seq: int) -> ReadBack:
        """Records with numbers above one, in order, from the first segment that has any; empty when there are none.

        A segment found to be damaged is repaired: its losses are returned once, and the rest can be read.
        """
        with self._guard:
            holders = [one for one in self.segments if one.records and one.last_seq > after]
        for segment in holders:
            try:
                found = read_records(segment, after=after, limit=limit, limit_bytes=limit_bytes)
                self._failed_reads = 0
            except FileNotFoundError:
                if any(
                    one is segment for one in self.segments
                ):  # not dropped since, so the file was deleted from outside
                    return ReadBack([], self._give_up(segment))
                continue
            except DamagedError:
                return ReadBack([], self._mend(segment))
            except OSError:
                self._failed_reads += 1
                lost = self._give_up(segment) if self._failed_reads >= MOST_FAILED_READS else []
                return ReadBack([], lost)
            if found:
                return ReadBack([one for one in found if one.last <= durable_seq], [])
        return ReadBack([], [])

    def read_segment(self, segment: Segment) -> list[Record]:
        """All records of a segment that can still be read."""
        found: list[Record] = []
        after = segment.first_seq - 1
        with contextlib.suppress(OSError, DamagedError):
            while some := read_records(segment, after=after, limit=1 << 30, limit_bytes=1 << 40):
                found += some
                after = some[-1].last
        return found

    def drop_oldest(self) -> None:
        """Delete the oldest segment's file."""
        with self._guard:
            oldest = self.segments.pop(0)
        if not self.segments:
            self._close_fd()
        with contextlib.suppress(OSError):
            oldest.path.unlink()

    def _mend(self, segment: Segment) -> list[Loss]:
        """Repair a damaged segment; returns its losses."""
        found = scan(segment.path, below=segment.last_seq + 1)
        if not found.runs:
            return self._give_up(segment)
        lost = _missing(segment, found)
        if segment is self.segments[-1]:
            self._close_fd()  # the file is replaced: the next group begins a new segment
        salvage(segment.path, found, epoch=segment.epoch, last_time_us=segment.first_time_us)
        mended = scan(segment.path).segment
        with self._guard:
            self.segments = [mended if one is segment else one for one in self.segments]
        return lost

    def _give_up(self, segment: Segment) -> list[Loss]:
        """Give up a segment; returns its losses."""
        if segment is self.segments[-1]:
            self._close_fd()
        with contextlib.suppress(OSError):
            segment.path.rename(segment.path.with_suffix(".broken"))
        with self._guard:
            self.segments = [one for one in self.segments if one is not segment]
        self._failed_reads = 0
        return [Loss(segment.first_seq, segment.last_seq, segment.first_time_us, segment.last_time_us)]

    def close(self, clean: bool) -> None:
        """Close the files; a clean end is recorded with its last number, so that the next start detects lost
        records."""
        self._close_fd()
        if clean:
            with contextlib.suppress(OSError):
                # In this order: a kill in between leaves both marks, which counts as a kill.
                (self.folder / _ENDED).write_text(f"{self._last_seq} {self._last_time_us}\n")
                (self.folder / _RUNNING).unlink()
                _sync_folder(self.folder)
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _close_fd(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1


def _read_ended(path: Path) -> tuple[int, int] | None:
    try:
        seq, time_us = path.read_text().split()
        return int(seq), int(time_us)
    except (OSError, ValueError):
        return None


def _missing(segment: Segment, found: Scan) -> list[Loss]:
    """The records that the segment had and its file no longer has."""
    lost: list[Loss] = []
    expected, start_us = segment.first_seq, segment.first_time_us
    for run in found.runs:
        if run.first[0] > expected:
            lost.append(Loss(expected, run.first[0] - 1, min(start_us, run.first[1] - 1), run.first[1] - 1))
        expected, start_us = run.last[0] + 1, run.last[1] + 1
    if expected <= segment.last_seq:
        lost.append(Loss(expected, segment.last_seq, min(start_us, segment.last_time_us), segment.last_time_us))
    return lost


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync_data(fd: int) -> None:
    # macOS has no fdatasync.
    getattr(os, "fdatasync", os.fsync)(fd)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unusable(folder: Path, cause: str) -> NexusError:
    return NexusError(
        f"The gateway's disk log in {folder} can't be used.",
        code="NX6014",
        cause=cause,
    )
