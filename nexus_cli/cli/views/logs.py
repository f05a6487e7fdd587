"""Log files as lines: the last ones, and those that come."""

from __future__ import annotations

from pathlib import Path

WINDOW_BYTES = 256 * 1024
"""What is read from the end of a log to find its last lines."""


def last_lines(path: Path, count: int) -> tuple[list[str], int]:
    """The last lines of a log, and the position behind them."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(0, end - WINDOW_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return [], 0
    lines = text.splitlines()
    return (lines[-count:] if count else []), end


class Follower:
    """Gives what was added to a log since the last look; knows that a log can be turned over."""

    def __init__(self, path: Path, label: str, position: int) -> None:
        self._path, self._label, self._position = path, label, position
        self._partial = ""

    def fresh(self) -> list[str]:
        """New whole lines, labelled."""
        try:
            with self._path.open("rb") as file:
                end = file.seek(0, 2)
                if end < self._position:
                    self._position, self._partial = 0, ""
                file.seek(self._position)
                data = file.read(WINDOW_BYTES)
        except OSError:
            return []
        self._position += len(data)
        *whole, self._partial = (self._partial + data.decode(errors="replace")).split("\n")
        return [f"{self._label}: {line}" if self._label else line for line in whole]
