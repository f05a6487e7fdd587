"""Reads the segments of the previous process, repairs them, and finds what is missing between them. Blocking.

Numbers rise by one over all segments, so a loss is a jump in the numbers, whatever the damage. Its time is between the
sound records around it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from nexus_cli.runtime.gateway.outbox.records import ANY_SEQ
from nexus_cli.runtime.gateway.outbox.segment import HEADER_BYTES, Scan, Segment, parse_name, salvage, scan

FOREVER_US = 1 << 62
MOST_BROKEN = 8
"""Damaged files that are kept for analysis (policy: delete the oldest)."""


class Loss(NamedTuple):
    """Records that can't be read any more.

    Attributes:
        first, last: Their numbers, both included; `last` is below `first` when their number is unknown.
        start_us, end_us: Their period, both ends included, µs since 1970 UTC; `end_us` 0 means until now.
    """

    first: int
    last: int
    start_us: int
    end_us: int

    @property
    def frames(self) -> int:
        """How many; 0 when unknown."""
        return max(0, self.last - self.first + 1)


class Opened(NamedTuple):
    """The content of the folder.

    Attributes:
        last_seq: Highest number ever used, 0 for a new log.
        last_time_us: Latest time, µs since 1970 UTC, 0 for a new log.
        open_us: Earliest time of records that may have followed the last sound one, µs since 1970 UTC, 0 for a new log.
        epochs: `(first seq, epoch)`, oldest first.
        killed: The previous process did not end cleanly.
        broken: Losses by damage.
        torn_bytes: Bytes of an incomplete group commit that were truncated.
    """

    last_seq: int
    last_time_us: int
    open_us: int
    epochs: list[tuple[int, str]]
    killed: bool
    broken: list[Loss]
    torn_bytes: int

    @property
    def holes(self) -> list[tuple[int, int]]:
        """The numbers that are missing, as ranges."""
        return [(one.first, one.last) for one in self.broken if one.frames]

    @property
    def lost_us(self) -> list[tuple[int, int]]:
        """The times in which records may be missing, both ends included, µs since 1970 UTC.

        The last period begins after the last sound record: a lost end or an older copy can't be detected.
        """
        behind_us = self.open_us or self.last_time_us + 1
        return [*((one.start_us, one.end_us or FOREVER_US) for one in self.broken), (behind_us, FOREVER_US)]


@dataclass(slots=True, kw_only=True)
class _Walk:
    """The state while reading the segments in order.

    Attributes:
        expected: The next number; 0 before the first file.
        start_us: The earliest time that a record with that number can have, µs since 1970 UTC; 0 when unknown.
        open: True after damaged bytes, until a later file gives its first number.
    """

    segments: list[Segment] = field(default_factory=list)
    epochs: list[tuple[int, str]] = field(default_factory=list)
    broken: list[Loss] = field(default_factory=list)
    expected: int = 0
    start_us: int = 0
    last_time_us: int = 0
    open: bool = False
    torn_bytes: int = 0

    def reach(self, seq: int, *, end_us: int) -> None:
        """The log continues with this number; missing records before it are older than `end_us`."""
        if seq > self.expected > 0:
            self.lose(seq - 1, end_us=end_us)
        self.expected = max(self.expected, seq)
        self.open = False

    def lose(self, last: int, *, end_us: int) -> None:
        start_us = self.start_us or end_us or self.last_time_us
        if end_us and start_us > end_us:  # times of several devices need not rise with the numbers
            start_us, end_us = end_us, start_us
        self.broken.append(Loss(self.expected, last, start_us, end_us))


def recover(folder: Path, *, killed: bool, ended: tuple[int, int] | None) -> tuple[list[Segment], Opened]:
    """Read each segment, truncate an incomplete tail, rewrite damaged files with their sound records.

    Args:
        folder: The folder of the segments.
        killed: The previous process did not end cleanly, so the newest file may end in the middle of a group.
        ended: Last seq and latest time of a clean end, or None.

    Returns:
        The segments, oldest first, and what was found. Raises OSError.
    """
    walk = _Walk()
    paths = sorted(path for path in folder.glob("*.log") if parse_name(path) is not None)
    for position, path in enumerate(paths):
        following = paths[position + 1] if position + 1 < len(paths) else None
        below = (parse_name(following) or (ANY_SEQ, 0))[0] if following is not None else ANY_SEQ
        found = scan(path, below=below)
        _follow(walk, found)
        # Damage at the end of the newest file after a kill is an unfinished group commit. Damage before a file that
        # begins with the expected number is a group that the disk refused. Neither was accepted.
        never_accepted = (killed and following is None) or (found.tail_only and below == walk.expected)
        if not found.whole:
            _mend(walk, path, found, torn=never_accepted)
            walk.open = not never_accepted and (not found.runs or found.runs[-1].end < found.size_bytes)
        elif found.runs or following is None:
            _keep(walk, found.segment)
        else:
            path.unlink()
    if ended is not None and ended[0] >= walk.expected:
        walk.expected = walk.expected or 1
        walk.reach(ended[0] + 1, end_us=ended[1])
        walk.last_time_us = max(walk.last_time_us, ended[1])
    elif walk.open:
        walk.lose(walk.expected - 1, end_us=0)
    _forget_broken(folder)
    last_seq = max(0, walk.expected - 1)
    opened = Opened(last_seq, walk.last_time_us, walk.start_us, walk.epochs, killed, walk.broken, walk.torn_bytes)
    return walk.segments, opened


def _follow(walk: _Walk, found: Scan) -> None:
    """Compare the numbers in a file with the expected ones."""
    if not walk.expected:
        walk.expected = found.first_seq
        walk.start_us = found.start_us or (found.last_time_us + 1 if found.last_time_us else 0)
    if found.header and not found.runs:
        walk.reach(found.first_seq, end_us=max(0, found.start_us - 1))
    for run in found.runs:
        walk.reach(run.first[0], end_us=run.first[1] - 1)
        walk.expected, walk.start_us = run.last[0] + 1, run.last[1] + 1
    walk.last_time_us = max(walk.last_time_us, found.segment.last_time_us)


def _mend(walk: _Walk, path: Path, found: Scan, *, torn: bool) -> None:
    """Rewrite a file with its sound records only.

    Args:
        walk: Collects the segment and the losses.
        path: The file.
        found: What is in it.
        torn: The damaged end was never accepted: it is truncated without a copy.
    """
    end = found.runs[-1].end if found.runs else HEADER_BYTES
    if not found.runs and (not found.header or not torn):
        walk.torn_bytes += found.size_bytes
        path.unlink() if torn else path.rename(path.with_suffix(".broken"))
        return
    if torn and found.tail_only:
        walk.torn_bytes += found.size_bytes - end
        os.truncate(path, end)
        _keep(walk, found.segment)
        return
    before_us = max((one.last_time_us for one in walk.segments), default=0)
    epoch = found.epoch or (walk.epochs[-1][1] if walk.epochs else "")
    salvage(path, found, epoch=epoch, last_time_us=before_us)
    _keep(walk, scan(path).segment)


def _keep(walk: _Walk, segment: Segment) -> None:
    walk.segments.append(segment)
    if not walk.epochs or walk.epochs[-1][1] != segment.epoch:
        walk.epochs.append((segment.first_seq, segment.epoch))


def _forget_broken(folder: Path) -> None:
    broken = sorted(folder.glob("*.broken"), key=lambda path: path.stat().st_mtime_ns)
    for path in broken[:-MOST_BROKEN]:
        path.unlink()
