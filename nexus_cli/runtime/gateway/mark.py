"""The mark beside a gateway's disk log: for the next process, up to which moment the record is complete.

Written about once a second by rename, without fsync: a killed process leaves the last one, and after a power failure an
older one makes a gap longer, never shorter. It is in the folder of the disk log, so that the two are copied, restored
and deleted together.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path

import msgspec

from nexus_cli.diagnostics.groups import Group
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.devices.absence import BEAT_S, Absence
from nexus_cli.runtime.gateway.devices.handover import Mark, Past
from nexus_cli.runtime.gateway.instance import InstanceElection
from nexus_cli.runtime.gateway.outbox.outbox import Outbox
from nexus_cli.runtime.gateway.outbox.records import edges
from nexus_cli.runtime.gateway.outbox.recovery import Opened
from nexus_cli.runtime.gateway.worker import WorkerThread
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.wire.frame import FrameError, GapReason, decode_gap
from nexus_cli.wire.topic import Topics

FILE = "mark.json"
MOST_INSTANCES = 16
WRITE_S = 1.0
"""How often a mark is taken, in seconds; it is written once the frames that it covers are durable."""

_log = logging.getLogger("nexus.gateway")


def load_mark(folder: Path) -> Mark | None:
    """The mark of the previous process; None when there is none, or it can't be read."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Mark)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def save_mark(folder: Path, mark: Mark) -> None:
    """Replace the mark. Raises OSError."""
    beside = folder / f"{FILE}.new"
    beside.write_bytes(msgspec.json.encode(mark))
    beside.replace(folder / FILE)


def sign(folder: Path, mark: Mark | None, instance: str, *, since_us: int) -> list[str]:
    """Record at once that a process uses this disk log; returns the last ones that did, this one at the end.

    So a message that the broker retains of one of them is not taken for another machine's, however early that process
    was killed. `since_us` is when this disk log starts to account for its devices if there is no mark yet.
    """
    before = mark or Mark(time_us=0, seq=0, since_us=since_us)
    instances = [*before.instances, instance][-MOST_INSTANCES:]
    try:
        save_mark(folder, msgspec.structs.replace(before, instances=instances))
    except OSError as error:
        event(_log, "the mark beside the disk log can't be written", level=logging.WARNING, cause=str(error))
    return instances


def past_of(
    mark: Mark | None, opened: Opened, outbox: Outbox, *, gateway: str, topics: Topics, paths: Iterable[str]
) -> Past | None:
    """The known state of the previous process; None on a new machine, or when its folder was deleted.

    Args:
        mark: Its mark, if it can be read.
        opened: What was found in the disk log.
        outbox: The opened disk log.
        gateway: The gateway's name.
        topics: Of the site.
        paths: The devices that it read, from its copy of the configuration.

    For a disk log without a mark (of an older version, or the mark was lost) the last record serves as one.
    """
    known = frozenset(paths)
    new = mark is None or not mark.time_us
    if not known or (new and not opened.last_seq):
        return None
    if mark is None or new or mark.seq > opened.last_seq:
        # The mark is after the end of the log: the last records were lost, so what it says about them is no longer
        # true.
        behind_us = opened.open_us - 1 if opened.open_us else opened.last_time_us
        time_us = behind_us or (mark.time_us if mark is not None else 0)
        mark = Mark(time_us=time_us, seq=opened.last_seq, since_us=mark.since_us if mark else 0)
    reason = GapReason.GATEWAY_KILLED if opened.killed else GapReason.GATEWAY_STOPPED
    rows_us, first_us = _rows_after(mark.seq, outbox)
    if first_us:
        # Records between the mark and the first record of the log were delivered and deleted, so they are older.
        mark = msgspec.structs.replace(mark, time_us=max(mark.time_us, first_us))
    return Past(mark, rows_us, reason, known)


def _rows_after(seq: int, outbox: Outbox) -> tuple[dict[str, int], int]:
    """The time of the last row (or end of a gap) by device after a number, µs since 1970 UTC; and the time of the first
    record if those right after the number are no longer on disk, else 0."""
    rows_us: dict[str, int] = {}
    first_us = 0
    contents = outbox.contents
    for position, record in enumerate(outbox.on_disk(after=seq)):
        if position == 0 and record.seq > seq + 1:
            first_us = edges(record)[0][1]
        if contents.is_frames(record.topic):
            found = [(one.device, one.time_us) for one in contents.frames(record) if one.seq > seq]
        elif record.topic == contents.gap_topic:
            try:
                gap = decode_gap(record.payload)
            except FrameError:
                continue
            found = [] if gap.letter is not None else [(gap.device, gap.end)]
        else:
            continue
        for path, time_us in found:
            rows_us[path] = max(rows_us.get(path, 0), time_us)
    rows_us.pop("", None)
    return rows_us, first_us


class Marking:
    """Calls `Absence.beat`, and writes the mark."""

    def __init__(
        self,
        folder: Path,
        *,
        outbox: Outbox,
        absence: Absence,
        clock: Clock,
        instances: list[str],
        election: InstanceElection,
    ) -> None:
        """Write into the folder of the disk log while this process is active."""
        self._folder, self._outbox, self._absence = folder, outbox, absence
        self._clock, self._instances, self._duty = clock, instances, election
        self._thread = WorkerThread("mark")
        self._taken: Mark | None = None
        self._failing = False

    async def run(self, stop: asyncio.Event) -> None:
        """Beat and write until stopped."""
        async with Group() as group:
            # Two tasks: a slow disk must not look like a pause of the process.
            group.create_task(self._beat(stop), name="beat")
            group.create_task(self._keep(stop), name="mark")

    async def _beat(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._absence.beat()
            await self._clock.sleep(BEAT_S)

    async def _keep(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self._write()
            if self._taken is None:
                self._taken = self._take()
            await wait_for(stop, timeout_s=WRITE_S)

    async def close(self) -> None:
        """Write the last mark: after `run` has ended, no device is read any more and everything is durable."""
        self._taken = self._take(last=True)
        await self._write()
        self._thread.close()

    def _take(self, *, last: bool = False) -> Mark | None:
        # Before it has its devices, or while another instance reads them, the mark on disk is better than its own.
        if not self._absence.ready or not self._duty.active:
            return None
        seq, term = self._outbox.newest_seq, self._duty.term
        return self._absence.mark(seq=seq, instances=self._instances, term=term, last=last)

    async def _write(self) -> None:
        mark = self._taken
        if mark is None or self._outbox.failing or self._outbox.durable_seq < mark.seq:
            return
        self._taken = None
        try:
            await self._thread.call(save_mark, self._folder, mark)
        except OSError as error:
            if not self._failing:
                event(_log, "the mark beside the disk log can't be written", level=logging.WARNING, cause=str(error))
            self._failing = True
            with contextlib.suppress(OSError):
                (self._folder / f"{FILE}.new").unlink()
            return
        self._failing = False


__all__ = ["Marking", "load_mark", "past_of", "save_mark", "sign"]
