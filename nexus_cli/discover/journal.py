"""The things found by a walk so far, on disk, so that a second run resumes where the first one ended.

One JSON line per thing found and per beat; a walk is continued from its last beat, and things after it are found
again. The file is removed when the walk is complete. A walk from here and one through a gateway use the same file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from nexus_cli.drivers.base import Browsed
from nexus_cli.drivers.browse_shapes import WalkState, restored

FORMAT = 2
UNREADABLE = (ValueError, KeyError, TypeError, IndexError)
"""What a damaged line raises."""


def line_of(browsed: Browsed) -> bytes:
    """One thing, or a beat, as a line; b"" of a sign of life."""
    if not browsed.detail.get("beat"):
        return json.dumps({"found": [*browsed[:6], dict(browsed.detail)]}).encode() + b"\n"
    if not browsed.detail.get("done"):
        return b""
    return json.dumps({"done": browsed.detail["done"], "queued": browsed.detail["queued"]}).encode() + b"\n"


def browsed_of(found: list[Any]) -> Browsed:
    """One thing, as a line or a page has it. Raises `UNREADABLE`."""
    path, address, type_, unit, description, writable, detail = found
    return Browsed(tuple(path), address, type_, unit, description, writable, restored(detail))


class ReadWalk:
    """Reads the lines of a walk again. Things after the last beat do not count: they are found again."""

    def __init__(self, root: str) -> None:
        """A walk that began at this node."""
        self._queue: deque[list[Any]] = deque([[root, []]])
        self._seen: list[str] = []
        self._found: list[Browsed] = []
        self._good = 0

    def take(self, line: bytes) -> bool:
        """Read a line; True when it is a beat: it counts, with all before it. Raises `UNREADABLE`."""
        entry = json.loads(line)
        if "done" not in entry:
            self._found.append(browsed_of(entry["found"]))
            return False
        for _ in range(min(entry["done"], len(self._queue))):
            self._queue.popleft()
        self._queue.extend(entry["queued"])
        self._seen.extend(str(one[0]) for one in entry["queued"])
        self._good = len(self._found)
        return True

    @property
    def found(self) -> list[Browsed]:
        """Everything that was found."""
        return self._found

    @property
    def kept(self) -> list[Browsed]:
        """What was found up to the last beat."""
        return self._found[: self._good]

    @property
    def resume(self) -> WalkState:
        """How to continue after the last line, which has to be a beat."""
        return {"queue": [list(one) for one in self._queue], "seen": self._seen}


class Noting(Protocol):
    """Where a walk is noted on its way: a file (`Journal`), or rows of the database (`runtime.worker.discovering`)."""

    resume: WalkState
    noted: bool
    trouble: str

    def note(self, browsed: Browsed) -> None:
        """Take one thing, or a beat."""
        ...

    def close(self, *, complete: bool) -> None:
        """The walk has ended."""
        ...


class Journal:
    """The file of one walk.

    Attributes:
        path: Where it lies.
        kept: What an earlier run found, up to its last beat.
        resume: How to continue, {} for a walk from the start.
        root: Node at which a walk from the start begins.
        noted: Whether there is something to continue from.
        trouble: Why nothing more is noted (a full disk), "" without a problem.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], *, root: str, fresh: bool = False) -> None:
        """Open the journal of a walk.

        Args:
            folder: `.nexus/discover`.
            key: What makes the walk this one: link, start, limits. Holds no secrets.
            root: Node at which a walk from the start begins.
            fresh: Forget what an earlier run found.
        """
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        self.path = folder / f"{name}.jsonl"
        self.kept: list[Browsed] = []
        self.resume: WalkState = {}
        self.trouble = ""
        self.noted = False
        self.root = root
        self._file: IO[bytes] | None = None
        head = json.dumps({"format": FORMAT, **key}).encode() + b"\n"
        good = 0 if fresh else self._load(head)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("r+b" if good else "wb")
            # what counts of the earlier run stays where it is: a full disk takes nothing of it away
            self._file.truncate(self._file.seek(good))
            if not good:
                self._file.write(head)
            self._file.flush()
        except OSError as error:
            self._spoilt(error)

    def _spoilt(self, error: OSError) -> None:
        """Stop the journal, but not the walk: its result is worth more than the option to continue it."""
        self.trouble = (
            f"the journal {self.path} can't be written ({error.strerror or error}): "
            "this walk can't be continued from here on after an interruption"
        )
        if self._file is not None:
            with contextlib.suppress(OSError):  # what is buffered fails to be written once more
                self._file.close()
            self._file = None

    def _load(self, head: bytes) -> int:
        """Read the earlier run; how many of its bytes count."""
        read = ReadWalk(self.root)
        good = 0
        try:
            with self.path.open("rb") as file:
                if file.readline() != head:
                    return 0
                at = len(head)
                for line in file:
                    at += len(line)
                    if read.take(line):
                        good = at
        except (OSError, *UNREADABLE):
            pass  # there is none, or the line that the interruption cut
        if good:
            self.kept = read.kept
            self.noted = True
            self.resume = read.resume
        return good

    def note(self, browsed: Browsed) -> None:
        """Write down one thing, or a beat (which also reaches the disk)."""
        if self._file is None:
            return
        line = line_of(browsed)
        if not line:
            return  # a sign of life
        try:
            self._file.write(line)
            if browsed.detail.get("beat"):
                self._file.flush()
                self.noted = True
        except OSError as error:
            self._spoilt(error)

    def close(self, *, complete: bool) -> None:
        """End the file; a complete walk leaves none."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # only things after the last beat are lost
                self._file.close()
            self._file = None
        if complete:
            with contextlib.suppress(OSError):  # a walk from a complete journal ends at once
                self.path.unlink(missing_ok=True)
