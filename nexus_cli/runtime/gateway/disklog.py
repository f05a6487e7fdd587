"""The outbox's folder: segments on disk, their lock, and the marks of a clean or violent end. Blocking; no asyncio here
but the one worker thread that the outbox calls it through."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.gateway.segment import Record, Segment, encode_header, read_records, salvage, scan

P = ParamSpec("P")
T = TypeVar("T")
_RUNNING = "running"
_LOCK = "lock"


class Opened(NamedTuple):
    """What was found in the folder.

    Attributes:
        last_seq: Highest sound seq, 0 when new.
        last_time_us: Latest time, µs since 1970 UTC, 0 when new.
        epochs: `(first seq, epoch)` in the order of their lives.
        holes: Ranges of seq that are missing inside.
        killed: The process before us did not end cleanly.
        broken: `(start, end)` of damage: times of the sound records around it, µs since 1970 UTC, 0 for an end
            that is not known. Sound records stand behind broken bytes, a file between others can't be read, or a
            tail is torn although the end was clean.
        torn_bytes: Bytes of an unfinished group commit that were cut off.
    """

    last_seq: int
    last_time_us: int
    epochs: list[tuple[int, str]]
    holes: list[tuple[int, int]]
    killed: bool
    broken: list[tuple[int, int]]
    torn_bytes: int


class _Damage:
    """Spans of time that damage may have cost; an end of -1 waits for the next sound record."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []

    def add(self, start_us: int, end_us: int) -> None:
        self.spans.append((start_us, end_us))

    def close(self, time_us: int) -> None:
        self.spans = [(start, time_us if end == -1 else end) for start, end in self.spans]


class WorkerThread:
    """One thread for blocking calls, so that the order of the log is the order of the calls."""

    def __init__(self, name: str) -> None:
        """Name the thread; it starts with the first call."""
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it there and give its result, or raise what it raised."""
        return await asyncio.wrap_future(self._pool.submit(function, *args, **kwargs))

    def close(self) -> None:
        """End the thread after the calls it has."""
        self._pool.shutdown(wait=False)


class DiskLog:
    """Segments in order, the last one open for appending.

    Attributes:
        segments: Oldest first. Changed under a lock, since the reader is another thread than the loop.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder."""
        self.folder = folder
        self.segments: list[Segment] = []
        self._guard = threading.Lock()
        self._lock_fd = -1
        self._fd = -1
        self._last_time_us = 0

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(one.size_bytes for one in self.segments)

    @property
    def records(self) -> int:
        """Records of all segments."""
        return sum(one.records for one in self.segments)

    @property
    def last_time_us(self) -> int:
        """Latest time in the log, µs since 1970 UTC."""
        return self._last_time_us

    def open(self) -> Opened:
        """Lock the folder, scan every segment, cut a torn tail.

        Raises:
            NexusError: NX6014, the folder can't be used, or another process has it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock_fd = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            killed = (self.folder / _RUNNING).exists()
            found = self._scan(killed)
            (self.folder / _RUNNING).touch()
            _sync_folder(self.folder)
        except BlockingIOError:
            raise _unusable(self.folder, "another gateway of this name is running on this machine") from None
        except OSError as error:
            raise _unusable(self.folder, str(error)) from None
        return found

    def _scan(self, killed: bool) -> Opened:
        holes: list[tuple[int, int]] = []
        epochs: list[tuple[int, str]] = []
        damage = _Damage()
        torn_bytes = 0
        paths = sorted(self.folder.glob("*.log"))
        for position, path in enumerate(paths):
            result = scan(path)
            newest = position == len(paths) - 1
            segment = result.segment
            if segment is None:
                # A header that never became durable: nothing in it was accepted, unless more stands behind it.
                if result.damaged or not newest or not killed:
                    damage.add(self._last_time_us, 0 if newest else -1)
                torn_bytes += path.stat().st_size
                path.rename(path.with_suffix(".broken")) if result.damaged else path.unlink()
                continue
            if result.torn_at is not None:
                torn_bytes += path.stat().st_size - result.torn_at
                if result.damaged or not newest or not killed:
                    start_us, end_us = salvage(path)
                    damage.add(start_us, end_us if newest else end_us or -1)
                    result = scan(path)
                    segment = result.segment or segment
                else:
                    os.truncate(path, segment.size_bytes)
            damage.close(segment.first_time_us)
            if self.segments and segment.first_seq > self.segments[-1].last_seq + 1:
                holes.append((self.segments[-1].last_seq + 1, segment.first_seq - 1))
            holes += result.holes
            if not epochs or epochs[-1][1] != segment.epoch:
                epochs.append((segment.first_seq, segment.epoch))
            self.segments.append(segment)
            self._last_time_us = max(self._last_time_us, segment.last_time_us)
        last_seq = self.segments[-1].last_seq if self.segments else 0
        return Opened(last_seq, self._last_time_us, epochs, holes, killed, damage.spans, torn_bytes)

    def append(self, group: Sequence[tuple[int, int, str, bytes, bytes]], epoch: str, segment_bytes: int) -> None:
        """Write a group and wait until it is durable.

        Args:
            group: `(seq, time µs, topic, payload, encoded record)`, ascending.
            epoch: Of new segments.
            segment_bytes: Size at which a new segment is begun.

        Raises:
            OSError: Nothing of the group counts as written; the next call begins a new segment.
        """
        if not self.segments or self._fd < 0 or self.segments[-1].size_bytes >= segment_bytes:
            self._begin(group[0][0], epoch)
        segment = self.segments[-1]
        good = segment.size_bytes
        try:
            _write_all(self._fd, b"".join(one[4] for one in group))
            _sync_data(self._fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, good)
            self._close_fd()
            raise
        with self._guard:
            for one in group:
                segment.note((one[0], one[1]), len(one[4]))
            self._last_time_us = max(self._last_time_us, segment.last_time_us)

    def _begin(self, first_seq: int, epoch: str) -> None:
        self._close_fd()
        if self.segments and not self.segments[-1].records:
            with self._guard:
                self.segments.pop().path.unlink(missing_ok=True)
        path = self.folder / f"{first_seq:020d}.log"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _write_all(fd, encode_header(first_seq, self._last_time_us, epoch))
            _sync_data(fd)
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

    def read(self, after: int, limit: int, limit_bytes: int, durable_seq: int) -> list[Record]:
        """Records above a seq, in order, from the first segment that has any; [] when there are none."""
        with self._guard:
            holders = [one for one in self.segments if one.records and one.last_seq > after]
        for segment in holders:
            try:
                found = read_records(segment, after=after, limit=limit, limit_bytes=limit_bytes)
            except FileNotFoundError:  # dropped since
                continue
            if found:
                return [one for one in found if one.seq <= durable_seq]
        return []

    def drop_oldest(self) -> None:
        """Delete the oldest segment's file."""
        with self._guard:
            oldest = self.segments.pop(0)
        with contextlib.suppress(OSError):
            oldest.path.unlink()

    def close(self, clean: bool) -> None:
        """Close the files; a clean end is marked, so that the next start knows that nothing was cut."""
        self._close_fd()
        if clean:
            with contextlib.suppress(OSError):
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
        hint="free the disk, make the folder writable, or stop the other process",
    )
