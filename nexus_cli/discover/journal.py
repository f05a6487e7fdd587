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
from typing import IO, Any

from nexus_cli.drivers.base import Browsed
from nexus_cli.drivers.browse_shapes import WalkState, restored

FORMAT = 2


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
        queue: deque[list[Any]] = deque([[self.root, []]])
        seen: list[str] = []
        found: list[Browsed] = []
        good = good_found = 0
        try:
            with self.path.open("rb") as file:
                if file.readline() != head:
                    return 0
                at = len(head)
                for line in file:
                    at += len(line)
                    entry = json.loads(line)
                    if "done" in entry:
                        for _ in range(min(entry["done"], len(queue))):
                            queue.popleft()
                        queue.extend(entry["queued"])
                        seen.extend(str(one[0]) for one in entry["queued"])
                        good, good_found = at, len(found)
                    else:
                        path, address, type_, unit, description, writable, detail = entry["found"]
                        found.append(
                            Browsed(tuple(path), address, type_, unit, description, writable, restored(detail))
                        )
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            pass  # there is none, or the line that the interruption cut
        if good:
            self.kept = found[:good_found]
            self.noted = True
            self.resume = {"queue": [list(one) for one in queue], "seen": seen}
        return good

    def note(self, browsed: Browsed) -> None:
        """Write down one thing, or a beat (which also reaches the disk)."""
        if self._file is None:
            return
        beat = browsed.detail.get("beat")
        if beat and not browsed.detail.get("done"):
            return  # a sign of life
        entry = (
            {"done": browsed.detail["done"], "queued": browsed.detail["queued"]}
            if beat
            else {"found": [*browsed[:6], dict(browsed.detail)]}
        )
        try:
            self._file.write(json.dumps(entry).encode() + b"\n")
            if beat:
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
