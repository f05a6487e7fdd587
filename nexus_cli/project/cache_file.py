"""Files of the user's cache folder: what an earlier run found out and the next one may do without.

A file is read when it is ours alone and undamaged; every other one is as good as none. Deleting them is safe at any time.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

MAGIC = b"NEXUS cache 1\n"
DIGEST_BYTES = 32
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_FOLDER_BYTES = 256 * 1024 * 1024
MAX_FILES = 128
LEFT_S = 3600.0
"""Age at which a file that a killed process was writing is removed."""
_SUFFIX = ".cache"
_UNFINISHED = ".part"


def cache_folder(environ: Mapping[str, str] | None = None, *, platform: str = sys.platform) -> Path | None:
    """Where the cache is; None where the user has no folder for one.

    Args:
        environ: Instead of the process environment: `XDG_CACHE_HOME`, `LOCALAPPDATA` or `HOME` say where.
        platform: As `sys.platform`.
    """
    known = os.environ if environ is None else environ
    given = known.get("XDG_CACHE_HOME", "")
    if Path(given).is_absolute():
        return Path(given) / "nexus"
    if platform == "win32":
        return Path(known["LOCALAPPDATA"]) / "nexus" / "cache" if known.get("LOCALAPPDATA") else None
    home = known.get("HOME", "")
    if not Path(home).is_absolute():
        return None
    return Path(home) / ("Library/Caches" if platform == "darwin" else ".cache") / "nexus"


class CacheFile:
    """One file of the cache. Nothing here raises: a cache that can't be used is none."""

    def __init__(self, folder: Path, name: str) -> None:
        """Name a file.

        Args:
            folder: Of the cache; made when something is written.
            name: Of the file, without its ending.
        """
        self.folder = folder
        self.path = folder / (name + _SUFFIX)

    def read(self) -> bytes | None:
        """What was written last; None when there is nothing, it is damaged, or others could have written it."""
        try:
            if not _ours(self.folder.lstat(), stat.S_ISDIR):
                return None
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
            with os.fdopen(descriptor, "rb") as file:
                seen = os.fstat(descriptor)
                if not _ours(seen, stat.S_ISREG) or seen.st_size > MAX_FILE_BYTES:
                    return None
                data = file.read(MAX_FILE_BYTES + 1)
            os.utime(self.path)  # what is used is removed last
        except OSError:
            return None
        head = len(MAGIC) + DIGEST_BYTES
        payload = memoryview(data)[head:]
        if len(data) < head or not data.startswith(MAGIC) or data[len(MAGIC) : head] != _digest(payload):
            return None
        return bytes(payload)

    def write(self, payload: bytes) -> None:
        """Replace it at once, so that a process that reads meanwhile sees the old content or the new one."""
        if len(payload) > MAX_FILE_BYTES - len(MAGIC) - DIGEST_BYTES:
            self.remove()
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _ours(self.folder.lstat(), stat.S_ISDIR):
                return
            descriptor, name = tempfile.mkstemp(dir=self.folder, suffix=_UNFINISHED)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(MAGIC + _digest(payload))
                    file.write(payload)
                Path(name).replace(self.path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            trim(self.folder)
        except OSError:
            return

    def remove(self) -> None:
        """Forget it."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            return


def trim(folder: Path) -> None:
    """Remove the files that were not used for longest, until the rest is within the bounds. Raises OSError."""
    now = time.time()
    files: list[tuple[float, int, str]] = []
    for entry in os.scandir(folder):
        seen = entry.stat(follow_symlinks=False)
        if entry.name.endswith(_SUFFIX):
            files.append((seen.st_mtime, seen.st_size, entry.path))
        elif entry.name.endswith(_UNFINISHED) and now - seen.st_mtime > LEFT_S:
            Path(entry.path).unlink(missing_ok=True)
    files.sort(reverse=True)
    total = 0
    for number, (_, size, path) in enumerate(files):
        total += size
        if number >= MAX_FILES or total > MAX_FOLDER_BYTES:
            Path(path).unlink(missing_ok=True)


def _ours(seen: os.stat_result, right: Callable[[int], bool]) -> bool:
    """True for a file or folder of this user that no other user can write to."""
    if not right(seen.st_mode):
        return False
    return not hasattr(os, "geteuid") or (seen.st_uid == os.geteuid() and not seen.st_mode & 0o022)


def _digest(payload: bytes | memoryview) -> bytes:
    return hashlib.blake2b(payload, digest_size=DIGEST_BYTES).digest()
