"""Detects that another hand changed the rules or passwords of the local Mosquitto: no part of NEXUS asked for what it has then.

Nothing is put back here. The word for it is in `.nexus/access.applied`: control reports it as drift, and writes the rights
again when a person asks (`nexus drift --revert`), at the next deployment, or when it starts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from nexus_cli.access.grants_file import Wanted, altered_by_hand, in_force, mark_altered, mark_applied
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.broker_mosquitto import NAME, LocalMosquitto

_log = logging.getLogger("nexus.supervisor")


class AlteredWatch:
    """Compares the broker's files with what they have to be, whenever one of them was touched."""

    def __init__(self, home: Path) -> None:
        """Look into the `.nexus` folder `home`."""
        self._home = home
        self._files = tuple(home / NAME / name for name in ("acl", "passwords"))
        self._seen: tuple[tuple[int, int, int], ...] = ()

    def touched(self) -> bool:
        """True when a file has changed since the last call."""
        now = tuple(_stamp(path) for path in self._files)
        touched, self._seen = now != self._seen, now
        return touched

    def look(self, wanted: Wanted, passwords: Mapping[str, str], *, reload: Callable[[], object]) -> None:
        """Note what is altered; files that are as they have to be again are read again by the broker, and that is noted."""
        try:
            names = LocalMosquitto(self._home).altered(wanted, passwords)
        except (NexusError, OSError) as error:
            _log.error("the rights can't be compared: %s", error)
            return
        if names:
            _log.warning("somebody changed %s of the broker: nexus drift --revert writes it again", " and ".join(names))
            mark_altered(self._home, names)
        elif altered_by_hand(in_force(self._home)):
            reload()
            mark_applied(self._home, wanted.digest)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0, 0)
    return (stat.st_mtime_ns, stat.st_ino, stat.st_size)
