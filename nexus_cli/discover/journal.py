"""What a walk has seen so far, on disk, so that a second run goes on where the first one ended.

One JSON line per thing found and per beat; a walk is continued from its last beat, and what came after it is found
again. The file is removed when the walk is complete.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from nexus_cli.drivers.base import Browsed

FORMAT = 1


class Journal:
    """The file of one walk.

    Attributes:
        path: Where it lies.
        kept: What an earlier run found, up to its last beat.
        resume: How to continue, {} for a walk from the start.
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
        self.resume: dict[str, Any] = {}
        self._root = root
        self._file: IO[str] | None = None
        lines = [] if fresh else self._load()
        folder.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("w", encoding="utf-8")
        self._file.write(json.dumps({"format": FORMAT, **key}) + "\n")
        self._file.writelines(lines)
        self._file.flush()

    def _load(self) -> list[str]:
        """Read the earlier run; the lines of it that count."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return []
        lines = text.splitlines(keepends=True)[1:]
        queue: deque[list[Any]] = deque([[self._root, []]])
        seen: list[str] = []
        found: list[Browsed] = []
        good = good_found = 0
        for number, line in enumerate(lines):
            try:
                entry = json.loads(line)
                if "done" in entry:
                    for _ in range(min(entry["done"], len(queue))):
                        queue.popleft()
                    queue.extend(entry["queued"])
                    seen.extend(str(one[0]) for one in entry["queued"])
                    good, good_found = number + 1, len(found)
                else:
                    path, address, type_, unit, description, writable, detail = entry["found"]
                    found.append(Browsed(tuple(path), address, type_, unit, description, writable, _restored(detail)))
            except (ValueError, KeyError, TypeError, IndexError):
                break  # the line that the interruption cut
        if good:
            self.kept = found[:good_found]
            self.resume = {"queue": [list(one) for one in queue], "seen": seen}
        return lines[:good]

    def note(self, browsed: Browsed) -> None:
        """Write down one thing, or a beat (which also reaches the disk)."""
        if self._file is None:
            return
        if browsed.detail.get("beat"):
            entry = {"done": browsed.detail["done"], "queued": browsed.detail["queued"]}
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()
            return
        self._file.write(json.dumps({"found": [*browsed[:6], dict(browsed.detail)]}) + "\n")

    def close(self, *, complete: bool) -> None:
        """End the file; a complete walk leaves none."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if complete:
            self.path.unlink(missing_ok=True)


def _restored(detail: Mapping[str, Any]) -> dict[str, Any]:
    """JSON made the codes of an enumeration texts."""
    restored = dict(detail)
    if isinstance(restored.get("values"), dict):
        restored["values"] = {int(code): label for code, label in restored["values"].items()}
    return restored
