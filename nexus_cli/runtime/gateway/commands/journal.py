"""The commands and their results on disk, so that no id is executed twice.

One JSON object per line, appended. `begun` is durable (fsync) before the write: a command that began and has no `ended`
line when the gateway starts was in flight when the process was killed, and its result is UNKNOWN.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.gateway.worker import WorkerThread
from nexus_cli.wire.command import Report, State

FILE = "commands.jsonl"
KEEP_US = 24 * 3600 * 1_000_000
"""How long an id is kept, in µs. A command expires within 60 s, so the same id after a day is a new command."""
MOST_ENTRIES = 50_000
MOST_REPORTED_AGAIN = 2_000
"""Reports that are queued again after damage of the disk log (policy: the newest)."""
MOST_BYTES = 32 << 20
"""Above this size, in bytes, the file is rewritten with the entries that are still kept."""


@dataclass(slots=True)
class Entry:
    """One command.

    Attributes:
        fingerprint: Of the command; the same id with another one is refused.
        report: Its report; the response in it is final once the command has ended.
        ended: False while it is in flight.
        in_custody: True once its report is durable in the outbox.
    """

    fingerprint: str
    report: Report
    ended: bool = False
    in_custody: bool = False


Key = tuple[str, str]
"""Principal and id."""


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    word: str
    principal: str
    id: str
    fingerprint: str = ""
    report: Report | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Line)


class Journal:
    """The journal of commands. `open` comes first; the rest is called on the event loop, and a thread does the fsync.

    Attributes:
        in_flight: Commands that had begun and not ended when the previous process was killed, found by `open`.
        failing: Why the file can't be written; "" when it can.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder."""
        self.in_flight: list[Key] = []
        self.failing = ""
        self._folder = folder
        self._path = folder / FILE
        self._entries: dict[Key, Entry] = {}
        self._thread = WorkerThread("commands")
        self._fd = -1
        self._size = 0
        self._waiting: list[bytes] = []
        self._flushing = asyncio.Lock()
        self._queued = self._flushed = self._refused = 0
        self._torn = False
        self._limit = MOST_BYTES

    def __len__(self) -> int:
        return len(self._entries)

    def open(self, *, now_us: int, lost_us: Sequence[tuple[int, int]] = ()) -> None:
        """Read the file of the previous process and rewrite it. Blocks on disk.

        Args:
            now_us: Gateway time, µs since 1970 UTC.
            lost_us: Times, both ends included, in which the disk log may have lost records: reports of commands that
                ended then are queued again. The historian skips those that it has.

        Raises:
            NexusError: NX6818, the folder can't be used.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for line in _lines(self._path):
                self._take(line)
            self._forget_old(now_us)
            self._doubt(lost_us)
            self.in_flight = [key for key, entry in self._entries.items() if not entry.ended]
            self._rewrite(self._image())
        except OSError as error:
            raise NexusError(
                "The record of commands can't be used.",
                code="NX6818",
                cause=str(error),
                hint=f"look at {self._path}: without it a command could be carried out twice",
            ) from None

    def close(self) -> None:
        """End the thread and the file."""
        self._thread.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def find(self, key: Key) -> Entry | None:
        """The entry of a command; None when the id is not known."""
        return self._entries.get(key)

    def full(self, now_us: int) -> bool:
        """True when no further id can be kept."""
        if len(self._entries) >= MOST_ENTRIES:
            self._forget_old(now_us)
            self._forget_refused()
        return len(self._entries) >= MOST_ENTRIES

    async def begin(self, key: Key, fingerprint: str, report: Report) -> None:
        """Journal a command; durable when this returns.

        Raises:
            OSError: The disk refused it: it is not journalled and must not be executed.
        """
        line = _Line(word="begun", principal=key[0], id=key[1], fingerprint=fingerprint, report=report)
        self._entries[key] = Entry(fingerprint, report)
        try:
            await self._append(line)
        except OSError:
            del self._entries[key]
            raise

    def end(self, key: Key, fingerprint: str, report: Report) -> None:
        """Journal the result of a command (also of one that never began). Written at once without fsync: it survives a
        kill of the process, but may be lost in a power failure; the command is then UNKNOWN."""
        self._entries[key] = Entry(fingerprint, report, ended=True)
        self._write(_Line(word="ended", principal=key[0], id=key[1], fingerprint=fingerprint, report=report))

    def in_custody(self, key: Key) -> None:
        """Mark its report as durable in the outbox."""
        entry = self._entries.get(key)
        if entry is not None and not entry.in_custody:
            entry.in_custody = True
            # `told` is the word in files that exist.
            self._write(_Line(word="told", principal=key[0], id=key[1]))

    def without_custody(self) -> Iterator[tuple[Key, Entry]]:
        """Ended commands whose report is not yet durable in the outbox."""
        for key, entry in list(self._entries.items()):
            if entry.ended and not entry.in_custody:
                yield key, entry

    async def _append(self, line: _Line) -> None:
        """Write and fsync; concurrent callers share one fsync."""
        self._waiting.append(_encoder.encode(line) + b"\n")
        self._queued += 1
        mine = self._queued
        async with self._flushing:
            if self._flushed >= mine:
                return
            if self._refused >= mine:
                raise OSError(self.failing)
            group, self._waiting = self._waiting, []
            upto = self._queued
            try:
                await self._thread.call(self._durable, b"".join(group))
            except OSError as error:
                self.failing, self._refused = str(error), upto
                raise
            self.failing, self._flushed = "", upto
        if self._size > self._limit:
            await self._shrink()

    def _durable(self, data: bytes) -> None:
        self._put(data)
        os.fsync(self._fd)

    def _put(self, data: bytes) -> None:
        """Append whole lines; after an incomplete write, start a new line."""
        whole = b"\n" + data if self._torn else data
        self._torn = True
        _write_all(self._fd, whole)
        self._torn = False
        self._size += len(whole)

    def _write(self, line: _Line) -> None:
        if self._fd < 0:
            return
        data = _encoder.encode(line) + b"\n"
        try:
            self._put(data)
        except OSError as error:
            self.failing = str(error)

    async def _shrink(self) -> None:
        async with self._flushing:
            if self._size > self._limit:
                try:
                    self._rewrite(self._image())
                except OSError as error:
                    self.failing = str(error)

    def _image(self) -> bytes:
        lines = []
        for (principal, name), entry in self._entries.items():
            word = "ended" if entry.ended else "begun"
            line = _Line(word=word, principal=principal, id=name, fingerprint=entry.fingerprint, report=entry.report)
            lines.append(_encoder.encode(line) + b"\n")
            if entry.in_custody:
                lines.append(_encoder.encode(_Line(word="told", principal=principal, id=name)) + b"\n")
        return b"".join(lines)

    def _rewrite(self, image: bytes) -> None:
        """Write a new file beside the old one and rename it, so that a complete file exists at every moment."""
        beside = self._path.with_suffix(".new")
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            _write_all(fd, image)
            os.fsync(fd)
            beside.replace(self._path)
            _sync_folder(self._folder)
        except OSError:
            os.close(fd)
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._size, self._torn = fd, len(image), False
        self._limit = max(MOST_BYTES, 2 * len(image))

    def _take(self, data: bytes) -> None:
        try:
            line = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return  # the incomplete last line of a killed process: that command had not begun
        key = (line.principal, line.id)
        known = self._entries.get(key)
        if line.word == "told":
            if known is not None:
                known.in_custody = True
        elif line.report is not None:
            self._entries[key] = Entry(line.fingerprint, line.report, ended=line.word == "ended")

    def _forget_old(self, now_us: int) -> None:
        for key, entry in list(self._entries.items()):
            if entry.ended and entry.in_custody and entry.report.received < now_us - KEEP_US:
                del self._entries[key]

    def _doubt(self, lost_us: Sequence[tuple[int, int]]) -> None:
        """Queue again the reports of times that the disk log may have lost."""
        in_custody = [entry for entry in self._entries.values() if entry.ended and entry.in_custody]
        lost = [one for one in in_custody if any(first <= one.report.response.time <= last for first, last in lost_us)]
        for entry in lost[-MOST_REPORTED_AGAIN:]:
            entry.in_custody = False

    def _forget_refused(self) -> None:
        """Make room: drop the oldest half of those that were never executed."""
        refused = [
            key for key, one in self._entries.items() if one.ended and one.report.response.state is State.REFUSED
        ]
        for key in refused[: len(refused) // 2 + 1]:
            del self._entries[key]


def unknown(report: Report, *, time_us: int) -> Report:
    """The report of a command that was in flight when the process was killed."""
    response = msgspec.structs.replace(
        report.response,
        state=State.UNKNOWN,
        time=time_us,
        code="NX6820",
        detail="the gateway ended while the command was in flight; the device may have it or not",
    )
    return msgspec.structs.replace(report, response=response)


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except FileNotFoundError:
        return []


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
