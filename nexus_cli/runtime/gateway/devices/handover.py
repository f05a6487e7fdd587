"""What one process of a gateway leaves for the next about the times in which its devices were not read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from nexus_cli.wire.frame import GapReason


class Hole(msgspec.Struct, frozen=True, array_like=True):
    """An open period without reads.

    Attributes:
        since_us: Its first moment, µs since 1970 UTC.
        reason: The reason of the gap.
        certain: False when nothing is missing if it ends within the longest wait that its device is allowed.
    """

    since_us: int
    reason: GapReason
    certain: bool = True


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """For the next process of this gateway: up to which moment the record of this one is complete.

    Attributes:
        time_us: Every read up to this moment is durable, µs since 1970 UTC; 0 before it knew its devices.
        seq: The last number of the disk log at that moment.
        since_us: The gateway accounts for every moment from then on, by row or gap; 0 for always.
        instances: The last processes that used this disk log, this one at the end.
        term: Its term, see `InstanceElection`.
        asked_us: Start of the requests whose answer is not durable, by device path.
        read_us: Time of the last read by path; only in the last mark of a stopped process.
        holes: Open holes by path.
        away: Devices that do not answer: their last rows are BAD.
        unread: Devices that have never been read.
        turned_us: Where the time was last set back to, µs since 1970 UTC; 0 when it never was.
        past: What was on record before the time was set back, by device path, until a read follows it (`Watched.past`).
    """

    time_us: int
    seq: int
    since_us: int = 0
    instances: list[str] = []
    term: int = 0
    asked_us: dict[str, int] = {}
    read_us: dict[str, int] = {}
    holes: dict[str, Hole] = {}
    away: list[str] = []
    unread: list[str] = []
    turned_us: int = 0
    past: dict[str, list[tuple[int, int]]] = {}


class Past(NamedTuple):
    """The known state of the previous process.

    Attributes:
        mark: Its last mark.
        rows_us: Time of the last row (or end of a gap) after the mark, by device.
        reason: How it ended.
        paths: The devices that it was configured to read.
    """

    mark: Mark
    rows_us: Mapping[str, int]
    reason: GapReason
    paths: frozenset[str]
