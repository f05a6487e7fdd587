"""Recordings on disk: written block by block, read without holding more than one block."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from nexus_cli.atomic import create_file
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.recording import (
    BLOCK_BYTES,
    LONGEST_HEADER,
    MOST_PAYLOAD_BYTES,
    Damage,
    Header,
    Record,
    VersionError,
    decode_header,
    encode_block,
    encode_header,
    read_blocks,
)

SYNC_BYTES = 16 * 2**20
"""The disk is made to keep what was written after so much, and at the end."""
MOST_WAITING_BYTES = 64 * 2**20
"""What waits for a slow disk; beyond it messages are dropped and counted."""
_OVERHEAD = 32


class RecordingWriter:
    """A recording that is written. `add` is called on the loop, `write` in a thread.

    Attributes:
        size_bytes: Of the file.
        messages: Taken.
        dropped: Not taken, because the disk did not keep up, or too large.
    """

    def __init__(self, path: Path, header: Header) -> None:
        """Begin the file.

        Raises:
            NexusError: NX6960, it exists, or can't be written.
        """
        self.messages = self.dropped = self._waiting_bytes = 0
        self._header, self._path = header, path
        self._records: list[Record] = []
        begin = encode_header(header)
        try:
            create_file(path, begin, mode=0o600)
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        except FileExistsError:
            raise NexusError(f"The file {path} exists.", code="NX6960", hint="name another one") from None
        except OSError as error:
            hint = "name a file in a folder that is there and that you may write to"
            raise _unwritten(path, error, hint=hint) from None
        self.size_bytes = self._unsynced = len(begin)

    def add(self, record: Record) -> None:
        """Take a message, or note that it was not taken."""
        if len(record.payload) > MOST_PAYLOAD_BYTES or self._waiting_bytes > MOST_WAITING_BYTES:
            self.dropped += 1
            return
        self._records.append(record)
        self._waiting_bytes += len(record.payload) + len(record.topic) + _OVERHEAD
        if record.topic:
            self.messages += 1

    @property
    def full(self) -> bool:
        """True when a block's worth waits."""
        return self._waiting_bytes >= BLOCK_BYTES

    def take(self) -> list[Record]:
        """What waits, to be given to `write`."""
        records, self._records, self._waiting_bytes = self._records, [], 0
        return records

    def write(self, records: list[Record]) -> None:
        """Write records as blocks. Blocking.

        Raises:
            NexusError: NX6960, the disk is full or gone; what was written before can be read.
        """
        start = waiting = 0
        for at, record in enumerate(records):
            waiting += len(record.payload) + len(record.topic) + _OVERHEAD
            if waiting >= BLOCK_BYTES or at == len(records) - 1:
                self._put(encode_block(records[start : at + 1], self._header.compression))
                start, waiting = at + 1, 0

    def _put(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
            self.size_bytes += len(data)
            self._unsynced += len(data)
            if self._unsynced > SYNC_BYTES:
                os.fsync(self._fd)
                self._unsynced = 0
        except OSError as error:
            raise _unwritten(self._path, error) from None

    def close(self) -> None:
        """End the file."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise _unwritten(self._path, error) from None
        finally:
            os.close(self._fd)


class Recording:
    """A recording that is read.

    Attributes:
        path: The file.
        header: Its first line.
        damage: What could not be read so far.
        notes: What the recorder noted, with times in µs since 1970 UTC, as far as it was read.
    """

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            NexusError: NX6960, there is no such file or it is none; NX6961, it is of a later version.
        """
        self.path, self.damage = path, Damage()
        self.notes: list[tuple[int, str]] = []
        try:
            with path.open("rb") as file:
                self.header, self._start = decode_header(file.read(LONGEST_HEADER))
        except OSError as error:
            raise NexusError(
                f"The recording {path} can't be read.",
                code="NX6960",
                cause=error.strerror or str(error),
                hint="`nexus tail --record FILE` makes one",
            ) from None
        except VersionError as error:
            raise NexusError(f"The recording {path} can't be read: {error}.", code="NX6961") from None
        except ValueError as error:
            raise NexusError(
                f"The file {path} is not a recording: {error}.",
                code="NX6960",
                hint="`nexus tail --record FILE` makes one",
            ) from None

    def messages(self) -> Iterator[Record]:
        """Every message that can be read, in the order of its arrival."""
        self.damage = Damage()
        self.notes = []
        with self.path.open("rb") as file:
            if os.fstat(file.fileno()).st_size <= self._start:
                return
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                for records in read_blocks(data, self._start, self.header.compression, self.damage):
                    for record in records:
                        if record.topic:
                            yield record
                        elif len(self.notes) < 1000:
                            self.notes.append((record.time_us, record.payload.decode(errors="replace")))


def _unwritten(path: Path, error: OSError, *, hint: str = "what was written before can be replayed") -> NexusError:
    return NexusError(
        f"The recording {path} can't be written.",
        code="NX6960",
        cause=error.strerror or str(error),
        hint=hint,
    )
