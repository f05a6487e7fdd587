"""Log files as lines: the last ones, and new ones. The files are in UTC, people see the clock that they asked for."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from pathlib import Path

from nexus_cli.cli.views.clock import short

WINDOW_BYTES = 256 * 1024
"""Bytes that are read from the end of a log to find its last lines."""

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z(?= )")
"""How a line of a role begins, see `runtime.logging`; a broker's, a database's and JSON lines begin in another way."""


def on_clock(line: str, *, zone: tzinfo | None) -> str:
    """A line with its time on the clock of a zone, None for this machine's; lines without such a time as they are."""
    found = _STAMP.match(line)
    if found is None:
        return line
    try:
        moment = datetime.fromisoformat(found[0])
    except ValueError:  # 99:99:99
        return line
    return short(moment.astimezone(zone), digits=3) + line[found.end() :]


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
    """Gives the lines added to a log since the last call; handles rotation."""

    def __init__(self, path: Path, label: str, position: int, *, zone: tzinfo | None = None) -> None:
        self._path, self._label, self._position, self._zone = path, label, position, zone
        self._partial = ""

    def fresh(self) -> list[str]:
        """New complete lines, labelled."""
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
        shown = (on_clock(line, zone=self._zone) for line in whole)
        return [f"{self._label}: {line}" if self._label else line for line in shown]
