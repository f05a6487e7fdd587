"""`.nexus/emqx.json`: the hash of each password that was pushed last. EMQX never gives a hash back.

With it, a password that did not change is not sent again; without it users are imported again, which ends no session.
It holds no password. Mode 0600.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from nexus_cli.access.brokers.emqx.hashing import UserHash
from nexus_cli.local.credentials import write_private

FILE = "emqx.json"


class PushMemory:
    """What this machine knows of one cluster."""

    def __init__(self, home: Path, url: str) -> None:
        """Read it; a file that is missing or damaged knows nothing.

        Args:
            home: The `.nexus` folder.
            url: Address of the API: of two clusters each has its own.
        """
        self._file, self._url = home / FILE, url
        try:
            data = orjson.loads(self._file.read_bytes())
        except (OSError, ValueError):
            data = {}
        self._all: dict[str, dict[str, str]] = data if isinstance(data, dict) else {}
        found = self._all.get(url)
        self._kept = {str(name): str(text) for name, text in found.items()} if isinstance(found, dict) else {}

    @property
    def pushed(self) -> Mapping[str, str]:
        """`UserHash.kept` by account."""
        return self._kept

    def add(self, users: Mapping[str, UserHash]) -> None:
        """EMQX has these now."""
        self._kept |= {name: each.kept for name, each in users.items()}
        self._write()

    def drop(self, account: str) -> None:
        """EMQX does not have it any more."""
        if self._kept.pop(account, None) is not None:
            self._write()

    def _write(self) -> None:
        data = {**self._all, self._url: self._kept}
        write_private(self._file, orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
